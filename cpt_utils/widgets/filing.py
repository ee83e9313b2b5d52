"""A studio's files: a rubric and how its criteria are scored, by the name that was typed."""

import hashlib
import os
from pathlib import Path

from cpt_utils.drafting import as_own
from cpt_utils.rubrics import ENDS, Rubric, files_of, load_rubric, shipped_rubrics, source_file, yaml_files
from cpt_utils.runtime import aside, files
from cpt_utils.runtime.errors import RubricError
from cpt_utils.ways import WAYS, Way, load_ways, ways_of
from cpt_utils.widgets import drafts
from cpt_utils.wordings import WORDINGS

Known = dict[Path, bytes | None]
"""Files as a studio loaded or saved them: those that it may replace."""
BASELINE = "baseline.yaml"
"""The file of a state that was kept to compare with."""


def opened(rubric: str | Path | Rubric, folder: Path, known: Known) -> tuple[Rubric, dict[str, Way], str]:
    """What a studio opens with: a rubric, its ways, and the name of its file or, without one, its own.

    A file of the studio's folder may be saved again. A RubricError or a JudgeError says what is wrong.
    """
    path = source_file(rubric)
    if path is None:
        found = load_rubric(rubric)
        named = named_apart(found, found.name)
        return named, ways_of(found), named.name
    before = drafts.text_of(path)
    found = load_rubric(path)
    ways = load_ways(path, found)
    if path.parent.resolve() == folder.resolve():
        known[folder / path.name] = before
    return named_apart(found, drafts.called_by(path)), ways, path.name


def named_apart(rubric: Rubric, called: str) -> Rubric:
    """A rubric under the name that its file gives it, where it is a changed copy that kept the name of a shipped one.

    Else the marks and system prompts of the shipped rubric would be taken for its own.
    """
    if rubric.name not in shipped_rubrics() or rubric == load_rubric(rubric.name):
        return rubric
    return as_own(rubric.model_copy(update={"name": called}))


def save(folder: Path, name: str, draft: dict, ways: dict[str, Way], known: Known) -> str:
    """Write a draft and its ways; what to say of it. A RubricError says what is in the way."""
    path = drafts.yaml_path(folder, name)
    if drafts.called_by(path) == Path(BASELINE).stem:  # which the next baseline replaces
        raise RubricError(f"{BASELINE} holds what the tab Compare keeps to compare with: choose another name.")
    if aside.was_set_aside(path.name):  # no rubric is found by such a name
        raise RubricError(f"{path.name} is how a file that was set aside is called: choose another name.")
    for other in (path.with_suffix(end) for end in ENDS if end != path.suffix):
        if other.exists():  # the files beside them have one name
            raise RubricError(f"{other.name} is there already, and differs in its ending alone: choose another name.")
    there, called = path.exists(), drafts.called_by(path)
    held = files_of(folder, called)
    if held and path not in held:  # else marks and texts of two rubrics would mix
        raise RubricError(
            f"{held[0].name} holds a rubric {called!r} already, and this one would have the same name: choose another "
            "name, or load that file to go on with it."
        )
    drafts.save_draft(draft, ways, path, known.get(path))
    known[path] = drafts.text_of(path)
    by = path.stem if _is_found(path) else str(path)
    named = "" if called == path.stem else f", and its name is {called!r}"  # as RUBRICS takes it
    return f"Saved {files.shown(path)}{' (replaced)' if there else ''}: load_rubric({by!r}) reads it{named}."


def _is_found(path: Path) -> bool:
    """Whether `load_rubric` finds a file by its name."""
    try:
        return source_file(path.stem) == path
    except RubricError:  # the run's folder, which may be another one, holds several of this name
        return False


def load(folder: Path, name: str, known: Known) -> tuple[Rubric, dict[str, Way], str]:
    """A rubric, its ways and the name of its file. A RubricError or a JudgeError says what is wrong with them."""
    path = drafts.yaml_path(folder, name)
    before = drafts.text_of(path)
    rubric = drafts.load_draft(path)
    ways = load_ways(path, rubric)
    known[path] = before
    return named_apart(rubric, drafts.called_by(path)), ways, path.name


def put(path: Path, content: bytes, written: Known, beside: str = "") -> str:
    """Write a file, in place of what this studio wrote there; anything else that stands there is set aside.

    Returns what to say of it. `written`: what was written so far; `beside`: how a file ends that belongs to this one.
    """
    told = ""

    def meet(place: Path) -> None:
        nonlocal told
        there = drafts.text_of(place)
        if os.path.lexists(place) and (there != content or beside):
            mine = there is not None and there == written.get(path)
            kept = None if mine else files.set_aside(place, files.before_now(place.name))
            told = " (replaced)" if mine else f" (what stood there is kept as {kept.name})"
            if kept and beside and os.path.lexists(theirs := place.with_suffix(beside)):
                files.set_aside(theirs, kept.with_suffix(beside).name)

    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(path, content, meet)
    written[path] = content
    return told


def keep_state(folder: Path, draft: dict, ways: dict[str, Way], written: Known) -> str:
    """Write a state as the baseline, in place of one's own older one; what to say of it."""
    path = folder / BASELINE
    rubric = drafts.checked(draft | {"name": drafts.called_by(path)})
    try:
        told = put(path, rubric.to_yaml().encode(), written, WAYS)
    except OSError as error:
        raise RubricError(f"{path.name} cannot be written ({files.why(error)}): check the folder.") from None
    drafts.save_ways(path, rubric, ways)
    return f"Kept as {path.name}{told}"


def marks_of(known: Known) -> dict[str, str]:
    """Names of files with a hash of what is known to stand in them."""
    return {path.name: hashlib.sha256(data).hexdigest() for path, data in known.items() if data is not None}


def recalled(folder: Path, hashes: dict[str, str]) -> Known:
    """The files of a folder that still hold what `marks_of` noted."""
    found = {folder / name: drafts.text_of(folder / name) for name in hashes}
    now = marks_of(found)
    return {path: data for path, data in found.items() if now.get(path.name) == hashes[path.name]}


def names(folder: Path) -> list[str]:
    """Of the rubrics in a folder."""
    return [path.name for path in yaml_files(folder) if not _lies_beside(path.name)]


def _lies_beside(name: str) -> bool:
    """Whether a file holds ways or system prompts; such names once ended otherwise when the file was set aside."""
    stems = tuple(f"{end.removesuffix('.yaml')}-before-" for end in (WAYS, WORDINGS))
    return name.endswith((WAYS, WORDINGS)) or any(stem in name for stem in stems)
