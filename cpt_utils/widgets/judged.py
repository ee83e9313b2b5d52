"""What the steering desk says of an answer's style: by a shipped style, a rubric of one's own, or nothing."""

from pathlib import Path
from typing import NamedTuple

from cpt_utils.plotting import LABELS
from cpt_utils.reading import bound, weighing
from cpt_utils.rows import TARGETS
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import CptError
from cpt_utils.styles import readers
from cpt_utils.ways import Way, load_ways
from cpt_utils.widgets import drafts, filing
from cpt_utils.wordings import WORDINGS, Wording, read_wordings

ITS_OWN = "the order's style"


class Own(NamedTuple):
    """A rubric of one's own, the ways to score its criteria, and its system prompts by the names of targets."""

    rubric: Rubric
    ways: dict[str, Way]
    words: dict[str, Wording]


def own_rubrics(*folders: Path) -> dict[str, Own]:
    """By what to call it, each rubric that lies in one of the folders, or in its capstone."""
    found: dict[str, Own] = {}
    for place in dict.fromkeys(inside for folder in folders for inside in (folder, folder / "capstone")):
        for path in (place / name for name in filing.names(place)):
            try:
                rubric = Rubric.from_yaml(path)
                own = Own(filing.named_apart(rubric, drafts.called_by(path)), load_ways(path, rubric), _words(path))
            except CptError:  # no rubric, or one that is being mended
                continue
            shown = path.name if place in folders else f"{place.name}/{path.name}"
            found.setdefault(f"{rubric.title} ({shown})", own)
    return found


def _words(path: Path) -> dict[str, Wording]:
    try:
        return read_wordings(path.with_suffix(WORDINGS))
    except CptError:  # there are none, or not yet all; the rubric can judge
        return {}


def own_orders(own: dict[str, Own]) -> dict[str, tuple[str, str, int]]:
    """The system prompts of one's own rubrics, with the rubric's name and the target, by what to call them."""
    return {
        f"{label}, {target}": (one.words[target].prompt, one.rubric.name, number)
        for label, one in own.items()
        if one.words
        for target, number in TARGETS.items()
    }


def find_own(own: dict[str, Own], name: str) -> Own | None:
    """A rubric of one's own by what it is called on the desk, or by its name."""
    return own.get(name) or next((one for one in own.values() if one.rubric.name == name), None)


def judges(own: dict[str, Own]) -> list[tuple[str, str]]:
    """What may judge, as a choice has it: what to call it, and how a run names it."""
    return [(ITS_OWN, ITS_OWN), *((label, name) for name, label in LABELS.items()), *((name, name) for name in own)]


def said_of(run: dict, side: dict, own: dict[str, Own], judge, folder: Path) -> str:
    """A side's verdict, by the judge that the run names. `judge` is for shipped styles: the offline one if None."""
    style = side["style"] if run["judged_by"] == ITS_OWN else run["judged_by"]
    target = side["target"]
    if style is None:
        return by_nothing(side["text"])
    if style in LABELS:
        if judge is None:
            from cpt_utils.judging import embedded_judge

            judge = embedded_judge()
        return by_style(judge, style, target if style == side["style"] else None, run["prompt"], side["text"])
    if (one := find_own(own, style)) is None:
        return f"not judged: {style} is no longer there"
    return by_rubric(one, target if one.rubric.name == side["style"] else None, run["prompt"], side["text"], folder)


def by_style(judge, style: str, target: int | None, prompt: str, text: str) -> str:
    """A judge's score of a text for a shipped style, in words."""
    judged = judge.score(style, prompt, text)
    reason = drafts.flagged(text) if judged.reason == "empty" else judged.reason
    unread = judged.score is None or judged.reason == "empty" and not judged.score  # offline judges call that 0
    score = f"no score ({reason})" if unread else f"{judged.score:.0f} of 100"
    return f"{LABELS[style]}: {score}{_aim(target)}{_flag(reason or 'yes') if judged.degenerate and not unread else ''}"


def by_rubric(own: Own, target: int | None, prompt: str, text: str, folder: Path) -> str:
    """A text's score under a rubric of one's own, in words.

    Of what a chat model reads the verdicts count that lie in `folder`; CPT_ENDPOINT's is asked for those that do not.
    """
    rubric = own.rubric
    try:
        ways = bound(rubric, own.ways, readers(rubric, own.ways, folder), {text: prompt})
        read = weighing(rubric, ways)
        for way in read.values():
            if way.judge.teacher.remote:
                way.ask([text])
        scored = drafts.scored(rubric, ways, text)
        unread = [name for name, way in read.items() if way.missing([text])]
        unclear = [f"{name!r} has no score ({why})" for name, way in read.items() for why in way.unclear([text])]
    except CptError as error:
        return f"{rubric.title}: not judged. {error}"
    told = [f"; {words}" for words in unclear]
    if unread:
        models = " and ".join(sorted({repr(read[name].judge.teacher.name) for name in unread}))
        told.append(
            f"; {', '.join(map(repr, unread))}: a chat model ({models}) has to read it, in the studio once the answer "
            "is sent there, or here with CPT_ENDPOINT and CPT_MODEL"
        )
    if scored["total"] is None:
        told = told or ["; the studio's tab Scoring says how one gets it"]
        return f"{rubric.title}: no criterion has a score{''.join(told)}"
    part = f" (from {scored['rests_on']:g} of 100 points)" if scored["rests_on"] < 100 else ""
    return (
        f"{rubric.title}: {scored['total']:.0f} of 100{part}{_aim(target)}{''.join(told)}{_flag(drafts.flagged(text))}"
    )


def by_nothing(text: str) -> str:
    """What can be said of a text without a style to judge by."""
    return f"not judged: the order is your own{_flag(drafts.flagged(text))}"


def _aim(target: int | None) -> str:
    return "" if target is None else f", target {target}"


def _flag(reason: str) -> str:
    said = reason if reason in drafts.UNMEASURED else f"degenerate: {reason}"
    return f" · ✗ {said}" if reason else ""
