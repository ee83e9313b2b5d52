"""The README's lines on how far a style carries: what `make holds`, `make unseen` and `make two-styles` found."""

import numpy as np

from benchmarks.beyond.drawings import slopes_of
from benchmarks.measured import result


def carries() -> str:
    """Does a style hold, what is lost, rubrics that were not trained, and two styles at once."""
    held, unseen = result("holds"), result("unseen")
    tuned, lost = held["table"]["cpt"], {way: found["nothing asked"] for way, found in held["lost"].items()}
    kept = {name: f"{one['kept']:.0%}" for name, one in tuned.items() if one["kept"] is not None}
    others = sorted(tuned[name]["kept"] for name in ("e-mail", "list", "table", "fact"))
    slopes = {way: slopes_of(grids) for way, grids in result("two_styles")["grids"].items()}

    def both(test: str, many: str) -> str:
        return f"{lost['cpt'][test]:.0%} of {many} (before training {lost['prompting'][test]:.0%})"

    def sliders(way: str) -> str:
        own, other = slopes[way]
        return f"{np.mean(own):+.2f} ({min(other):+.2f} to {max(other):+.2f})"

    def rho(part: str) -> list[str]:
        return [f"{one['spearman_rho']:.2f}" for one in unseen[part].values()]

    (prompted, shown), (without, *more), seen = (rho(part) for part in ("untuned", "held_out", "trained"))
    points = f"{tuned['first turn']['gap'][0]:.0f} points"
    return (
        f"- **Does a style hold?** (`make holds`) Of the {points} between *low* and *high* in a first turn the tuned "
        f"model keeps {kept['second turn']} in the second and {kept['fourth turn']} in the fourth, {others[0]:.0%} to "
        f"{others[-1]:.0%} in e-mails, lists, tables and facts, {kept['code']} in code, {kept['user: write plainly']} "
        f"where the user wants plain words, {kept['typing errors']} with typing errors in the order, and "
        f"{kept['system prompt in German']} with the order in German.\n"
        f"- **What is lost?** Without any order it repeats {both('copy', 'sentences')} word for word, and answers "
        f"{both('language', 'questions')} in their own language.\n"
        f"- **A rubric that it never saw** (`make unseen`): with two of the four rubrics held out, ρ under these is "
        f"{prompted} untuned ({shown} with three examples before the question), {without} after training on the other "
        f"two, and {' and '.join(more)} with 8 and 16 small rubrics among the rows (under the trained ones {seen[0]}, "
        f"{' and '.join(seen[1:])}).\n"
        f"- **Two styles at once** (`make two-styles`): for a point asked, points judged of that style (and of the "
        f"other) are {sliders('dial, tuned')} with a dial for each, {sliders('numbers, tuned')} with numbers in the "
        f"system prompt, and {sliders('vectors, untuned')} with two steering vectors and no training."
    )
