"""A system prompt on the steering desk: typed at once, or filled in from those of shipped styles and own rubrics."""

import ipywidgets as w

from cpt_utils.plotting import LABELS
from cpt_utils.prompts import system_prompt
from cpt_utils.rows import TARGETS
from cpt_utils.rubrics import shipped_rubrics
from cpt_utils.runtime.files import encodable
from cpt_utils.widgets.controls import field

OWN = "your own words"


class Order(w.VBox):
    """A field for a system prompt, and a choice that fills it in. What is typed is kept in that choice.

    `style` and `target` are those of the prompt that was filled in, None once it has other words. `own`: system prompts
    beside the shipped ones, {words of the choice: (prompt, style, target)}. `start`: a style with the number of its
    target, or Rococo's where there is no such prompt.
    """

    def __init__(self, name: str, choice: str, start: tuple[str, int], own: dict[str, tuple[str, str, int]]):
        self.ready = _shipped() | own
        labels = {(style, target): label for label, (_, style, target) in reversed(self.ready.items())}
        first = labels.get(start) or labels["rococo", start[1]]
        self.typed: dict[str, str] = {}  # own orders by the words of the choice, newest last
        self.quiet = False
        self.pick = field(choice, w.Dropdown, options=[OWN, *self.ready], value=first)
        self.text = field(name, w.Textarea, rows=5, continuous_update=True, value=self.ready[first][0])
        super().__init__([self.text, self.pick])
        self.pick.observe(self._fill, "value")
        self.text.observe(self._type, "value")

    @property
    def system(self) -> str:
        return encodable(self.text.value.strip())

    @property
    def style(self) -> str | None:
        return self.ready[self.pick.value][1] if self.pick.value in self.ready else None

    @property
    def target(self) -> int | None:
        return self.ready[self.pick.value][2] if self.pick.value in self.ready else None

    def have(self, own: dict[str, tuple[str, str, int]]) -> None:
        """From now on these are the system prompts beside the shipped ones; what stands in the field stays.

        So does its style, if it still has these words: other rubrics may have the same ones.
        """
        meant = self.style, self.target
        self.ready = _shipped() | own
        self._list(self._called(meant))

    def offer(self, orders: list[str]) -> None:
        """Add orders of one's own to the choice: those of earlier runs."""
        known = {text for text, _, _ in self.ready.values()} | set(self.typed.values())
        for order in dict.fromkeys(orders):
            if order.strip() and order.strip() not in known:
                self._keep(order.strip())
        self._list(self.pick.value)

    def _keep(self, order: str) -> None:
        words = " ".join(order.split())
        label = f"Yours: {words[:60]}{'...' if len(words) > 60 else ''}"
        while label in self.typed:
            label += " "  # another order that begins alike
        self.typed[label] = order

    def _list(self, value: str) -> None:
        self.quiet = True
        self.pick.options = [OWN, *reversed(self.typed), *self.ready]
        self.pick.value = value
        self.quiet = False

    def _fill(self, change: dict) -> None:
        if self.quiet or change["new"] == OWN:
            return
        if change["old"] == OWN and self.system not in ("", *self.typed.values()):  # typed, and about to be replaced
            self._keep(self.system)
        picked = self.ready[change["new"]][0] if change["new"] in self.ready else self.typed[change["new"]]
        self.quiet = True
        self.text.value = picked
        self.quiet = False
        self._list(change["new"])

    def _type(self, _change=None) -> None:
        """The words decide what the choice says."""
        if not self.quiet:
            self._list(self._called())

    def _called(self, meant: tuple = ()) -> str:
        """What the choice says of the words in the field: as now, if it has them; else by what is `meant`, if any."""
        known = self.typed | {label: text for label, (text, _, _) in self.ready.items()}
        found = [label for label, text in known.items() if text.strip() == self.system]
        same = [label for label in found if label in self.ready and self.ready[label][1:] == meant]
        return self.pick.value if self.pick.value in found else (same or found or [OWN])[0]


def _shipped() -> dict[str, tuple[str, str, int]]:
    return {
        f"{LABELS[style]}, {target}": (system_prompt(style, target), style, number)
        for style in shipped_rubrics()
        for target, number in TARGETS.items()
    }
