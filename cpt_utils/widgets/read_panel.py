"""What chat models are to read: how many requests, a button to send them, and how they go."""

import ipywidgets as w

from cpt_utils.reading import UNASKED, Bound, Reading, unasked, weighing
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import JudgeError
from cpt_utils.widgets import views
from cpt_utils.widgets.work import Work


class ReadPanel(w.VBox):
    """Shown where criteria are read and texts wait for it; `on_read()` hears that verdicts have come."""

    def __init__(self, on_read):
        self.readings: dict[str, Reading] = {}
        self.texts: list[str] = []
        self.told = w.HTML().add_class("cpt-told")
        self.work = Work("Send", "Ask the chat model about the texts that wait", self._begin, on_read)
        super().__init__([self.told, self.work])

    def show(self, rubric: Rubric, ways: dict[str, Bound], texts: list[str]) -> None:
        """Count what waits: of these texts, for the criteria that are read, and weigh something."""
        self.readings, idle = weighing(rubric, ways), unasked(rubric, ways)
        self.texts = list(dict.fromkeys(texts))
        self.layout.display = None if self.readings or idle else "none"
        if self.work.busy:  # it counts itself
            return
        waiting = self.waiting()
        requests = sum(map(len, waiting.values()))
        most = sum(len(texts) * (1 + self.readings[name].judge.retries) for name, texts in waiting.items())
        named = "; ".join(
            f"{name}: {len(texts)}, by {self.readings[name].judge.teacher.name}"
            for name, texts in waiting.items()
            if texts
        )
        told = "All texts on view have been asked about." if self.readings else ""
        if requests:
            told = f"Texts that a chat model is still to read: {named}."
        if most > requests:
            told += f" What gives no score is asked for again: up to {most} requests."
        for name, reading in self.readings.items():
            if unclear := reading.unclear(self.texts):
                told += f" {name}: {len(unclear)} of them got no score ({_usual(unclear)})."
        told += "".join(f" {name}: {UNASKED}." for name in idle)
        self.told.value = views.note(told.strip())
        again = f", up to {most}" if most > requests else ""
        self.work.go.description = f"Send {requests} request{'s' * (requests != 1)}{again}"
        self.work.go.layout.display = None if requests else "none"

    def tell(self, wrong: str) -> None:
        """Say what is wrong with the verdicts."""
        self.told.value, self.layout.display = views.status(wrong, "error"), None

    def waiting(self) -> dict[str, list[str]]:
        """By criterion the texts without a verdict on its words as they are now."""
        return {name: reading.missing(self.texts) for name, reading in self.readings.items()}

    def _begin(self):
        batches = []
        for name, texts in self.waiting().items():
            reading = self.readings[name]
            size = reading.judge.teacher.workers
            batches += [(reading, texts[start : start + size]) for start in range(0, len(texts), size)]
        total = sum(len(texts) for _, texts in batches)

        def ask(work: Work) -> str:
            sent = 0
            for reading, texts in batches:
                if work.stop.is_set():
                    break
                work.say(f"{sent} of {total} requests answered ...")
                try:
                    reading.ask(texts)
                except JudgeError as error:
                    answered = total - sum(len(one.missing(some)) for one, some in batches)
                    raise JudgeError(f"{answered} of {total} requests were answered. {error}") from None
                sent += len(texts)
            unclear = [reason for reading, texts in batches for reason in reading.unclear(texts)]
            if unclear:
                raise JudgeError(
                    f"{len(unclear)} of {sent} answers gave no score ({_usual(unclear)}): run the cell again to ask "
                    "once more, or choose another model. The other verdicts are kept."
                )
            return f"{sent} of {total} requests answered; verdicts are kept."

        return ask


def _usual(reasons: list[str]) -> str:
    """The reason that comes most often."""
    return max(reasons, key=reasons.count)
