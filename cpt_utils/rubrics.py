"""Rubrics: a style as weighted criteria with five levels each."""

import functools
import os
import unicodedata
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from cpt_utils import rubric_places, rubric_text
from cpt_utils.runtime import aside, files, places, profiles
from cpt_utils.runtime.errors import RubricError, first_fault


def _writable(text: str) -> str:
    if odd := [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t"]:
        raise ValueError(f"the character {odd[0]!a} cannot be shown; delete it")
    return text


def _visible(text: str) -> str:
    if not any(c.isprintable() and not c.isspace() for c in text):
        raise ValueError("nothing in it can be seen; write something")
    return _writable(text)


def _hidden(letter: str) -> bool:
    return unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"


Text = Annotated[str, Field(max_length=5000), AfterValidator(_visible)]
Note = Annotated[str, Field(max_length=5000), AfterValidator(_writable)]


def _no_yes(value: object) -> object:
    """YAML reads yes, no, on and off as truth, which pydantic would take for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("is no number; write one, such as 20")
    return value


ENDS = (".yaml", ".yml")
"""How files of rubrics end."""
MOST_ENTRIES = 100
"""Of a list of a rubric. A short file can name one entry many thousand times."""
LEVEL_SCORES = (100, 75, 50, 25, 0)
"""What a criterion is worth at each of its five levels, best first."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Criterion(Strict):
    """One aspect of a style, its share of the score in percent, and five levels, best first."""

    name: Text
    weight: Annotated[float, BeforeValidator(_no_yes)] = Field(ge=0, le=100)
    description: Note = ""
    levels: list[Text] = Field(min_length=5, max_length=5)


class Rubric(Strict):
    """A style to write in and to score by (the rubrics R of arXiv 2506.11702, section 3)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: Text
    objective: Text
    guiding_principles: list[Text] = Field([], max_length=MOST_ENTRIES)
    levels: list[Text] = Field(min_length=5, max_length=5)
    criteria: list[Criterion] = Field(min_length=1, max_length=MOST_ENTRIES)
    scoring_notes: Note = ""

    @field_validator("criteria")
    @classmethod
    def _names_differ(cls, criteria: list[Criterion]) -> list[Criterion]:
        """Also in more than capitals, spaces and what cannot be seen, in which a judge's answer or a reader may err."""
        seen = set()
        for criterion in criteria:
            seen_as = (c for c in unicodedata.normalize("NFKC", criterion.name) if not _hidden(c))
            read = " ".join("".join(seen_as).casefold().split())
            if read in seen:
                raise ValueError(f"two criteria are called {criterion.name[:50]!r}; rename one")
            seen.add(read)
        return criteria

    @model_validator(mode="after")
    def _weights_sum(self) -> "Rubric":
        total = sum(criterion.weight for criterion in self.criteria)
        if abs(total - 100) > 0.01:
            raise ValueError(f"the weights sum to {total:g}; change them so that they sum to 100")
        return self

    @classmethod
    def from_yaml(cls, source: str | Path) -> "Rubric":
        """Read a rubric from a YAML file (a Path, or its name in one line) or from YAML text (a str)."""
        if isinstance(source, str) and _names_file(source):
            source = Path(os.path.expanduser(source))
        where = (source.name or str(source)) if isinstance(source, Path) else "the rubric text"
        return cls.checked(rubric_text.from_yaml(source, where), where)

    @classmethod
    def from_text(cls, text: str, name: str | None = None) -> "Rubric":
        """Import the text layout of the original release (github vicgalle/configurable-preference-tuning)."""
        return cls.checked(rubric_text.from_layout(text, name), "the rubric text")

    @classmethod
    def checked(cls, data: dict, where: str = "the rubric") -> "Rubric":
        """Build a rubric from plain data; a RubricError names the first thing that is wrong."""
        told = functools.partial(rubric_places.place, data=data)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RubricError(f"{where}: {first_fault(error, told)}.") from None

    def to_yaml(self, path: str | Path | None = None) -> str:
        """The rubric as YAML text, also written to `path` if one is given.

        A file that says the same already is left as it is, and one with another rubric is kept under another name.
        """
        text = yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True, width=100)
        if path is not None:
            _write(Path(os.path.expanduser(path)), self, text)
        return text

    def to_markdown(self) -> str:
        """The rubric for people and for prompts: sections, and a table of criteria by level."""

        def cell(text):
            return " ".join(text.split()).replace("|", "\\|")

        head = ["Criterion", *(f"{n} ({s})" for n, s in zip(self.levels, LEVEL_SCORES)), "Weight"]
        rows = [[f"**{c.name}** {c.description}", *c.levels, f"{c.weight:g}%"] for c in self.criteria]
        table = [head, ["---"] * len(head), *rows]
        sections = [
            f"# {self.title}",
            f"**Objective.** {self.objective}",
            "\n".join(f"- {principle}" for principle in self.guiding_principles),
            "\n".join("| " + " | ".join(map(cell, row)) + " |" for row in table),
        ]
        if self.scoring_notes:
            sections.append(f"**Scoring.** {self.scoring_notes}")
        return "\n\n".join(filter(None, sections))


