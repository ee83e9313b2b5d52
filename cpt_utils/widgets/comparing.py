"""The studio's tab Compare: the rubric beside another state of it, or beside a saved one."""

import io
from pathlib import Path

import ipywidgets as w

from cpt_utils import charts
from cpt_utils.rubrics import load_rubric, shipped_rubrics
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import CptError, RubricError
from cpt_utils.ways import WAYS, Way, load_ways, ways_of
from cpt_utils.widgets import drafts, filing, ranking, states, views
from cpt_utils.widgets.apart import own_folder
from cpt_utils.widgets.controls import button, field, row
from cpt_utils.widgets.states import State

OPENED = "as it was opened"
OF_THE_FOLDER = f"{filing.BASELINE} of the folder"


class CompareView(w.VBox):
    """Choose what to compare with; `on_pick()` hears of it. `bind(rubric, ways)` gives ways their chat models."""

    def __init__(self, folder: Path, bind, on_pick):
        self.folder, self.own, self.bind, self.on_pick = folder, own_folder(folder), bind, on_pick
        self.opened: State | None = None
        self.now: State | None = None
        self.ways: dict[str, Way] = {}
        self.texts: dict[str, str] = {}
        self.written: filing.Known = {}  # baselines and pictures of this studio
        self.quiet = False
        self.version: tuple | None = None  # of the files of the state that is `loaded`
        self.loaded: State | None = None
        self.picked = field("Compare with", w.Dropdown, options=[OPENED])
        self.keep = button("Keep as the baseline", "Save this state to compare with, now and later", self._keep)
        self.picture = button("Save a picture (PNG)", "The ranking with the scores by criterion, as a file", self._draw)
        self.told = w.HTML().add_class("cpt-told")
        self.table = w.HTML().add_class("cpt-view")
        super().__init__([self.picked, row(self.keep, self.picture), self.told, self.table])
        self.picked.observe(lambda _: None if self.quiet else on_pick(), "value")

    def baseline(self) -> State | None:
        """The state to compare with; None before there is one. A broken file is told, and is none."""
        try:
            return self._load(self.picked.value)
        except CptError as error:
            self.told.value = views.status(str(error), "error")
            return None

    def _load(self, name: str) -> State | None:
        if name == OPENED:
            return self.opened
        path = self._files().get(name, self.folder / name)
        version = (name, drafts.text_of(path), drafts.text_of(path.with_suffix(WAYS)))
        if version != self.version:
            shipped = name in shipped_rubrics()
            rubric = load_rubric(name) if shipped else drafts.load_draft(path)
            ways = ways_of(rubric) if shipped else load_ways(path, rubric)
            self.version, self.loaded = version, State(name, rubric, self.bind(rubric, ways))
        return self.loaded

    def _files(self) -> dict[str, Path]:
        """The saved states by what to call them: one's own baseline, and the rubrics of the folder.

        A baseline that lies in a room's folder is somebody's from before.
        """
        found, mine = {name: self.folder / name for name in filing.names(self.folder)}, self.own / filing.BASELINE
        if self.own == self.folder or not mine.exists():
            return found
        theirs = found.pop(filing.BASELINE, None)
        return {filing.BASELINE: mine} | found | ({OF_THE_FOLDER: theirs} if theirs else {})

    def follow(self, opened: State, now: State, ways: dict[str, Way]) -> None:
        """Hear of the rubric that is edited, and of the one that was opened; list what it can be compared with."""
        self.opened, self.now, self.ways = State(OPENED, opened.rubric, opened.ways), now, ways
        names, kept = [OPENED, *self._files(), *shipped_rubrics()], self.picked.value
        self.quiet = True
        if list(self.picked.options) != names:
            self.picked.options = names
            self.picked.value = kept if kept in names else OPENED
        self.quiet = False

    def show(self, texts: dict[str, str]) -> None:
        """Show what these texts score before and now."""
        self.texts = texts
        before = self.baseline()
        self.table.value = states.comparison_view(before, self.now, texts) if before else ""

    def _keep(self) -> None:
        try:
            told = filing.keep_state(self.own, self.now.rubric.model_dump(), self.ways, self.written)
        except RubricError as error:
            self.told.value = views.status(f"Not kept. {error}", "error")
            return
        self.follow(self.opened, self.now, self.ways)
        self.told.value = views.status(f"{told}: choose it above, now or another day.", "ok")
        self.quiet = True
        self.picked.value = filing.BASELINE
        self.quiet = False
        self.on_pick()  # even where it was chosen before: it says other things now

    def _draw(self) -> None:
        if not self.texts:
            self.told.value = views.status("There is nothing to draw yet: the texts are still being scored.", "error")
            return
        name = f"{self.now.rubric.name}_ranking.png"
        weights = {criterion.name: criterion.weight for criterion in self.now.rubric.criteria}
        page = io.BytesIO()
        boxes = charts.save_ranking(page, self.now.rubric.title, weights, ranking.placed(self.now, self.texts))
        try:
            told = filing.put(self.folder / name, page.getvalue(), self.written)
        except OSError as error:
            words = f"The picture cannot be written ({files.why(error)}): check the folder."
            self.told.value = views.status(words, "error")
            return
        self.told.value = views.status(f"Saved {files.shown(self.folder / name)}{told}. {boxes}".strip(), "ok")
