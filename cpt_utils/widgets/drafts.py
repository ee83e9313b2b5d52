"""A rubric while it is being edited: plain data that may be wrong for a while, and what can be done to it."""

import copy
import math
import time
import unicodedata
from pathlib import Path

from cpt_utils.degenerate import degeneracy, is_seen
from cpt_utils.drafting import PLACEHOLDER_LEVELS
from cpt_utils.reading import Bound
from cpt_utils.rubric_text import plain_name
from cpt_utils.rubrics import ENDS, Rubric, shipped_rubrics
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import RubricError
from cpt_utils.runtime.places import name_mend
from cpt_utils.ways import WAYS, Way, ways_of, write_ways
from cpt_utils.widgets.scores import score
from cpt_utils.wordings import WORDINGS

STEP = 0.5
"""Weights move in steps of this many percent; 0 is a weight, too."""
MOST_CRITERIA = 12
UNMEASURED = "too short for measures of style", "without words that could be measured"
"""What is said of a text that has little, or nothing, to measure, though there is something to read."""


def apportion(shares: list[float], total: float = 100.0) -> list[float]:
    """Weights proportional to `shares`, in whole steps, that sum exactly to `total`; equal ones where all are 0."""
    shares = shares if sum(shares) > 0 else [1.0] * len(shares)
    units = round(total / STEP)
    exact = [share / sum(shares) * units for share in shares]
    weights = [int(x + 1e-9) for x in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: weights[i] - exact[i])
    for i in by_remainder[: units - sum(weights)]:
        weights[i] += 1
    return [weight * STEP for weight in weights]


def rebalance(weights: list[float], index: int, value: float) -> list[float]:
    """The weights with one moved to `value` and the others rescaled, so that the sum stays 100."""
    others = [weight for i, weight in enumerate(weights) if i != index]
    if not others:
        return [100.0]
    value = min(max(round(value / STEP) * STEP, 0.0), 100.0)
    rest = apportion(others, 100 - value)
    return [*rest[:index], value, *rest[index:]]


def is_drawn(value: float, weight: float) -> bool:
    """Whether a slider that shows this weight stands at this value in a browser: there it stands at a whole step."""
    half_up, half_down = math.floor(weight / STEP + 0.5), math.ceil(weight / STEP - 0.5)  # not round(): 2.5 gives 2
    return min(abs(value - each) for each in (weight, half_up * STEP, half_down * STEP)) < 1e-6


def stepped(value: float, weight: float) -> str:
    """What to say where a slider was moved to one value, and the weight became another."""
    return f"{value:g} became {weight:g}: weights move in steps of {STEP:g} and sum to 100."


def names_of(draft: dict) -> list[str]:
    return [criterion["name"] for criterion in draft["criteria"]]


def weights_of(draft: dict) -> list[float]:
    return [criterion["weight"] for criterion in draft["criteria"]]


def with_weights(draft: dict, weights: list[float]) -> dict:
    draft = copy.deepcopy(draft)
    for criterion, weight in zip(draft["criteria"], weights, strict=True):
        criterion["weight"] = weight
    return draft


def add_criterion(draft: dict) -> dict:
    """The draft with one more criterion, of average weight, with words to replace."""
    count = len(draft["criteria"])
    if count >= MOST_CRITERIA:
        raise RubricError(f"A rubric of {count} criteria is hard to judge by: remove one before adding one.")
    taken = {criterion["name"] for criterion in draft["criteria"]}
    name = next(n for i in range(1, count + 2) if (n := f"New criterion {i}") not in taken)
    fresh = {"name": name, "weight": 0, "description": "", "levels": list(PLACEHOLDER_LEVELS)}
    draft = {**draft, "criteria": [*draft["criteria"], fresh]}
    return with_weights(draft, rebalance(weights_of(draft), count, 100 / (count + 1)))


def remove_criterion(draft: dict, index: int) -> dict:
    """The draft without one criterion; the others share its weight in proportion."""
    rest = [criterion for i, criterion in enumerate(draft["criteria"]) if i != index]
    if not rest:
        raise RubricError("A rubric needs at least one criterion: add another one before removing this one.")
    return with_weights({**draft, "criteria": rest}, apportion([c["weight"] for c in rest]))


def checked(draft: dict) -> Rubric:
    """The draft as a rubric, or a RubricError that names the field as the editor does."""

    def filled(text: str, place: str) -> None:
        if not text.strip():
            raise RubricError(f"{place} is empty: write something there, or undo.")

    filled(draft["title"], "The title")
    filled(draft["objective"], "The objective")
    for number, name in enumerate(draft["levels"], 1):
        filled(name, f"The name of level {number}")
    for number, criterion in enumerate(draft["criteria"], 1):
        filled(criterion["name"], f"The name of criterion {number}")
        for level, text in zip(draft["levels"], criterion["levels"]):
            filled(text, f"The level {level!r} of criterion {number} ({criterion['name']!r})")
    return Rubric.checked(draft, "the draft")


class History:
    """Earlier states, to go back to. Steps with one key in quick succession (a moving slider) are one."""

    def __init__(self, most: int = 200, pause: float = 1.0):
        self.states, self.most, self.pause = [], most, pause
        self.last = (None, 0.0)

    def remember(self, state: dict, key: str | None = None) -> None:
        now = time.monotonic()
        same = key is not None and key == self.last[0] and now - self.last[1] < self.pause
        self.last = (key, now)
        if not same:
            self.states = [*self.states[1 - self.most :], copy.deepcopy(state)]

    def back(self) -> dict | None:
        """The state before the last change, or None."""
        self.last = (None, 0.0)
        return self.states.pop() if self.states else None

    def name(self, opening: int, path: Path) -> None:
        """The rubric of that opening has the name of a file, in all its states."""
        for state in self.states:
            if state["opening"] == opening:
                state |= named_by(state, path)


