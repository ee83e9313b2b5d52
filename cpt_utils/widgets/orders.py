"""A system prompt on the steering desk: typed at once, or filled in from those of the shipped styles."""

import ipywidgets as w

from cpt_utils.plotting import LABELS
from cpt_utils.prompts import system_prompt
from cpt_utils.rows import TARGETS
from cpt_utils.rubrics import shipped_rubrics
from cpt_utils.widgets.controls import field

OWN = "your own words"


class Order(w.VBox):
    """A field for a system prompt, and a choice that fills it in. What is typed is kept in that choice.

    `style` and `target` are those of the prompt that was filled in, None once it has other words.
    """

    def __init__(self, name: str, choice: str, start: tuple[str, str]):
        styles = shipped_rubrics()
        self.shipped = {
            f"{LABELS[style]}, {target}": (system_prompt(style, target), style, number)
            for style in styles
            for target, number in TARGETS.items()
        }
        first = f"{LABELS[start[0]]}, {start[1]}"
        self.typed: dict[str, str] = {}  # own orders by the words of the choice, newest last
        self.quiet = False
        self.pick = field(choice, w.Dropdown, options=[OWN, *self.shipped], value=first)
        self.text = field(name, w.Textarea, rows=5, continuous_update=True, value=self.shipped[first][0])
        super().__init__([self.text, self.pick])
        self.pick.observe(self._fill, "value")
        self.text.observe(self._type, "value")

    @property
    def system(self) -> str:
        return self.text.value.strip()

    @property
    def style(self) -> str | None:
        return self.shipped[self.pick.value][1] if self.pick.value in self.shipped else None

    @property
    def target(self) -> int | None:
        return self.shipped[self.pick.value][2] if self.pick.value in self.shipped else None

    def offer(self, orders: list[str]) -> None:
        """Add orders of one's own to the choice: those of earlier runs."""
        known = {text for text, _, _ in self.shipped.values()} | set(self.typed.values())
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
        self.pick.options = [OWN, *reversed(self.typed), *self.shipped]
        self.pick.value = value
        self.quiet = False

    def _fill(self, change: dict) -> None:
        if self.quiet or change["new"] == OWN:
            return
        if change["old"] == OWN and self.system not in ("", *self.typed.values()):  # typed, and about to be replaced
            self._keep(self.system)
        picked = self.shipped[change["new"]][0] if change["new"] in self.shipped else self.typed[change["new"]]
        self.quiet = True
        self.text.value = picked
        self.quiet = False
        self._list(change["new"])

    def _type(self, _change) -> None:
        """The words decide what the choice says."""
        if self.quiet:
            return
        known = {text: label for label, (text, _, _) in self.shipped.items()}
        known |= {text: label for label, text in self.typed.items()}
        self._list(known.get(self.system, OWN))
