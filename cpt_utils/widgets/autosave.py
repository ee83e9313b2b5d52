"""The draft of a studio, kept in a file while it is edited, so that a cell that runs again can go on with it."""

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
from cpt_utils.runtime.places import version
from cpt_utils.ways import from_data, to_data
from cpt_utils.widgets import drafts, views
from cpt_utils.widgets.apart import own_folder
from cpt_utils.widgets.controls import button, field, row

PAUSE = 0.3
"""Seconds without a change before a draft is written: a moving slider makes many."""
MOST = 10
"""Drafts offered: those that were written last."""
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


class Draft(NamedTuple):
    """What lies in a draft's file, and what to call it."""

    label: str
    path: Path
    state: dict
    data: bytes


def drafts_in(paths: DraftFiles) -> list[Draft]:
    """The drafts to go on with: the last one, then those that were set aside, the newest first; else a room's."""
    once: dict[str, Draft] = {}  # what was gone on with lies in two files
    for draft in filter(None, map(read_draft, (paths.own, *set_aside_of(paths.own)))):
        once.setdefault(packed({part: draft.state[part] for part in ("draft", "ways", "begun")}), draft)
        if len(once) == MOST:  # older files are not even read
            break
    return list(once.values()) or list(filter(None, [read_draft(paths.former)]))


def set_aside_of(path: Path) -> list[Path]:
    """The files under whose names a draft's file was set aside, the one that was written last first."""
    written = [(version(each), each) for each in path.parent.glob(f"{path.stem}-before-*{path.suffix}")]
    return [each for found, each in sorted(written, key=lambda pair: pair[0] or (), reverse=True) if found]


def read_draft(path: Path) -> Draft | None:
    """The draft in a file; None where none is there, or it is of no use."""
    try:
        data = path.read_bytes()
        state = unpacked(data.decode("utf-8"))
        when = time.strftime("%d %b, %H:%M:%S", time.localtime(path.stat().st_mtime))
    except (OSError, ValueError):
        return None
    return Draft(files.encodable(f"{state['draft']['title'] or 'no title yet'}, {when}"), path, state, data)


class DraftKeeper(w.VBox):
    """Keeps a studio's state in a file, and offers what was left there: `on_resume(state)` hears that it is taken.

    What is not taken, or was written by another studio since, is set aside under another name as soon as something is
    edited, and offered from there. A studio whose own draft was set aside so by another one goes on under that name. A
    draft in a room's folder, from before, may be anybody's: it is offered as that, and stays there.
    """

    def __init__(self, paths: DraftFiles, on_resume):
        self.paths, self.path, self.on_resume = paths, paths.own, on_resume
        self.timer, self.turn = None, threading.Lock()
        self.ours: bytes | None = None  # what this studio wrote into the file, or took from it
        self.told = w.HTML(layout=w.Layout(width="98%"))
        self.which = field("Draft", w.Dropdown)
        self.go_on = button("Go on with it", "Open the draft that was kept", self._go_on)
        self.anew = button("Begin anew", "Leave the draft; its file stays, your own under a new name", self._begin_anew)
        self.choice = w.VBox([self.which, row(self.go_on, self.anew)])
        super().__init__([self.told, self.choice])
        self._offer()

    def _offer(self, words: str = "") -> None:
        """Offer the drafts that there are; of none, say only what was to be said."""
        found = drafts_in(self.paths)
        self._say(words)
        if not found:
            return
        first = found[0]
        if first.path == self.paths.own:
            words = f"Your last draft here ({first.label}) is kept: go on with it, or begin anew."
        elif first.path == self.paths.former:
            words = f"A draft lies in this folder ({first.label}): go on with it if it is yours, or begin anew."
        else:
            kept = files.shown(first.path)
            words = f"A former draft ({first.label}) is kept as {kept}: go on with it, or begin anew."
        more = " There are earlier ones, too: choose in Draft." if len(found) > 1 else ""
        self.told.value = views.status(words + more)
        self.which.options = [(draft.label, draft) for draft in found]
        self.which.index = 0
        self.which.layout.display = None if len(found) > 1 else "none"
        self.choice.layout.display = None

    def _go_on(self) -> None:
        offered: Draft = self.which.value
        # The cell's former studio may have written its last edit after the offer.
        taken = read_draft(offered.path) or offered
        self.ours = taken.data if taken.path == self.path else self.ours
        self._say("")
        self.on_resume(taken.state)

    def _begin_anew(self) -> None:
        try:
            self._say(self._set_aside() if self.ours is None else "")  # else it was set aside for what is edited now
        except OSError as error:
            told = f"The draft cannot be set aside ({files.why(error)}): it stays where it is. Check the run's folder."
            self.told.value = views.status(told, "error")

    def _set_aside(self) -> str:
        """Give the file that lies there another name; what to say of it."""
        if not self.path.exists():
            return ""
        kept = files.set_aside(self.path, files.before_now(self.path.name))
        return f"The former draft is kept as {files.shown(kept)}."

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
                    if foreign:
                        self._make_way()
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    files.write_whole(self.path, text)
                    self.ours = drafts.text_of(self.path)
                elif not foreign:
                    self.path.unlink(missing_ok=True)
                    self.ours = None
        except OSError as error:
            self._say(f"Your draft is not kept ({files.why(error)}): save it as a file, or mend the run's folder.")

    def _make_way(self) -> None:
        """Have a file to write into, where another studio's draft lies: one's own, if that was set aside, else this."""
        own = (path for path in set_aside_of(self.paths.own) if self.ours and drafts.text_of(path) == self.ours)
        if place := next(own, None):
            self.path = place
        elif self.choice.layout.display is None:
            self._offer(self._set_aside())
        else:
            self._say(self._set_aside())
