"""The README's lines on how far a style carries: what `make holds`, `make unseen` and `make two-styles` found."""

import numpy as np

from benchmarks.beyond.summary import JUDGES, kept, scores_by_target, slopes_of, way_there
from benchmarks.measured import result


def carries_line() -> str:
    """The line under which all of it is folded up."""
    held = result("holds")
    shares, lost = kept(held["table"]["cpt"]), {way: found["nothing asked"] for way, found in held["lost"].items()}
    return (
        "<details><summary>What the paper does not show: of the distance between low and high "
        f"{shares['fourth turn']:.0%} is left in a fourth turn, {shares['system prompt in German']:.0%} under a system "
        f"prompt in German; questions answered in their own language: {lost['prompting']['language']:.0%} before, "
        f"{lost['cpt']['language']:.0%} after training</summary>"
    )


def carries() -> str:
    """Does a style hold, what is lost, rubrics that were not trained, and two styles at once."""
    held, unseen = result("holds"), result("unseen")
    shares, lost = kept(held["table"]["cpt"]), {way: found["nothing asked"] for way, found in held["lost"].items()}
    others = min(shares[name] for name in ("e-mail", "list", "table", "fact"))
    grids, scores = result("two_styles")["grids"], scores_by_target()
    most = list(unseen["held_out"])[-1]

    def left(condition: str) -> str:
        return f"{shares[condition]:.0%}"

    def both(test: str) -> str:
        return f"{lost['prompting'][test]:.0%} before, {lost['cpt'][test]:.0%} after"

    def rho(part: str, which: int) -> str:
        return f"{list(unseen[part].values())[which]['spearman_rho']:.2f}"

    def slopes(way: str) -> list[str]:
        return [f"{np.mean(slopes_of(grids[way], judge)[0]):+.2f}" for judge in JUDGES]

    dial = slopes("dial, tuned")

    return (
        f"- **Does a style hold?** Of the distance between *low* and *high* in a first turn {left('fourth turn')} is "
        f"left in a fourth, {others:.0%} and more in e-mails, lists, tables and answers to questions of fact, "
        f"{left('code')} in code, {left('typing errors')} with typing errors in the system prompt, and "
        f"{left('system prompt in German')} where it is German.\n"
        f"- **What is lost?** Sentences repeated word for word when asked to: {both('copy')} training; questions "
        f"answered in their own language: {both('language')}.\n"
        f"- **A rubric that it never saw** is followed better with small rubrics among the rows, with equal steps: "
        f"ρ is {rho('untuned', 0)} untuned, {rho('held_out', 0)} after training on two rubrics, and "
        f"{rho('held_out', -1)} after those and sixteen small ones. Asked for a high score, the texts then go "
        f"{way_there(scores[most], scores['base']):.0%} of the way there from the untuned model's.\n"
        f"- **Two styles at once** come by degrees with a dial for each: {dial[0]} points for a point asked by the "
        f"series' judge, {dial[1]} and {dial[2]} by two others, which disagree with it about what one style takes from "
        f"the other. Numbers in the system prompt do next to nothing ({slopes('numbers, tuned')[0]})."
    )
