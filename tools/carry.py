"""The README's lines on how far a style carries: what `make holds`, `make unseen` and `make two-styles` found."""

import numpy as np

from benchmarks.beyond.drawings import slopes_of
from benchmarks.measured import result


def carries() -> str:
    """Does a style hold, what is lost, rubrics that were not trained, and two styles at once."""
    held, unseen = result("holds"), result("unseen")
    tuned, lost = held["table"]["cpt"], {way: found["nothing asked"] for way, found in held["lost"].items()}
    others = min(tuned[name]["kept"] for name in ("e-mail", "list", "table", "fact"))
    slopes = {way: slopes_of(grids)[0] for way, grids in result("two_styles")["grids"].items()}

    def kept(test: str) -> str:
        return f"{tuned[test]['kept']:.0%}"

    def both(test: str) -> str:
        return f"{lost['prompting'][test]:.0%} before, {lost['cpt'][test]:.0%} after"

    def rho(part: str, which: int) -> str:
        return f"{list(unseen[part].values())[which]['spearman_rho']:.2f}"

    def slope(way: str) -> str:
        return f"{np.mean(slopes[way]):+.2f}"

    return (
        f"- **Does a style hold?** Of the distance between *low* and *high* in a first turn {kept('fourth turn')} is "
        f"left in a fourth, {others:.0%} and more in e-mails, lists, tables and answers to questions of fact, and "
        f"{kept('system prompt in German')} where the system prompt is German.\n"
        f"- **What is lost?** Sentences repeated word for word when asked to: {both('copy')} training; questions "
        f"answered in their own language: {both('language')}.\n"
        f"- **A rubric that it never saw** is followed the better, the more others were: ρ is {rho('untuned', 0)} "
        f"untuned, {rho('held_out', 0)} after training on two rubrics, and {rho('held_out', -1)} after those and "
        f"sixteen small ones.\n"
        f"- **Two styles at once** work with a dial for each: {slope('dial, tuned')} points judged for a point asked. "
        f"Numbers in the system prompt do not ({slope('numbers, tuned')})."
    )
