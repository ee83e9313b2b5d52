"""Scores of texts by criterion, each computed once; what takes a while is computed beside the kernel."""

from collections.abc import Callable, Iterable

import ipywidgets as w

from cpt_utils.degenerate import degeneracy
from cpt_utils.reading import Bound, Reading
from cpt_utils.ways import Likened, Read
from cpt_utils.widgets.work import Work

FEW = 30
"""New texts that a view may score by measures while it is drawn; more of them are work of their own, and so is each
that is to be embedded: the first one loads a model."""
MOST = 100_000
"""Scores kept; then it begins anew."""
BATCH = 8
_known: dict[tuple[Bound, str], float | None] = {}


def score(way: Bound | Read, text: str) -> float | None:
    """A text's score by a way; None where it cannot be read, or a chat model is not here, or still to read it."""
    if isinstance(way, Read):
        return None
    if isinstance(way, Reading):
        return way.at_hand(text)
    if (way, text) not in _known:
        _compute(way, [text])
    return _known[way, text]


def lacking(ways: Iterable[Bound], texts: list[str]) -> list[str]:
    """The texts that lack a score by some way; without those that only chat models are still to read."""
    own = [way for way in ways if not isinstance(way, Reading)]
    return [text for text in texts if any((way, text) not in _known for way in own)]


def _compute(way: Bound, texts: list[str]) -> None:
    scores = way.scores(texts)
    if len(_known) > MOST:
        _known.clear()
    _known.update(((way, text), value) for text, value in zip(texts, scores))


class ScoringWork(w.VBox):
    """Scores many texts with progress and a stop; `over()` hears when views can be drawn."""

    def __init__(self, over):
        self.ways: list[Bound] = []
        self.left: list[str] = []
        self.failed: list[Bound] = []  # ways by which scoring ended with a fault
        self.work = Work("Score the texts", "Score the texts that have no score yet", self._begin, over)
        super().__init__([self.work], layout=w.Layout(display="none"))

    def ready(self, ways: Iterable[Bound], texts: list[str], waiting: Callable[[], None] = lambda: None) -> bool:
        """Whether a view can be drawn at once. If not, `waiting()` is called, and scoring begins by itself; one that
        was stopped, or failed, waits for its button.

        In this order: where no kernel's loop listens, `over()` may have drawn the view before this returns.
        """
        self.ways = list(dict.fromkeys(way for way in ways if not isinstance(way, Reading)))
        self.left = lacking(self.ways, texts)
        slow = len(self.left) > FEW or bool(lacking([way for way in self.ways if isinstance(way, Likened)], texts))
        waits = slow or bool(self.left and self.work.busy)
        self.layout.display = None if slow or self.work.busy else "none"
        if waits:
            waiting()
        if slow and not self.work.busy and not self.work.stop.is_set() and self.ways != self.failed:
            self.work.start()
        return not waits

    def _begin(self):
        ways, left = self.ways, list(self.left)

        def run(work: Work) -> str:
            self.failed = ways  # until it has not
            for start in range(0, len(left), BATCH):
                if work.stop.is_set():
                    self.failed = []
                    return f"{start} of {len(left)} texts have scores."
                work.say(f"Scoring: {start} of {len(left)} texts ...")
                batch = left[start : start + BATCH]
                for way in ways:
                    _compute(way, batch)
                for text in batch:
                    degeneracy(text)  # views show it, and it takes as long
            self.failed = []
            return ""

        return run
