"""How far a rubric's scores agree with marks, and people with each other, as the tab Marks shows it."""

from cpt_utils import agreement, marks, opinions
from cpt_utils.runtime import files
from cpt_utils.widgets import views
from cpt_utils.widgets.states import State

MOST = 3
"""Single texts shown: those on which judge and people, or people among each other, part most."""


def results(
    now: State, baseline: State | None, criterion: str, ours: list[marks.Mark], seen: set[str] | None = None
) -> str:
    """Agreement by whole texts (criterion "") or one criterion, beside that of a baseline, in HTML.

    `ours`: all marks by this rubric. Of single texts those that were `seen` are shown (None: all), as others' marks and
    the rubric's score would tell a person how to mark the rest.
    """
    given = marks.about(ours, criterion)
    points = opinions.by_text(given)
    standing = now.standing(points, criterion)
    seen = set(points) if seen is None else seen
    parts = []
    if standing.left_out:
        parts.append(views.status(f"Marked texts: {standing.left_out}"))
    ranks, kappa, confusion, apart = figures(standing.scores, points)
    marked = sum(map(marks.is_test, points))
    parts.append(views.agreement(marked, ranks, kappa, confusion, [pair for pair in apart if pair[0] in seen][:MOST]))
    if baseline and _differs(baseline, now):
        parts.append(_before(baseline, criterion, points, standing.scores))
    parted = [pair for pair in opinions.divided(given) if pair[0] in seen]
    names = [each.name for each in now.rubric.criteria]
    parts.append(views.people(agreement.alphas(ours, names), parted[:MOST]))
    if hidden := len(points.keys() - seen):
        parts.append(views.note(f"{hidden} texts that others marked are not shown before you have marked them."))
    return "".join(parts)


def figures(scores: dict[str, float], points: dict[str, float]) -> tuple:
    """Agreement of scores with the marks that test, as views.agreement takes it."""
    scores = {text: score for text, score in scores.items() if marks.is_test(text)}
    judged, marked = list(scores.values()), [points[text] for text in scores]
    return (
        agreement.rank_agreement(judged, marked),
        agreement.kappa(judged, marked),
        agreement.confusion(judged, marked),
        agreement.farthest(scores, points),
    )


def _before(baseline: State, criterion: str, points: dict[str, float], scores: dict[str, float]) -> str:
    """The figures of the baseline, on texts that have a score now, too."""
    before = baseline.standing(points, criterion).scores
    ranks, kappa, *_ = figures({text: before[text] for text in before if text in scores or not scores}, points)
    if ranks["rho"] is None:
        return ""
    return f"<div><b>Before</b> {views.text(f'({baseline.label}): {views.figures(ranks, kappa)}')}</div>"


def _differs(baseline: State, now: State) -> bool:
    """Whether the baseline is another rubric than by its name, or scores its criteria in other ways."""
    rubric = baseline.rubric.model_copy(update={"name": now.rubric.name})
    return (rubric, baseline.ways) != (now.rubric, now.ways)


def exported(now: State, given: list[marks.Mark]) -> list[dict]:
    """The marked texts with their scores, as a file has them."""
    found = now.standing(mark["response"] for mark in given)
    scores = {text: {"score": found.scores.get(text), "by_criterion": found.parts[text]} for text in found.parts}
    return opinions.marked_texts(given, files.rounded(scores))
