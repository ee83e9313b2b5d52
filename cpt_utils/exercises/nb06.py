"""Checks of the exercises in notebook 06: scores from anchors, and the choice among candidates."""

from cpt_utils.exercises.checking import compare, exercise


@exercise(
    "return a number from anchor_score(value, low, high).",
    "two numbers that anyone can argue about make a criterion measurable.",
)
def check_anchor_score(anchor_score):
    """anchor_score(value, low, high): 0 at `low`, 100 at `high`, straight between, and flat beyond them."""

    def share(v, low, high):
        return (v - low) / (high - low)

    def clip(x, top=100):
        return max(0, min(top, x))

    given = ((6, 0, 12), (3, 0, 12), (20, 0, 12), (14, 20, 8), (8, 20, 8), (30, 20, 8), (2, 20, 8), (5, 4, 8))
    cases = {f"value {v} with anchors {low} and {high}": (v, low, high) for v, low, high in given}
    compare(
        anchor_score,
        cases,
        lambda v, low, high: clip(100 * share(v, low, high)),
        {
            "The score leaves 0 to 100 for a value beyond the anchors: clip it with min and max.": lambda v, low, high: (
                100 * share(v, low, high)
            ),
            "That is a share between 0 and 1: multiply by 100.": lambda v, low, high: clip(share(v, low, high), 1),
            "It looks as if the value is divided by the high anchor: subtract the low anchor from both first.": lambda v, low, high: (
                clip(100 * v / high)
            ),
            "Where the high anchor is the smaller number (short sentences!), your score runs backwards: do not "
            "sort the anchors.": lambda v, low, high: clip(100 * share(v, min(low, high), max(low, high))),
            "With abs(), a value on the wrong side of the low anchor earns points: keep the sign.": lambda v, low, high: (
                clip(100 * abs(v - low) / abs(high - low))
            ),
            "It runs from 100 at the low anchor to 0 at the high one: the other way round.": lambda v, low, high: clip(
                100 - 100 * share(v, low, high)
            ),
        },
    )


@exercise("return one of the texts.", "the best of N is the nearest to its target, not the highest.")
def check_choose(choose):
    """choose(candidates, target): text of the row {text, score, degenerate} that is nearest, and not broken."""

    def pick(rows, target, key=lambda s, t: abs(s - t), best=min, broken=False):
        return best((r for r in rows if broken or not r["degenerate"]), key=lambda r: key(r["score"], target))["text"]

    def rows(scores, bad=()):
        return [{"text": f"text {i}", "score": s, "degenerate": i in bad} for i, s in enumerate(scores, 1)]

    cases = {
        "target 50, four sound texts": (rows([20, 44, 58, 99]), 50),
        "target 95, where the highest overshoots": (rows([70, 93, 100, 30]), 95),
        "target 10, where the nearest lies above": (rows([0, 14, 40, 60]), 10),
        "target 10, where a degenerate text is nearest": (rows([10, 60, 22, 90], bad=(1,)), 10),
        "target 50, where the degenerate text is the highest": (rows([30, 55, 100], bad=(3,)), 50),
    }
    compare(
        choose,
        cases,
        pick,
        {
            "It looks as if a degenerate text can win: leave those out first, however well they score.": lambda r, t: (
                pick(r, t, broken=True)
            ),
            "It looks as if the highest score wins: take the smallest distance to the target.": lambda r, t: pick(
                r, t, key=lambda s, t: s, best=max
            ),
            "It looks as if the farthest text wins: take min of the distances, not max.": lambda r, t: pick(
                r, t, best=max
            ),
            "It looks as if texts above the target are never taken: compare abs(score - target).": lambda r, t: pick(
                r, t, key=lambda s, t: t - s if s <= t else 1000 + s
            ),
            "It looks as if the distance has a sign, so the lowest score wins: use abs(score - target).": lambda r, t: (
                pick(r, t, key=lambda s, t: s - t)
            ),
            "You return the row: return its text.": lambda r, t: next(row for row in r if row["text"] == pick(r, t)),
            "You return the score: return the text.": lambda r, t: next(
                row["score"] for row in r if row["text"] == pick(r, t)
            ),
        },
    )
