"""How one criterion of a rubric is scored: counted, likened to examples, fitted on graded texts, or read."""

import functools
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from cpt_utils.degenerate import readable
from cpt_utils.judging import FittedJudge, Judgement, embedded_judge
from cpt_utils.measures import ENGLISH, REMEMBERED, WORDLESS, is_spaced, style_measures
from cpt_utils.rubric_text import FAULTS
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import JudgeError, brief

LEAST_EXAMPLES = 2
"""At each end: one example alone says as much about its subject as about its style."""
WAYS = ".judge.yaml"
"""How the file ends, beside a rubric's, that says how its criteria are scored."""
NOT_ENGLISH = "not English"


def says(measure: str, text: str) -> bool:
    """Whether a measure says something about a text."""
    return not unsaid(measure, text)


def unsaid(measure: str, text: str) -> str:
    """Why a measure says nothing about a text, by its language or its script; "" where it says something."""
    if measure in ENGLISH:
        return "" if readable(text) else NOT_ENGLISH
    return "" if measure in WORDLESS or is_spaced(text) else "no spaces between its words"


def _judge() -> FittedJudge:
    """The series' judge without its embeddings, as criteria are scored by measures alone whatever its kind."""
    return embedded_judge("style")


@functools.lru_cache(maxsize=REMEMBERED)
def _judged(style: str, text: str) -> Judgement:
    return _judge().score(style, "", text)


def rounded(low: float, high: float) -> tuple[float, float]:
    """Two anchors to a hundredth, or of what lies between them, if that is less: a share may go from 0 to 0.004."""
    digits = max(2, 2 - math.floor(math.log10(abs(high - low))))
    return round(float(low), digits), round(float(high), digits)


@dataclass(frozen=True)
class Counted:
    """A style measure and the two values of it that are worth 0 and 100; the second may be the smaller one."""

    measure: str
    low: float
    high: float

    def checked(self, name: str) -> "Counted":
        """The same with numbers; a JudgeError says what is wrong with it for the criterion `name`."""
        known = style_measures("")
        if not isinstance(self.measure, str) or self.measure not in known:
            raise JudgeError(f"{name!r}: there is no measure {brief(self.measure)}, only {', '.join(known)}.")
        try:
            low, high = float(self.low), float(self.high)
        except (TypeError, ValueError, OverflowError):
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high)):
            raise JudgeError(
                f"{name!r}: an anchor is (measure, value worth 0, value worth 100), and this has {brief(self.low)} "
                f"and {brief(self.high)}."
            )
        if low == high:
            raise JudgeError(f"{name!r}: both anchors are {low:g}; they must differ.")
        return Counted(self.measure, low, high)

    def scores(self, texts: list[str]) -> list[float | None]:
        """0 to 100 for each text; None for one in a language that the measure says nothing about."""
        return [self._score(text) for text in texts]

    def _score(self, text: str) -> float | None:
        if not says(self.measure, text):
            return None
        return float(np.clip(100 * (style_measures(text)[self.measure] - self.low) / (self.high - self.low), 0, 100))


@dataclass(frozen=True)
class Likened:
    """Example texts of both ends, told apart by their sentence embeddings: what lies nearer to which."""

    low: tuple[str, ...]
    high: tuple[str, ...]

    def checked(self, name: str) -> "Likened":
        """The same without blank examples and doubles; a JudgeError says what is wrong with it for `name`."""
        ends = {}
        for end in ("low", "high"):
            ends[end] = tuple(dict.fromkeys(text.strip() for text in getattr(self, end) if text.strip()))
            if len(ends[end]) < LEAST_EXAMPLES:
                raise JudgeError(
                    f"{name!r}: {len(ends[end])} example texts of the {end} end; give {LEAST_EXAMPLES} or more."
                )
        if both := set(ends["low"]) & set(ends["high"]):
            raise JudgeError(f"{name!r}: {min(both)[:40]!r} stands at both ends; take it from one of them.")
        return Likened(**ends)

    def scores(self, texts: list[str]) -> list[float | None]:
        """0 to 100 for each text: its place on the line from the low examples' mean embedding to the high ones'."""
        from cpt_utils.models.embedding import embedder

        low, high = (np.mean(embedder()(list(end)), axis=0) for end in (self.low, self.high))
        way = high - low
        places = (embedder()(texts) - low) @ way / max(float(way @ way), 1e-9)
        return [float(place) for place in np.clip(100 * places, 0, 100)]