def _names_file(text: str) -> bool:
    return text.lower().endswith(ENDS) and len(text.splitlines()) == 1


def _write(path: Path, rubric: Rubric, text: str) -> None:
    """Write a rubric whole. A RubricError says why it cannot be, or refuses to replace anything but a rubric."""
    former = None
    try:
        place = path.resolve()  # a link stays one
        if place.is_dir():  # the error of the system names another file, and differs by system
            raise IsADirectoryError(0, "it is a folder")
        # A device or a pipe is never replaced.
        free = not os.path.lexists(place) or place.is_file() and (former := _rubric_in(place))
        if free and former != rubric:
            files.write_whole(place, text, functools.partial(_keep, former))
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise RubricError(f"The rubric cannot be written to {path} ({why}): check the path.") from None
    if not free:
        raise RubricError(
            f"{path} is there already and is no rubric: move it away or choose another name; nothing was replaced."
        )


def _keep(former: Rubric | None, place: Path) -> None:
    """Set the rubric that stands there aside, and say so."""
    if former:
        kept = files.set_aside(place, files.before_now(place.name))
        print(f"note: {place.name} held another rubric ({former.title!r}), which is kept as {kept.name}")


def _rubric_in(path: Path) -> Rubric | None:
    try:
        return Rubric.from_yaml(path)
    except RubricError:
        return None


def shipped_rubrics() -> list[str]:
    """Names of the rubrics that come with the package."""
    return ["chaos_cinema", "rococo", "esoteric", "creative_chaos"]


def rubric_file(name: str) -> Path | None:
    """The YAML file of a rubric that was saved in the run's folder under this name; None if there is none.

    The name is the file's without its ending or, where no file is called so, the rubric's own.
    """
    folder = files.named_folder("CPT_RUNS", "runs") / profiles.load_profile("auto").name
    found = [path for path in yaml_files(folder) if path.stem == name][:1] or files_of(folder, name)
    if len(found) > 1:
        named = " and ".join(path.name for path in found)
        raise RubricError(f"{named} hold a rubric {name!r}: save one under another name (notebook 01).")
    return next(iter(found), None)


def files_of(folder: Path, name: str) -> list[Path]:
    """The files of a folder that hold a rubric of this name, without those that were set aside."""
    paths = [path for path in yaml_files(folder) if not aside.was_set_aside(path.name)]
    return [path for path in paths if _name_in(path, places.version(path)) == name]


@functools.lru_cache(maxsize=1000)
def _name_in(path: Path, _at: tuple | None) -> str | None:
    """The name of the rubric in a file, read once as long as the file stays as it is."""
    return getattr(_rubric_in(path), "name", None)


def yaml_files(folder: Path) -> list[Path]:
    """The files of a folder that end as rubrics' do, by name."""
    return sorted((path for path in folder.glob("*.y*ml") if path.suffix in ENDS), key=lambda path: path.name)


def source_file(name: str | Path | Rubric) -> Path | None:
    """The YAML file that `load_rubric` reads for this; None for what comes from none, or is not known."""
    if isinstance(name, Rubric) or name in shipped_rubrics():
        return None
    if isinstance(name, Path) or _names_file(str(name)):
        return Path(os.path.expanduser(name))
    return rubric_file(str(name))


def load_rubric(name: str | Path | Rubric) -> Rubric:
    """Load a rubric: a shipped one by name, one saved in the run's folder by its name, any by the path of a YAML file.

    A Rubric is returned as it is.
    """
    if isinstance(name, Rubric):
        return name
    if name in shipped_rubrics():
        return Rubric.checked(files.load_data(f"rubrics/{name}.yaml"), f"the rubric {name}")
    if path := source_file(name):
        return Rubric.from_yaml(path)
    known = ", ".join(shipped_rubrics())
    raise RubricError(f"There is no rubric {name!r}: use one of {known}, one that you saved, or a path.")
