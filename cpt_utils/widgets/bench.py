"""The studio's tab Texts: texts of one's own, from a file, pasted, or fresh from a teacher; each opens to the whole."""

from pathlib import Path

import ipywidgets as w

from cpt_utils import own_texts
from cpt_utils.degenerate import is_seen
from cpt_utils.fresh import fresh_text, fresh_turns
from cpt_utils.own_texts import FRESH, OwnText
from cpt_utils.rows import TARGETS, Task
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime import places
from cpt_utils.runtime.errors import CptError, StoreError
from cpt_utils.widgets import drafts, lacks, views
from cpt_utils.widgets.controls import button, field, row
from cpt_utils.widgets.readers import TUNED, ChatModels
from cpt_utils.widgets.states import State
from cpt_utils.widgets.work import Work

HOW = "These texts stand in the tab Scores beside the recorded ones; they are kept in the folder of the rubrics."


class BenchView(w.VBox):
    """Own texts, kept in `folder`; `on_texts()` hears when there are others. `texts`: those that there are."""

    def __init__(self, folder: Path, models: ChatModels, on_texts):
        self.folder, self.models, self.on_texts = folder, models, on_texts
        self.texts: list[OwnText] = []
        self.rubric: Rubric | None = None
        self.file = field("Texts file", w.Text, placeholder="a .csv or .jsonl file with a column response")
        self.bring = Work("Bring its texts in", "Add the texts of this file", self._bring, self.reload)
        self.label = field("Its name", w.Text, placeholder="a short name for the text below")
        self.paste = field("New text", w.Textarea, rows=3, placeholder="Paste a text here")
        self.add = button("Add the text", "Add the pasted text", self._add)
        self.writer = field("Written by", w.Dropdown, options=models.names())
        self.task = field("Task", w.Textarea, rows=2, placeholder="what the teacher is to write about")
        self.target = field("Target", w.Dropdown, options=[(f"{name} ({t})", t) for name, t in TARGETS.items()])
        self.target.value = TARGETS["high"]
        self.paper = w.HTML().add_class("cpt-fresh")
        self.write = Work("Write a text", "Ask this teacher for a text at this target", self._write, self.reload)
        self.told = w.HTML().add_class("cpt-told")
        self.list = w.HTML().add_class("cpt-view")
        self.aside = button(
            "Put all aside", "Begin without own texts; their files are kept under other names", self._aside
        )
        heads = [w.HTML(f"<b>{words}</b>") for words in ("From a file", "Pasted", "Fresh from a teacher", "Own texts")]
        super().__init__(
            [
                *(heads[0], self.file, self.bring),
                *(heads[1], self.label, self.paste, row(self.add)),
                *(heads[2], self.writer, self.task, self.target, self.write, self.paper),
                *(heads[3], self.told, self.list, row(self.aside)),
            ]
        )
        self._read()

    def show(self, now: State) -> None:
        """List the own texts with their scores under the rubric that is edited; teachers write by it."""
        self.rubric, standing = now.rubric, now.standing(row["response"] for row in self.texts)
        told = f"{len(self.texts)} own texts. {HOW}"
        if not self.told.value.count("✗"):
            self.told.value = views.note(told)
        self.aside.disabled = not self.texts
        entries = [row | drafts.weighed(now.rubric, standing.parts[row["response"]]) for row in self.texts]
        lacking = views.status(standing.left_out) if standing.left_out else ""
        self.list.value = lacking + "".join(_row(now, entry) for entry in entries)

    def reload(self) -> None:
        """Read the files again and tell of it."""
        self._read()
        self.on_texts()

    def others(self) -> bool:
        """Whether the files have other texts than before, as the desk or another studio may have added some."""
        if others := self.version != self._version():
            self._read()
        return others

    def _version(self) -> list:
        return [places.version(self.folder / name) for name in (own_texts.KEPT, FRESH)]

    def _read(self) -> None:
        self.version = self._version()
        try:
            self.texts, left_out = own_texts.parted_texts(self.folder)
            self.told.value = views.status(left_out, "error") if left_out else ""
        except CptError as error:
            self.told.value = views.status(str(error), "error")

    def _bring(self):
        path = own_texts.named_file(self.folder, self.file.value)

        def read(work: Work) -> str:
            work.say(f"Reading {path.name} ...")
            texts = own_texts.read_texts(path)
            new = own_texts.keep_texts(self.folder, texts)
            return f"{new} of {len(texts)} texts of {path.name} are new and were added."

        return read

    def _add(self) -> None:
        text, label = self.paste.value.strip(), self.label.value.strip()
        if not is_seen(text):
            self.told.value = views.status("There is nothing to add: paste a text first.", "error")
            return
        try:
            new = own_texts.own_text(label or f"pasted {len(self.texts) + 1}", text)
            added = own_texts.keep_texts(self.folder, [new])
        except StoreError as error:
            self.told.value = views.status(str(error), "error")
            return
        if not added:
            self.told.value = views.status("This text is there already.", "error")
            return
        self.paste.value = self.label.value = ""
        self.reload()

    def _write(self):
        name, rubric, target = self.writer.value, self.rubric, self.target.value
        prompt = self.task.value.strip()
        if not prompt:
            raise StoreError("There is no task: say what the text is to be about.")
        turns = fresh_turns(prompt, rubric, target, name == TUNED)
        task = Task(prompt=prompt, rubric=rubric.name, target=target)
        known = {row["response"] for row in self.texts}

        def write(work: Work) -> str:
            self.paper.value = ""
            work.say(f"Waiting for {name} ...")
            writer = self.models.load(name)
            if work.stop.is_set():
                return "Nothing was asked."
            work.say(f"{name} writes ...")
            made = fresh_text(writer, task, turns, self.folder / FRESH, self._grow, work.stop)
            if made is None:
                return "What stands here is half a text, and is not kept."
            text = own_texts.own_text(name, made["response"])["response"]
            if len(text) > own_texts.LONGEST:
                raise StoreError(f"{name} wrote {own_texts.too_long(text)} {FRESH} keeps it; it is left out here.")
            told = "the same text as before: it is there already" if text in known else f"{len(text.split())} words"
            return f"{name} wrote {told}."

        return write

    def _grow(self, text: str) -> None:
        self.paper.value = views.whole_text(text)

    def _aside(self) -> None:
        try:
            names = own_texts.put_aside(self.folder)
        except (StoreError, OSError) as error:
            self.told.value = views.status(str(error), "error")
            return
        self.reload()
        self.told.value = views.status(f"Kept as {', '.join(names)}.", "ok")


def _row(now: State, entry: dict) -> str:
    """One own text, folded: its total, its scores by criterion, all of it."""
    total = "none" if entry["total"] is None else f"{entry['total']:.1f}</b>{views.rests(entry)}<b>"
    task = views.note(f"Task: {entry['prompt']}") if entry["prompt"] else ""
    flag = drafts.flagged(entry["response"])
    idle = lacks.unasked(now.ways, now.unasked, entry["response"])
    bars = views.criterion_bars(now.rubric, entry | {"flag": flag}, idle)
    return (
        "<details style='border-top:1px solid #8886;padding:3px 0;line-height:1.4'><summary style='cursor:pointer'>"
        f"{views.text(entry['label'])} · <b>{total}</b>{' ✗' if flag else ''}</summary>"
        f"{task}{bars}{views.whole_text(entry['response'])}</details>"
    )