@dataclass(frozen=True)
class Fitted:
    """What the series' judge makes of a criterion of a shipped rubric: a regression on graded texts."""

    style: str
    criterion: str

    def checked(self, name: str) -> "Fitted":
        """The same; a JudgeError says what is wrong with it for the criterion `name`."""
        parts = _judge().parts.get(self.style, {}) if isinstance(self.style, str) else {}
        if not isinstance(self.criterion, str) or self.criterion not in parts:
            known = f"{self.style!r} has {', '.join(parts)}" if parts else f"there is no style {brief(self.style)}"
            raise JudgeError(f"{name!r}: the series' judge has no criterion {brief(self.criterion)}: {known}.")
        return self

    def scores(self, texts: list[str]) -> list[float | None]:
        """0 to 100 for each text; None for one that the judge cannot read."""
        return [_judged(self.style, text).by_criterion.get(self.criterion) for text in texts]


@dataclass(frozen=True)
class Read:
    """A chat model of this name reads each text by the criterion's levels as they are written (reading.bound)."""

    judge: str

    def checked(self, name: str) -> "Read":
        """The same; a JudgeError says what is wrong with it for the criterion `name`."""
        if not isinstance(self.judge, str) or not self.judge.strip():
            raise JudgeError(
                f"{name!r}: {brief(self.judge)} names no chat model that could read for it; write its name."
            )
        return self


Way = Counted | Likened | Fitted | Read
KINDS = {"counted": Counted, "likened": Likened, "fitted": Fitted, "read": Read}
"""By the names that files and the workbench use."""


def ways_of(rubric: Rubric) -> dict[str, Way]:
    """How the series' judge scores a rubric's criteria: those that it was fitted for, by their names."""
    parts = _judge().parts
    own = {rubric.name: parts[rubric.name]} if rubric.name in parts else {}
    found: dict[str, Way] = {}
    for style, criteria in (own | parts).items():  # those of the rubric's own style come first
        for criterion in rubric.criteria:
            if criterion.name in criteria:
                found.setdefault(criterion.name, Fitted(style, criterion.name))
    return found


def write_ways(path: Path, ways: dict[str, Way]) -> None:
    """Write how criteria are scored to a YAML file; another one that stands there is kept under another name."""
    text = yaml.safe_dump({name: to_data(way) for name, way in ways.items()}, sort_keys=False, allow_unicode=True)

    def keep(place: Path) -> None:
        if place.exists():
            files.set_aside(place, files.before_now(place.name))

    if not (path.is_file() and path.read_bytes() == text.encode()):
        files.write_whole(path, text, keep)


def read_ways(path: Path | str) -> dict[str, Way]:
    """What `write_ways` wrote: as AnchorJudge takes it. A JudgeError says what is wrong with the file."""
    path = Path(os.path.expanduser(path))
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, *FAULTS) as error:
        why = getattr(error, "strerror", None) or "no YAML in UTF-8"
        raise JudgeError(f"{path.name} cannot be read ({why}): check the file.") from None
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise JudgeError(f"{path.name} does not map names of criteria to ways to score them.")
    return {name: from_data(way, name) for name, way in data.items()}


def load_ways(path: Path | str, rubric: Rubric) -> dict[str, Way]:
    """How the criteria of the rubric in a file are scored: as was saved beside it, else by the series' judge."""
    beside = Path(os.path.expanduser(path)).with_suffix(WAYS)
    return read_ways(beside) if beside.exists() else ways_of(rubric)


def to_data(way: Way) -> dict:
    """A way as plain data, such as {"kind": "counted", "measure": "commas", "low": 0.0, "high": 9.0}."""
    (kind,) = [name for name, made in KINDS.items() if isinstance(way, made)]
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(way).items()}
    return {"kind": kind} | fields


def from_data(data: dict, name: str) -> Way:
    """The way that `to_data` wrote for the criterion `name`; a JudgeError says what is wrong with it."""
    kind = data.get("kind") if isinstance(data, dict) else None
    made = KINDS.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise JudgeError(f"{name!r}: a way to score it has a kind, one of {', '.join(KINDS)}; this has {brief(kind)}.")
    fields = {field: value for field, value in data.items() if field != "kind"}
    if set(fields) != set(made.__dataclass_fields__):
        needs = ", ".join(made.__dataclass_fields__)
        has = ", ".join(field if isinstance(field, str) else brief(field) for field in fields)[:200]
        raise JudgeError(f"{name!r}: {kind} needs {needs}, and has {has}.")
    if made is Likened and not all(_is_texts(value) for value in fields.values()):
        raise JudgeError(f"{name!r}: the examples of both ends are lists of texts.")
    return made(**{field: tuple(v) if isinstance(v, list) else v for field, v in fields.items()}).checked(name)


def _is_texts(value) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
