"""Rubrics: a style as weighted criteria with five levels each."""

import re
import unicodedata
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from cpt_utils.runtime import files
from cpt_utils.runtime.errors import RubricError, first_fault

MOST_BYTES = 100_000
"""A longer file is no rubric, and would fill a teacher's context many times."""


def _writable(text: str) -> str:
    if odd := [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t"]:
        raise ValueError(f"the character {odd[0]!a} cannot be shown; delete it")
    return text


def _visible(text: str) -> str:
    if not any(c.isprintable() and not c.isspace() for c in text):
        raise ValueError("nothing in it can be seen; write something")
    return _writable(text)


Text = Annotated[str, Field(max_length=5000), AfterValidator(_visible)]
Note = Annotated[str, Field(max_length=5000), AfterValidator(_writable)]
LEVEL_SCORES = (100, 75, 50, 25, 0)
"""What a criterion is worth at each of its five levels, best first."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Criterion(Strict):
    """One aspect of a style, its share of the score in percent, and five levels, best first."""

    name: Text
    weight: float = Field(gt=0, le=100)
    description: Note = ""
    levels: list[Text] = Field(min_length=5, max_length=5)


class Rubric(Strict):
    """A style to write in and to score by (the rubrics R of arXiv 2506.11702, section 3)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: Text
    objective: Text
    guiding_principles: list[Text] = []
    levels: list[Text] = Field(min_length=5, max_length=5)
    criteria: list[Criterion] = Field(min_length=1)
    scoring_notes: Note = ""

    @field_validator("criteria")
    @classmethod
    def _names_differ(cls, criteria: list[Criterion]) -> list[Criterion]:
        names = [criterion.name for criterion in criteria]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two criteria are called {sorted(doubled)[0]!r}; rename one")
        return criteria

    @model_validator(mode="after")
    def _weights_sum(self) -> "Rubric":
        total = sum(criterion.weight for criterion in self.criteria)
        if abs(total - 100) > 0.01:
            raise ValueError(f"the weights sum to {total:g}; change them so that they sum to 100")
        return self

    @classmethod
    def from_yaml(cls, source: str | Path) -> "Rubric":
        """Read a rubric from a YAML file (a Path) or from YAML text (a str)."""
        where = source.name if isinstance(source, Path) else "the rubric text"
        data = _parse(_read(source, where) if isinstance(source, Path) else _short(source, where), where)
        if not isinstance(data, dict):
            raise RubricError(f"{where}: expected keys such as name, title and criteria at the top level.")
        return cls.checked(data, where)

    @classmethod
    def from_text(cls, text: str, name: str | None = None) -> "Rubric":
        """Import the text layout of the original release (github vicgalle/configurable-preference-tuning).

        A title line, "Objective:" or "Goal:", principles as "Name: text" lines, a tab-separated table
        headed "Criterion ... Weight" with five named levels, best first, and scoring notes to the end.
        """
        lines = [line.strip() for line in _short(text, "The rubric text").strip().splitlines()]
        head = next((i for i, line in enumerate(lines) if line.startswith("Criterion\t")), None)
        if head is None:
            raise RubricError(
                'The rubric text has no tab-separated table headed "Criterion ... Weight": copy it with tabs.'
            )
        table, end = [line.split("\t") for line in lines[head:]], len(lines)
        for offset, row in enumerate(table):
            if len(row) == 1:
                table, end = table[:offset], head + offset
                break
            if len(row) != 7:
                raise RubricError(
                    f"The rubric text, line {head + offset + 1}: {len(row)} columns instead of 7 "
                    "(criterion, five levels, weight): check the tabs."
                )
        objective, principles = "", []
        for line in filter(None, lines[1:head]):
            label, _, rest = line.partition(":")
            if label in ("Objective", "Goal"):
                objective = rest.strip()
            elif rest.strip():  # a line that ends with its colon is a heading
                principles.append(line)
        criteria = []
        for row in table[1:]:
            try:
                weight = float(row[6].strip().rstrip("%"))
            except ValueError:
                place = f"The rubric text, {row[0]!r}"
                raise RubricError(f"{place}: {row[6]!r} is not a weight; write one such as 25%.") from None
            criteria.append({"name": row[0], "levels": row[1:6], "weight": weight})
        notes = lines[end + 1 :] if end < len(lines) and lines[end].endswith(":") else lines[end:]
        return cls.checked(
            {
                "name": name or re.sub(r"[^a-z0-9]+", "_", lines[0].lower()).strip("_0123456789") or "rubric",
                "title": lines[0],
                "objective": objective,
                "guiding_principles": principles,
                "levels": table[0][1:6],
                "criteria": criteria,
                "scoring_notes": "\n".join(filter(None, notes)),
            },
            "the rubric text",
        )

    @classmethod
    def checked(cls, data: dict, where: str = "the rubric") -> "Rubric":
        """Build a rubric from plain data; a RubricError names the first thing that is wrong."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RubricError(f"{where}: {first_fault(error)}.") from None

    def to_yaml(self, path: Path | None = None) -> str:
        """The rubric as YAML text, also written to `path` if one is given."""
        text = yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True, width=100)
        if path is not None:
            files.write_whole(path, text)
        return text

    def to_markdown(self) -> str:
        """The rubric for people and for prompts: sections, and a table of criteria by level."""

        def cell(text):
            return " ".join(text.split()).replace("|", "\\|")

        head = ["Criterion", *(f"{n} ({s})" for n, s in zip(self.levels, LEVEL_SCORES)), "Weight"]
        rows = [[f"**{c.name}** {c.description}", *c.levels, f"{c.weight:g}%"] for c in self.criteria]
        table = [head, ["---"] * len(head), *rows]
        return "\n\n".join(
            filter(
                None,
                [
                    f"# {self.title}",
                    f"**Objective.** {self.objective}",
                    "\n".join(f"- {principle}" for principle in self.guiding_principles),
                    "\n".join("| " + " | ".join(map(cell, row)) + " |" for row in table),
                    f"**Scoring.** {self.scoring_notes}" if self.scoring_notes else "",
                ],
            )
        )


def _short(text: str, where: str) -> str:
    if not isinstance(text, str):
        raise RubricError(f"{where} is of type {type(text).__name__}: pass text, or the Path of a file.")
    if len(text) > MOST_BYTES:
        raise RubricError(f"{where} is too long: a rubric has at most {MOST_BYTES} characters; shorten it.")
    return text


def _read(path: Path, where: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(4 * MOST_BYTES + 1)  # no more, whatever the file is
        cut = len(data) > 4 * MOST_BYTES  # perhaps within a character
        return _short(data.decode("utf-8-sig", "replace" if cut else "strict"), where)
    except FileNotFoundError:
        raise RubricError(f"There is no rubric file {path}: check the path.") from None
    except OSError as error:
        raise RubricError(f"{where} cannot be read ({error.strerror}): check the file.") from None
    except UnicodeDecodeError:
        raise RubricError(f"{where}: not valid YAML in UTF-8; save it with that encoding.") from None


class _DoubledKey(yaml.MarkedYAMLError):
    """Two keys of one mapping have the same name."""


class _RubricLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which alone would take the last of two equal keys."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names = Counter(str(key.value) for key, _ in node.value)
        for name, count in names.items():
            if count > 1:
                raise _DoubledKey(problem=name, problem_mark=node.start_mark)
        return node


# YAML's own errors, and what PyYAML lets through: a date that is none, a number without digits, endless nesting ...
_FAULTS = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


def _parse(text: str, where: str):
    """The data of a YAML text; a RubricError names the line of what cannot be read."""
    try:
        return _RubricLoader(text).get_single_data()
    except _DoubledKey as error:
        place = f"{where}, line {error.problem_mark.line + 1}"
        raise RubricError(f"{place}: two keys below it are called {error.problem[:50]!r}; delete one.") from None
    except _FAULTS as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise RubricError(f"{where}{line}: not valid YAML in UTF-8; check indents and quotes.") from None


def shipped_rubrics() -> list[str]:
    """Names of the rubrics that come with the package."""
    return ["chaos_cinema", "rococo", "esoteric", "creative_chaos"]


def load_rubric(name: str | Path) -> Rubric:
    """Load a shipped rubric by name, or any rubric from the path of a YAML file."""
    if isinstance(name, Path) or str(name).endswith((".yaml", ".yml")):
        return Rubric.from_yaml(Path(name))
    if name not in shipped_rubrics():
        known = ", ".join(shipped_rubrics())
        raise RubricError(f"There is no shipped rubric {name!r}: use one of {known}, or a path.")
    text = resources.files("cpt_utils").joinpath(f"data/rubrics/{name}.yaml").read_text("utf-8")
    return Rubric.from_yaml(text)
