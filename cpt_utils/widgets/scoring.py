"""The studio's tab Scoring: how each criterion is scored, so that a rubric of one's own can be tried at once."""

import re
from collections.abc import Hashable

import ipywidgets as w
import numpy as np

from cpt_utils.measures import meaning, style_measures
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import JudgeError
from cpt_utils.ways import Counted, Fitted, Likened, Read, Way, rounded, unsaid, ways_of
from cpt_utils.widgets import lacks, views
from cpt_utils.widgets.controls import button, field, row

COUNTED, LIKENED, FITTED, NONE = "counted", "likened to examples", "by the series' judge", "not at all"
READ = "read by a chat model"
GIVE = "rubric_studio(..., teachers=[endpoint_teacher(model, base_url)]) takes them"
FIELDS = ("kind", "measure", "low", "high", "low_texts", "high_texts", "judge")
BREAK = "\n\n"
"""Between two examples: a blank line."""
HOW = {
    COUNTED: "A style measure is counted; in between the two values the score moves in a straight line.",
    LIKENED: "A text is likened to your examples of both ends by sentence embeddings; a blank line parts two examples.",
    FITTED: "A regression on graded texts of the shipped rubric; it knows this criterion by its name.",
    READ: "A chat model reads each text by this criterion's description and levels as you write them; requests go out "
    "when you press the button, and verdicts are kept.",
    NONE: "The criterion gets no score, and totals rest on the others.",
}


