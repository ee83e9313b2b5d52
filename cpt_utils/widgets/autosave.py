"""The draft of a studio, kept in a file while it is edited, so that a cell that runs again can go on with it."""

import contextlib
import json
import re
import threading
import time
from pathlib import Path
from typing import NamedTuple

import ipywidgets as w

from cpt_utils.rubrics import LEVEL_SCORES, Rubric
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import CptError, RubricError
from cpt_utils.ways import from_data, to_data
from cpt_utils.widgets import drafts, views
from cpt_utils.widgets.apart import own_folder
from cpt_utils.widgets.controls import button, row

PAUSE = 0.3
"""Seconds without a change before a draft is written: a moving slider makes many."""
TEXTS = ("name", "title", "objective", "scoring_notes")


class DraftFiles(NamedTuple):
    """Where a draft is kept, and where one may lie from before, when a room's folder had everybody's."""

    own: Path
    former: Path


def draft_file(folder: Path, name: str) -> DraftFiles:
    """The files for the draft of a studio of this folder that opens with the rubric `name`."""
    called = f"studio-{re.sub(r'[^a-z0-9_]', '_', name)}.json"
    return DraftFiles(own_folder(folder) / called, folder / called)


def packed(state: dict) -> str:
    """A studio's state (draft, original, opened, ways, begun, named), and the hashes of its files (known), as JSON."""
    ways = {part: {name: to_data(way) for name, way in state[part].items()} for part in ("ways", "begun")}
    return files.encodable(json.dumps(state | ways, ensure_ascii=False, indent=1))


def unpacked(text: str) -> dict:
    """What `packed` made: a draft may be wrong for a while, all else is checked; a RubricError says it is no draft."""
    try:
        kept = json.loads(text)
        original = Rubric.checked(kept["original"]).model_dump()
        for part in ("ways", "begun"):
            kept[part] = {name: from_data(way, name) for name, way in kept[part].items()}
        if not _is_draft(kept["draft"]) or not isinstance(kept["opened"], str):
            raise RubricError("it has other keys")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CptError) as error:
        raise RubricError(f"no draft of the studio ({error})") from None
    named = kept.get("named")  # drafts of older versions have none
    if not _texts(named, len(kept["draft"]["criteria"])):
        named = [criterion["name"] for criterion in kept["draft"]["criteria"]]
    known = kept.get("known")
    known = known if isinstance(known, dict) and _texts(list(known.values())) else {}
    parts = {part: kept[part] for part in ("draft", "opened", "ways", "begun")}
    return parts | {"original": original, "named": named, "known": known}


def _texts(value, count=None) -> bool:
    return isinstance(value, list) and all(isinstance(x, str) for x in value) and count in (None, len(value))


def _is_draft(data) -> bool:
    """Whether data has a rubric's form, whatever its texts say."""

    def criterion(one) -> bool:
        return (
            set(one) == {"name", "weight", "description", "levels"}
            and isinstance(one["name"], str)
            and isinstance(one["description"], str)
            and type(one["weight"]) in (int, float)
            and 0 <= one["weight"] <= 100
            and _texts(one["levels"], len(LEVEL_SCORES))
        )

    return (
        set(data) == {*TEXTS, "guiding_principles", "levels", "criteria"}
        and all(isinstance(data[name], str) for name in TEXTS)
        and _texts(data["guiding_principles"])
        and _texts(data["levels"], len(LEVEL_SCORES))
        and bool(data["criteria"])
        and all(map(criterion, data["criteria"]))
    )


class DraftKeeper(w.VBox):
    """Keeps a studio's state in a file, and offers what was left there: `on_resume(state)` hears that it is taken.

    What is not taken, or was written by another studio since, is set aside under another name as soon as something is
    edited. A draft in a room's folder, from before, may be anybody's: it is offered as that, and stays there.
    """

    def __init__(self, paths: DraftFiles, on_resume):
        self.path, self.on_resume, self.timer, self.turn = paths.own, on_resume, None, threading.Lock()
        self.ours: bytes | None = None  # what this studio wrote into the file, or took from it
        self.told = w.HTML(layout=w.Layout(width="98%"))
        self.go_on = button("Go on with it", "Open the draft that was kept", self._go_on)
        self.anew = button("Begin anew", "Leave the draft; its file stays, your own under a new name", self._begin_anew)
        self.choice = row(self.go_on, self.anew)
        super().__init__([self.told, self.choice])
        self.choice.layout.display = "none"
        for path in dict.fromkeys(paths):
            with contextlib.suppress(OSError, ValueError):  # none there, or of no use
                self._offer(path)
                break

    def _offer(self, path: Path) -> None:
        self._find(path)
        when = time.strftime("%d %b, %H:%M", time.localtime(path.stat().st_mtime))
        named = f"({self.found['draft']['title'] or 'no title yet'}, {when})"
        if path == self.path:
            words = f"Your last draft here {named} is kept: go on with it, or begin anew."
        else:
            words = f"A draft lies in this folder {named}: go on with it if it is yours, or begin anew."
        self.told.value = views.status(words)
        self.choice.layout.display = None

    def _find(self, path: Path) -> None:
        """Look at the draft in a file."""
        data = path.read_bytes()
        self.found, self.data, self.at = unpacked(data.decode("utf-8")), data, path

    def _go_on(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # else as it was offered
            self._find(self.at)  # the cell's former studio may have written its last edit after the offer
        self.ours = self.data if self.at == self.path else self.ours
        self._say("")
        self.on_resume(self.found)

    def _begin_anew(self) -> None:
        try:
            self._set_aside()
        except OSError as error:
            told = f"The draft cannot be set aside ({files.why(error)}): it stays where it is. Check the run's folder."
            self.told.value = views.status(told, "error")

    def _set_aside(self) -> None:
        words = ""
        if self.path.exists():
            kept = files.set_aside(self.path, files.before_now(self.path.name))
            words = f"The former draft is kept as {files.shown(kept)}."
        self._say(words)

    def _say(self, words: str) -> None:
        self.told.value = views.note(words) if words else ""
        self.choice.layout.display = "none"

    def keep(self, state: dict, edited: bool) -> None:
        """Write the state soon; one that is not edited needs no file."""
        if self.timer is not None:
            self.timer.cancel()
        if not edited and self.ours is None:  # it was just opened
            return
        text = packed(state) if edited else ""
        self.timer = threading.Timer(PAUSE, self._write, [text])
        self.timer.daemon = True
        self.timer.start()

    def flush(self) -> None:
        """Wait until what was to be kept is."""
        if self.timer is not None:
            self.timer.join(10 * PAUSE)

    def _write(self, text: str) -> None:
        try:
            with self.turn:
                foreign = drafts.text_of(self.path) not in (None, self.ours)
                if text:
                    if foreign or self.choice.layout.display is None:
                        self._set_aside()
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    files.write_whole(self.path, text)
                    self.ours = drafts.text_of(self.path)
                elif not foreign:
                    self.path.unlink(missing_ok=True)
        except OSError as error:
            self._say(f"Your draft is not kept ({files.why(error)}): save it as a file, or mend the run's folder.")
