"""System prompts of a rubric of one's own: for each target a wording, a paraphrase, and an example to imitate."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from cpt_utils.rows import TARGETS
from cpt_utils.rubrics import Note, Strict, Text, rubric_file
from cpt_utils.runtime import files, folders
from cpt_utils.runtime.errors import PromptError, first_fault

WORDINGS = ".prompts.yaml"
"""How the file ends, beside a rubric's, that holds its system prompts."""


class Wording(Strict):
    """What a model is told for one target; `example` is a text that answers `task` in this style."""

    prompt: Text
    paraphrase: Note = ""
    """The same wish in other words, for evaluation only."""
    task: Note = ""
    example: Note = ""


def checked(words: dict, where: str) -> dict[str, Wording]:
    """{"low", "mid", "high": Wording} of plain data; a PromptError names what is missing or wrong."""
    if not isinstance(words, dict) or set(words) != set(TARGETS):
        found = ", ".join(map(str, words)) if isinstance(words, dict) and words else "none"
        raise PromptError(f"{where} needs system prompts for {', '.join(TARGETS)}, and has {found}: mend that.")
    read = {}
    for target in TARGETS:
        place = f"{where}, {target}"
        try:
            said = Wording.model_validate(words[target])
        except ValidationError as error:
            raise PromptError(f"{place}: {first_fault(error)}.") from None
        if not said.paraphrase:
            raise PromptError(f"{place}: paraphrase: is missing; say the same in other words (notebook 05 asks so).")
        if bool(said.task) != bool(said.example):
            raise PromptError(f"{place}: task and example: one of them is missing; write both, or none.")
        if same := [other for other in read if read[other].prompt == said.prompt]:
            raise PromptError(
                f"{place}: prompt: is the same as for {same[0]}; the two have to ask for different styles."
            )
        read[target] = said
    return read


def wordings_file(rubric: str) -> Path | None:
    """Where the system prompts of a saved rubric lie, or will; None for a rubric that nobody saved."""
    return own.with_suffix(WORDINGS) if (own := rubric_file(rubric)) else None


def load_wordings(rubric: str) -> dict[str, Wording]:
    """What `save_wordings` wrote for a saved rubric; a PromptError says what is wrong, or how to get some."""
    path = wordings_file(rubric)
    if path is None or not path.exists():
        raise PromptError(f"{rubric!r} has no system prompts yet: run notebook 02 with RUBRICS = [{rubric!r}] first.")
    return read_wordings(path)


def read_wordings(path: Path) -> dict[str, Wording]:
    """The system prompts of a file; a PromptError says what is wrong with it."""
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "no YAML in UTF-8"
        raise PromptError(f"{path.name} cannot be read ({why}): check the file.") from None
    return checked(data, path.name)


def save_wordings(rubric: str, words: dict[str, Wording]) -> Path:
    """Write system prompts beside a saved rubric; a file that somebody wrote by hand is kept under another name."""
    path = wordings_file(rubric)
    data = {target: words[target].model_dump(exclude_defaults=True) for target in TARGETS}
    folders.write_beside(path, files.encodable(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)))
    return path
