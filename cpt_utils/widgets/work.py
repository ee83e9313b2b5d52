"""A button whose work takes a while: it runs beside the kernel, says how it goes, and can be stopped."""

import asyncio
import threading
import time
from collections.abc import Callable

import ipywidgets as w

from cpt_utils.runtime import colab
from cpt_utils.runtime.errors import CptError
from cpt_utils.runtime.keys import one_line
from cpt_utils.widgets import views
from cpt_utils.widgets.controls import button, row


def run_beside(thread: threading.Thread, stop: threading.Event) -> None:
    """Start a thread; on Colab also wait for it, since its page draws what is sent while a button is answered, and not
    what a thread sends later (googlecolab/colabtools, issue 3373). Meanwhile no other button is heard: interrupting
    the kernel is what sets `stop` there.
    """
    thread.start()
    while colab.here() and thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            stop.set()


class Work(w.VBox):
    """A button that begins some work, one that stops it, and a line of state.

    `begin()` looks at the fields when the button is pressed and returns what is to be done, a function of the work
    itself that returns the closing words; either may raise a CptError, whose sentence is shown. The work may use `say`,
    `stop`, and `then(change)` for changes of other widgets. `over()` comes after it, however it ended.
    """

    def __init__(
        self,
        label: str,
        tip: str,
        begin: Callable[[], "Callable[[Work], str]"],
        over: Callable[[], None] = lambda: None,
    ):
        self.begin, self.over = begin, over
        self.stop, self.busy, self.thread, self.loop = threading.Event(), False, None, None
        self.go = button(label, tip, self.start)
        self.halt = button("Stop", f"End it now: {label}", self._stop)
        self.state = w.HTML(layout=w.Layout(width="98%")).add_class("cpt-told")
        self.halt.layout.display = "none"
        super().__init__([row(self.go, self.halt), self.state])

    def start(self) -> None:
        """Begin; work in progress is left alone."""
        if self.busy:
            return
        self.stop.clear()
        try:
            task = self.begin()
        except CptError as error:
            self.say(str(error), "error")
            return
        except Exception as error:  # else it would be told to nobody: a page does not show what a button's act raises
            self.say(_failed(error), "error")
            return
        try:
            self.loop = None if colab.here() else asyncio.get_running_loop()  # the kernel's, unless that waits
        except RuntimeError:
            self.loop = None
        self.busy, self.go.disabled, self.halt.disabled = True, True, False
        self.halt.layout.display = "none" if colab.here() else None
        self.thread = threading.Thread(target=self._work, args=(task,), name="cpt-work", daemon=True)
        run_beside(self.thread, self.stop)

    def wait(self, seconds: float | None = None) -> None:
        """Block until the work in progress is over."""
        if self.thread is not None:
            self.thread.join(seconds)

    def then(self, change: Callable[[], None]) -> None:
        """Have a change made by the kernel's own thread, where one listens: so that it meets no half-done edit."""
        if self.loop is None or not self.loop.is_running():
            change()
        else:
            self.loop.call_soon_threadsafe(change)

    def say(self, words: str, kind: str = "info") -> None:
        self.state.value = views.status(words, kind) if words else ""

    def _stop(self) -> None:
        self.stop.set()
        self.halt.disabled = True
        self.say("Stopping ... A request that gives its answer whole still comes to its end.")

    def _work(self, task: "Callable[[Work], str]") -> None:
        started = time.monotonic()
        try:
            said = task(self)
            end = f"Stopped after {time.monotonic() - started:.0f} s. " if self.stop.is_set() else ""
            self.say(f"{end}{said}".strip(), "ok")
        except CptError as error:
            self.say(str(error), "error")
        except Exception as error:  # whatever it was, the studio must stay usable
            self.say(_failed(error), "error")
        finally:
            self.busy, self.go.disabled, self.halt.layout.display = False, False, "none"
            self.then(self.over)


def _failed(error: Exception) -> str:
    return one_line(f"It failed ({type(error).__name__}): {error}")[:500]