def yaml_path(folder: Path, name: str) -> Path:
    """Where a typed file name leads: a .yaml file inside `folder`, never elsewhere."""
    name = unicodedata.normalize("NFC", name.strip())
    if mend := name_mend(name, 80, "'-', '_' and '.', without a path"):
        raise RubricError(f"{name[:90]!r} is no file name: {mend}.")
    path = folder / (name if name.endswith(ENDS) else f"{name}.yaml")
    if path.with_suffix(".yaml").name.endswith((WAYS, WORDINGS)):
        raise RubricError(f"{path.name} is how a file beside a rubric's is called: choose another name.")
    if path.resolve().parent != folder.resolve():
        raise RubricError(f"{name!r} leads out of the folder: choose another name.")
    return path


def text_of(path: Path) -> bytes | None:
    """What stands in a file, or None where there is none that can be read."""
    try:
        return path.read_bytes()
    except (OSError, ValueError):  # a name that no file can have
        return None


def called_by(path: Path) -> str:
    """The name of a rubric that is saved in a file."""
    return plain_name(path.stem)


def named_by(state: dict, path: Path) -> dict:
    """What changes in a studio's state when its rubric takes the name of a file."""
    named = {part: state[part] | {"name": called_by(path)} for part in ("draft", "original")}
    return named | {"opened": path.name}


def save_draft(draft: dict, ways: dict[str, Way], path: Path, known: bytes | None = None) -> Rubric:
    """Write a valid draft and how its criteria are scored, both or neither; the rubric is named after its file.

    A file that is there is replaced only if it holds what the caller knows of: what it loaded or saved itself.
    """
    name = called_by(path)
    if name in shipped_rubrics():  # else rows of two different rubrics would carry one name
        raise RubricError(f"{name!r} is a shipped rubric: save yours under another name, such as my_{name}.")
    rubric, beside = checked({**draft, "name": name}), []

    def meet(_path: Path) -> None:
        """While the rubric is on the disk, and not yet in its place."""
        if path.is_dir():  # the error of the system names another file, and differs by system
            raise IsADirectoryError(0, "it is a folder")
        if path.exists() and (not path.is_file() or known is None or text_of(path) != known):
            raise RubricError(
                f"{path.name} is there already, and not as you loaded or saved it: choose another name, or load that "
                "file to go on with it."
            )
        beside.extend(save_ways(path, rubric, ways))

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path.resolve(), rubric.to_yaml(), meet)
    except OSError as error:
        though = f", though {beside[0]} beside it was" if beside else ""
        raise RubricError(f"{path.name} cannot be written ({files.why(error)}){though}: check the folder.") from None
    return rubric


def load_draft(path: Path) -> Rubric:
    """Read a rubric that was saved before."""
    if not path.exists():
        where = files.shown(path.parent)
        raise RubricError(f"There is no {path.name} in {where}: save it first, or mend the name.")
    return Rubric.from_yaml(path)


def save_ways(path: Path, rubric: Rubric, ways: dict[str, Way]) -> list[str]:
    """Write how the criteria are scored beside a rubric's file, where the series' judge does not say it anyway.

    The names of what was written.
    """
    beside = path.with_suffix(WAYS)
    mine = {c.name: ways[c.name] for c in rubric.criteria if c.name in ways}
    if not beside.exists() and mine == ways_of(rubric):
        return []
    try:
        write_ways(beside, mine)
    except OSError as error:
        raise RubricError(f"{beside.name} cannot be written ({files.why(error)}): check the folder.") from None
    return [beside.name]


def scored(rubric: Rubric, ways: dict[str, Bound], text: str) -> dict:
    """What a text gets under a rubric's weights, as `weighed` gives it."""
    return weighed(rubric, by_criterion(ways, text))


def by_criterion(ways: dict[str, Bound], text: str) -> dict[str, float | None]:
    """A text's score for each criterion that has a way; None where it cannot be read, or a model is to read it."""
    return {name: score(way, text) for name, way in ways.items()}


def weighed(rubric: Rubric, scores: dict[str, float | None]) -> dict:
    """Scores by criterion under a rubric's weights: {parts, total, rests_on}.

    `parts`: name -> score, None for a criterion that nobody has said how to score, or that cannot be read. `total` is
    the mean of the others by their weights, None without any; `rests_on`: the percents of all weight that have a score.
    """
    parts = {criterion.name: scores.get(criterion.name) for criterion in rubric.criteria}
    known = [c for c in rubric.criteria if parts[c.name] is not None]
    weight = sum(c.weight for c in known)
    total = sum(c.weight * parts[c.name] for c in known) / weight if weight else None
    return {"parts": parts, "total": total, "rests_on": 100 * weight / sum(c.weight for c in rubric.criteria)}


def flagged(text: str) -> str:
    """What is wrong with a text; "" for nothing. One of a few words has hardly a style to measure."""
    reason = degeneracy(text)
    if reason != "empty" or not is_seen(text):
        return reason
    return UNMEASURED[0 if any(map(str.isalnum, text)) else 1]