class ScoringView(w.VBox):
    """Choose a criterion, and how it is scored; `on_way(name, way)` hears it, with None for not at all.

    `readers`: the chat models that may read, by name; `panel` says what waits to be read.
    """

    def __init__(self, on_way, readers: list[str], panel: w.Widget):
        self.on_way, self.quiet = on_way, True
        self.rubric, self.ways, self.texts, self.opened = None, {}, {}, ""
        # By the criterion's id: the way that was held when its fields were left so, their values, and their fault.
        self.typed: dict[Hashable, tuple[Way | None, dict, str]] = {}
        self.ids, self.coming = {}, []
        self.criterion = field("Criterion", w.Dropdown)
        self.kind = field("Scored", w.Dropdown, options=[COUNTED, LIKENED, FITTED, READ, NONE])
        self.measure = field("Measure", w.Dropdown, options=list(style_measures("")))
        self.low, self.high = field("Worth 0", w.FloatText), field("Worth 100", w.FloatText)
        self.spread = button("From these texts", "0 and 100 at the ends of what the texts on view have", self._spread)
        self.strip = w.HTML().add_class("cpt-view")
        self.low_texts, self.high_texts = (field(f"{end} texts", w.Textarea, rows=4) for end in ("Low", "High"))
        self.add_low = button("The open text is low", "Add it to the low examples", lambda: self._add(self.low_texts))
        self.add_high = button("... is high", "Add it to the high examples", lambda: self._add(self.high_texts))
        self.judge = field("Chat model", w.Dropdown, options=readers)
        self.state = w.HTML().add_class("cpt-told")
        self.counted = w.VBox([self.measure, row(self.low, self.high), self.spread, self.strip])
        self.likened = w.VBox([self.low_texts, self.high_texts, row(self.add_low, self.add_high)])
        self.read = w.VBox([self.judge, panel])
        super().__init__([self.criterion, self.kind, self.counted, self.likened, self.read, self.state])
        self.criterion.observe(self._fill, "value")
        self.kind.observe(self._picked_kind, "value")
        self.measure.observe(self._picked_measure, "value")
        for each in (self.low, self.high, self.low_texts, self.high_texts, self.judge):
            each.observe(self._tell, "value")

    def choose_by(self, picked: w.Dropdown) -> None:
        """Show the field that opens a text above the buttons that make it an example, too."""
        *texts, buttons = self.likened.children
        self.likened.children = [*texts, picked, buttons]

    def turn_to(self, ids: list[Hashable]) -> None:
        """The rubric that is shown next has these criteria, each with an id that it keeps, whatever it is called."""
        self.coming = ids

    def show(self, rubric: Rubric, ways: dict[str, Way], texts: dict[str, str], opened: str) -> None:
        """Show how the criteria of a rubric are scored, beside these texts, of which `opened` is open."""
        names = [criterion.name for criterion in rubric.criteria]
        before, self.ids = self.ids.get(self.criterion.value), dict(zip(names, self.coming, strict=True))
        kept = next((name for name, each in self.ids.items() if each == before), self.criterion.value)
        self.rubric, self.ways, self.texts, self.opened = rubric, ways, texts, opened
        self.quiet = True
        self.criterion.options = names
        lacking = [name for name in names if name not in ways]
        self.criterion.value = kept if kept in names else (lacking or names)[0]
        self._fill()

    def _fill(self, _change=None) -> None:
        """Put the way of the criterion into the fields; what was typed stays as long as nobody else changed the way."""
        if self.rubric is None or self.criterion.value is None:
            return
        self.quiet, way = True, self.ways.get(self.criterion.value)
        known = isinstance(way, Fitted) or self.criterion.value in ways_of(self.rubric)
        self.kind.options = [COUNTED, LIKENED, *([FITTED] if known else []), READ, NONE]
        typed = self.typed.get(self.ids[self.criterion.value])
        _, fields, fault = typed if typed and typed[0] == way else (way, self._fields_of(way), "")
        for name, value in fields.items():
            getattr(self, name).value = value
        self.quiet = False
        self._draw(fault)

    def _fields_of(self, way: Way | None) -> dict:
        """The values of the fields that say this."""
        kinds = {Counted: COUNTED, Likened: LIKENED, Fitted: FITTED, Read: READ}
        # Examples of the criterion that was on view before are none of this one's.
        fields = {"kind": kinds.get(type(way), NONE), "low_texts": "", "high_texts": ""}
        if isinstance(way, Counted):
            return fields | {"measure": way.measure, "low": way.low, "high": way.high}
        if isinstance(way, Likened):
            return fields | {"low_texts": _joined(way.low), "high_texts": _joined(way.high)}
        if isinstance(way, Read):
            if way.judge not in self.judge.options:  # of a saved file: what it said before still counts
                self.judge.options = [*self.judge.options, way.judge]
            return fields | {"judge": way.judge}
        return fields

    def _draw(self, fault: str = "") -> None:
        kind = self.kind.value
        self.counted.layout.display = None if kind == COUNTED else "none"
        self.likened.layout.display = None if kind == LIKENED else "none"
        self.read.layout.display = None if kind == READ else "none"
        if kind == COUNTED:
            strip = views.strip(self._values(), self.low.value, self.high.value)
            told = [f"{self.measure.value}: {meaning(self.measure.value)}", *self._unread()]
            self.strip.value = "".join(map(views.note, told)) + strip
        self.state.value = views.status(fault, "error") if fault else views.note(HOW[kind])

    def _values(self) -> list[float]:
        """Of the texts on view that the measure says something about."""
        name = self.measure.value
        return [style_measures(text)[name] for text in self.texts.values() if not unsaid(name, text)]

    def _unread(self) -> list[str]:
        """How many of the texts on view the measure says nothing about, by the reason."""
        reasons = [why for text in self.texts.values() if (why := unsaid(self.measure.value, text))]
        return [f"It cannot read {lacks.counted(reasons.count(why))}: {why}." for why in dict.fromkeys(reasons)]

    def _picked_kind(self, _change) -> None:
        if self.quiet:
            return
        if self.kind.value == COUNTED:
            self._spread()
        else:
            self._tell()

    def _picked_measure(self, _change) -> None:
        if not self.quiet:
            self._spread()

    def _spread(self) -> None:
        """Anchors at the ends of what the texts on view have, a few odd ones left out."""
        if not (values := self._values()):
            told = " ".join(self._unread())
            fault = f"No text on view can be measured so. {told} Choose another measure, or other texts."
            held = self._way() == self.ways.get(self.criterion.value)
            self._draw(fault) if held else self._refuse(fault)
            return
        low, high = np.percentile(values, [5, 95])
        self.quiet = True
        self.low.value, self.high.value = rounded(low, high if high > low else low + 1.0)
        self.quiet = False
        self._tell()

    def _add(self, examples: w.Textarea) -> None:
        examples.value = _joined([*_parted(examples.value), self.texts[self.opened]])

    def _tell(self, _change=None) -> None:
        """Hand on what the fields say, once it holds."""
        if self.quiet:
            return
        name = self.criterion.value
        try:
            way = self._way()
            way = way and way.checked(name)
        except JudgeError as error:
            self._refuse(str(error))
            return
        self.typed[self.ids[name]] = (way, self._fields(), "")
        self.on_way(name, way)

    def _refuse(self, fault: str) -> None:
        """The way stays as it was; what the fields say stays, too, with what is wrong with it."""
        name = self.criterion.value
        self.typed[self.ids[name]] = (self.ways.get(name), self._fields(), fault)
        self._draw(fault)

    def _fields(self) -> dict:
        return {each: getattr(self, each).value for each in FIELDS}

    def take_back(self, name: str, way: Way | None) -> str:
        """What was told of a criterion is refused: show the way that holds; examples stay for another try. Says so."""
        held, known_by = self.ways.get(name), self.ids.get(name)
        told, fields, _ = self.typed.get(known_by, (held, {}, ""))
        if told == way != held:
            examples = {} if isinstance(held, Likened) else {each: fields[each] for each in ("low_texts", "high_texts")}
            self.typed[known_by] = (held, self._fields_of(held) | examples, "")
            self._fill()
        return f"{name!r} is scored as before: criteria have other names by now. First mend what is wrong here."

    def _way(self) -> Way | None:
        if self.kind.value == COUNTED:
            return Counted(self.measure.value, self.low.value, self.high.value)
        if self.kind.value == LIKENED:
            ends = (self.low_texts.value, self.high_texts.value)
            return Likened(*(tuple(_parted(end)) for end in ends))
        if self.kind.value == READ:
            if self.judge.value is None:
                raise JudgeError(f"No chat model is here that could read: {GIVE}.")
            return Read(self.judge.value)
        if self.kind.value == FITTED:
            way = self.ways.get(self.criterion.value)
            return way if isinstance(way, Fitted) else ways_of(self.rubric)[self.criterion.value]
        return None


def _joined(examples) -> str:
    """Examples in one field, a blank line between two; those that a text has of its own go."""
    return BREAK.join("\n".join(_parted(text)) for text in examples)


def _parted(field: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", field) if part.strip()]
