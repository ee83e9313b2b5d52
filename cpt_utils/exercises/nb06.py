"""Checks of the exercises in notebook 06: scores from anchors, and the choice among candidates."""

from cpt_utils.exercises.checking import compare, exercise


@exercise(
    "return a number from anchor_score(value, low, high).",
    "two numbers that anyone can argue about make a criterion measurable.",
)
def check_anchor_score(anchor_score):
    """anchor_score(value, low, high): 0 at `low`, 100 at `high`, straight between, and flat beyond them."""

    def share(value, low, high):
        return (value - low) / (high - low)

    def clip(score, top=100):
        return max(0, min(top, score))

    def right(value, low, high):
        return clip(100 * share(value, low, high))

    def leaves_the_scale(value, low, high):
        """The score leaves 0 to 100 for a value beyond the anchors: clip it with min and max."""
        return 100 * share(value, low, high)

    def gives_a_share(value, low, high):
        """That is a share between 0 and 1: multiply by 100."""
        return clip(share(value, low, high), top=1)

    def forgets_the_low_anchor(value, low, high):
        """It looks as if the value is divided by the high anchor: subtract the low anchor from both first."""
        return clip(100 * value / high)

    def sorts_the_anchors(value, low, high):
        """Where the high anchor is the smaller number (short sentences!), your score runs backwards: do not
        sort the anchors.
        """
        return right(value, min(low, high), max(low, high))

    def drops_the_sign(value, low, high):
        """With abs(), a value on the wrong side of the low anchor earns points: keep the sign."""
        return clip(100 * abs(value - low) / abs(high - low))

    def runs_backwards(value, low, high):
        """It runs from 100 at the low anchor to 0 at the high one: the other way round."""
        return clip(100 - 100 * share(value, low, high))

    cases = {}
    for given in ((6, 0, 12), (3, 0, 12), (20, 0, 12), (14, 20, 8), (8, 20, 8), (30, 20, 8), (2, 20, 8), (5, 4, 8)):
        value, low, high = given
        cases[f"value {value} with anchors {low} and {high}"] = given
    slips = [
        leaves_the_scale,
        gives_a_share,
        forgets_the_low_anchor,
        sorts_the_anchors,
        drops_the_sign,
        runs_backwards,
    ]
    compare(anchor_score, cases, right, slips)


@exercise("return one of the texts.", "the best of N is the nearest to its target, not the highest.")
def check_choose(choose):
    """choose(candidates, target): text of the row {text, score, degenerate} that is nearest, and not degenerate."""

    def distance(score, target):
        return abs(score - target)

    def pick_row(candidates, target, cost=distance, best=min, broken=False):
        sound = [row for row in candidates if broken or not row["degenerate"]]
        return best(sound, key=lambda row: cost(row["score"], target))

    def pick(candidates, target, **how):
        return pick_row(candidates, target, **how)["text"]

    def lets_broken_texts_win(candidates, target):
        """It looks as if a degenerate text can win: leave those out first, however well they score."""
        return pick(candidates, target, broken=True)

    def takes_the_highest(candidates, target):
        """It looks as if the highest score wins: take the smallest distance to the target."""
        return pick(candidates, target, cost=lambda score, target: score, best=max)

    def takes_the_farthest(candidates, target):
        """It looks as if the farthest text wins: take min of the distances, not max."""
        return pick(candidates, target, best=max)

    def stays_below(candidates, target):
        """It looks as if texts above the target are never taken: compare abs(score - target)."""

        def cost(score, target):
            return target - score if score <= target else 1000 + score

        return pick(candidates, target, cost=cost)

    def keeps_the_sign(candidates, target):
        """It looks as if the distance has a sign, so the lowest score wins: use abs(score - target)."""
        return pick(candidates, target, cost=lambda score, target: score - target)

    def returns_the_row(candidates, target):
        """You return the row: return its text."""
        return pick_row(candidates, target)

    def returns_the_score(candidates, target):
        """You return the score: return the text."""
        return pick_row(candidates, target)["score"]

    def rows(scores, bad=()):
        return [{"text": f"text {i}", "score": s, "degenerate": i in bad} for i, s in enumerate(scores, 1)]

    cases = {
        "target 50, four sound texts": (rows([20, 44, 58, 99]), 50),
        "target 95, where the highest overshoots": (rows([70, 93, 100, 30]), 95),
        "target 10, where the nearest lies above": (rows([0, 14, 40, 60]), 10),
        "target 10, where a degenerate text is nearest": (rows([10, 60, 22, 90], bad=(1,)), 10),
        "target 50, where the degenerate text is the highest": (rows([30, 55, 100], bad=(3,)), 50),
    }
    slips = [
        lets_broken_texts_win,
        takes_the_highest,
        takes_the_farthest,
        stays_below,
        keeps_the_sign,
        returns_the_row,
        returns_the_score,
    ]
    compare(choose, cases, pick, slips)
