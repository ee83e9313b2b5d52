"""The steering desk: one prompt, two answers side by side, live: of two models, under two orders, or in between."""

import threading
import time
from functools import partial
from pathlib import Path

import ipywidgets as w

from cpt_utils.models.conversation import ChatModel
from cpt_utils.prompts import load_prompts
from cpt_utils.rows import TARGETS
from cpt_utils.runtime import colab, files, places
from cpt_utils.runtime.errors import CptError, SettingsError
from cpt_utils.runtime.keys import one_line
from cpt_utils.runtime.profiles import Profile, load_profile
from cpt_utils.styles import root_dir
from cpt_utils.teachers import Teacher
from cpt_utils.widgets import judged, keys, runs, sides, views
from cpt_utils.widgets.controls import button, column, field, row
from cpt_utils.widgets.orders import Order
from cpt_utils.widgets.sides import DIAL, MODELS, ORDERS
from cpt_utils.widgets.work import run_beside

LIMITS = {"Temperature": (0.0, 1.5), "Seed": (0, 2**31 - 1), "Most tokens": (1, 4096)}


def steering_desk(
    base: ChatModel,
    tuned: ChatModel,
    judge=None,
    profile: str | Profile = "auto",
    prompt: str | None = None,
    every: float = 0.1,
    others: dict[str, ChatModel | Teacher] | None = None,
    folder: Path | str | None = None,
) -> "SteeringDesk":
    """Widgets to ask two models the same thing; shown when it is the last line of a cell.

    Sampling settings start as the profile's. `judge` is anything with FittedJudge's `score`, by default the
    offline judge. `every`: seconds between two updates of a growing answer. `others`: more models to choose from, by
    name, such as the capstone's, or an endpoint_teacher, which samples as it was made. Runs are kept in `folder`, by
    default the run's. The studio's rubrics can judge, too, and its bench takes answers: they lie in `folder`, by
    default the profile's own, also under RUBRICS.
    """
    profile = load_profile(profile)
    prompt = load_prompts(heldout=True)[0]["prompt"] if prompt is None else prompt
    models = {"base": base, "tuned": tuned}
    if not isinstance(others, dict | None):
        raise SettingsError(f"others is a {type(others).__name__}: give a dict of models by their names.")
    for name, model in (others or {}).items():
        if name in models or not isinstance(model, ChatModel | Teacher):
            raise SettingsError(
                f"others[{name!r}] cannot be asked: give a model of load_chat_model, or a Teacher such as "
                "endpoint_teacher(model, base_url), under a name that is neither base nor tuned."
            )
        models[name] = model
    kept, studio = [places.at_home(folder)] * 2 if folder else (files.run_dir(profile), root_dir(profile))
    return SteeringDesk(models, judge, profile, prompt, every, kept, studio)


class SteeringDesk(w.VBox):
    """The widget behind `steering_desk`. `runs`: the finished runs, newest first; `studio`: the studio's folder."""

    def __init__(self, models: dict, judge, profile: Profile, prompt: str, every: float, folder: Path, studio: Path):
        self.models, self.judge, self.every, self.folder, self.studio = models, judge, every, folder, studio
        self.sampling = profile.sampling.model_dump(exclude={"batch_size"})
        (self.runs, fault), self.own = runs.read_runs(folder), judged.own_rubrics(studio, folder)
        self.latest: dict | None = None
        self.stop, self.thread = threading.Event(), None
        self._build(profile, prompt)
        answers = [column([self.heads[i], self.answers[i], self.verdicts[i], self.send[i]], "300px") for i in (0, 1)]
        settings = [self.compare, *self.sides, self.dial, self.ends, self.judged, self.again, *self.numbers.values()]
        super().__init__(
            [
                keys.dead_notice(),
                row(column([self.prompt, *self.orders], "340px", "1.4"), column(settings, "280px")),
                row(self.go, self.halt),
                self.state,
                row(*answers),
                w.HTML("<b>Earlier runs</b>"),
                self.past,
            ]
        )
        keys.add_guard(self)
        self._arrange()
        self._show_past()
        if fault:
            self.past.value = views.status(f"Earlier runs are not shown: {fault}", "error")

    def __repr__(self) -> str:
        """What a page without widgets shows instead, by ipywidgets 7 and 8 alike."""
        return f"The steering desk {keys.ELSEWHERE}"

    def _build(self, profile: Profile, prompt: str) -> None:
        self.prompt = field("Prompt", w.Textarea, value=prompt, rows=3, continuous_update=True)
        style, own = (profile.rubrics or ["rococo"])[0], judged.own_orders(self.own)
        self.orders = (
            Order("System prompt", "Fill in", (style, TARGETS["high"]), own),
            Order("Second prompt", "Fill in the second", (style, TARGETS["low"]), own),
        )
        self.compare = field("Compare", w.Dropdown, options=[MODELS, ORDERS, DIAL])
        labels = [(f"{name} · {model.name}", name) for name, model in self.models.items()]
        self.sides = [
            field(side, w.Dropdown, options=labels, value=name) for side, name in (("Left", "base"), ("Right", "tuned"))
        ]
        self.dial = field("Dial", w.FloatSlider, value=0.5, min=-0.5, max=1.5, step=0.25)
        self.ends = w.HTML()
        self.judged = field("Judged by", w.Dropdown, options=judged.judges(self.own))
        self.again = button("Look for rubrics", "Read the list of your own rubrics again", self._look)
        start = (self.sampling["temperature"], profile.seed, profile.max_new_tokens)
        kinds = (w.FloatText, w.IntText, w.IntText)
        self.numbers = {name: field(name, kind, value=value) for name, kind, value in zip(LIMITS, kinds, start)}
        self.go = button("Generate", "Ask both sides", self.generate)
        self.halt = button("Stop", "End the generation now", self.stop.set)
        self.halt.disabled = True
        self.state = w.HTML(views.status("Ready."), layout=w.Layout(width="98%")).add_class("cpt-state")
        self.heads = [w.HTML() for _ in self.sides]
        self.answers = [w.HTML(runs.paper("")).add_class(f"cpt-{side}") for side in ("left", "right")]
        self.verdicts = [w.HTML() for _ in self.sides]
        tip = "Keep this answer among the texts of the rubric studio"
        self.send = [button("Send to the studio", tip, partial(self._to_bench, i), "160px") for i in (0, 1)]
        for send in self.send:
            send.disabled = True
        self.past = w.HTML(layout=w.Layout(width="98%")).add_class("cpt-past")
        for each in (self.compare, *self.sides, *(order.pick for order in self.orders)):
            each.observe(self._arrange, "value")
        for name, number in self.numbers.items():
            number.observe(partial(self._within, name), "value")

    def _read_own(self) -> None:
        """Read one's own rubrics as they are saved now; what is chosen stays, if it is there."""
        self.own = judged.own_rubrics(self.studio, self.folder)
        judges, chosen = judged.judges(self.own), self.judged.value
        if list(self.judged.options) != judges:
            self.judged.options = judges
            self.judged.value = chosen if chosen in dict(judges).values() else judged.ITS_OWN
        for order in self.orders:
            order.have(judged.own_orders(self.own))

    def _look(self) -> None:
        self._read_own()
        self._say(f"Your own rubrics: {', '.join(self.own) or 'none is saved here'}.")

    def _arrange(self, _change=None) -> None:
        """Show what the comparison needs, and head the two answers."""
        self.orders[1].layout.display = "none" if self.compare.value == MODELS else None
        self.dial.layout.display = self.ends.layout.display = None if self.compare.value == DIAL else "none"
        self.ends.value = sides.ends(self.orders)
        for head, side in zip(self.heads, self.sides):
            head.value = sides.head(side.value, self.models[side.value])

    def _within(self, name: str, change: dict) -> None:
        """Bring a number within its limits, and say so."""
        low, high = LIMITS[name]
        value = min(max(change["new"], low), high)
        if value != change["new"]:
            self._say(f"{name} goes from {low:g} to {high:g}: {change['new']:g} became {value:g}.")
            self.numbers[name].value = value

    def generate(self) -> None:
        """Start a run with what the controls say; a run in progress is left alone."""
        if self.thread is not None and self.thread.is_alive():
            return
        chosen = self.judged.value
        self._read_own()
        if self.judged.value != chosen:
            self._say(f"{chosen} is no longer there: choose anew what is to judge.", "error")
            return
        prompt = files.encodable(self.prompt.value.strip())  # half an emoji is none
        asked = sides.asked(self.compare.value, self.orders, [side.value for side in self.sides], self.models)
        if wrong := sides.why_not(prompt, asked, self.models):
            self._say(wrong, "error")
            return
        names = ("temperature", "seed", "max_new_tokens")
        options = self.sampling | {name: number.value for name, number in zip(names, self.numbers.values())}
        compare = self.compare.value
        run = {"prompt": prompt, "compare": compare, "judged_by": self.judged.value, "options": options, "sides": []}
        run |= {"dial": self.dial.value} if compare == DIAL else {}
        self.stop.clear()
        self.latest = None
        self.go.disabled, self.halt.disabled = True, colab.here()
        for i in (0, 1):
            self.answers[i].value, self.verdicts[i].value, self.send[i].disabled = runs.paper(""), "", True
        # In a thread, so that the kernel stays free to hear the Stop button.
        self.thread = threading.Thread(target=self._work, args=(run, asked), daemon=True)
        run_beside(self.thread, self.stop)

    def wait(self, seconds: float | None = None) -> None:
        """Block until the run in progress is over."""
        if self.thread is not None:
            self.thread.join(seconds)

    def _work(self, run: dict, asked: list[dict]) -> None:
        started, words, kind = time.monotonic(), "", "ok"
        try:
            # One after the other: they share the random generator, and the seed decides the text.
            for i, side in enumerate(asked):
                if self.stop.is_set():
                    break
                self._say(f"The {side['model']} model writes ...")
                model, write = self.models[side["model"]], partial(self._write, i)
                text, ended = sides.answer(model, run, side, write, self.stop, self.every)
                stopped, whole = not ended and self.stop.is_set(), ended or self.stop.is_set()
                cut = "" if whole else f" · ✂ cut at {run['options']['max_new_tokens']} tokens"
                said = {"text": text, "cut": not whole, "stopped": stopped, "verdict": "not judged"}
                run["sides"].append(side | said)
                told = "stopped, not judged"
                if not self.stop.is_set():
                    told = judged.said_of(run, run["sides"][-1], self.own, self.judge, self.studio)
                run["sides"][-1]["verdict"] = told + cut
                self.verdicts[i].value = views.note(told + cut)
                if not self.stop.is_set() and text:
                    sense = runs.sense_of(self.models["base"], run["prompt"], text)
                    run["sides"][-1]["sense"] = sense
                    self.verdicts[i].value = views.note(told + cut) + views.note(sense)
            end = "Stopped" if self.stop.is_set() else "Done"
            words = f"{end} after {time.monotonic() - started:.1f} s."
        except CptError as error:
            words, kind = str(error), "error"
        except Exception as error:  # whatever it was, the desk must stay usable
            words, kind = one_line(f"The run failed ({type(error).__name__}): {error}")[:500], "error"
        finally:
            self._finish(run, words, kind)

    def _finish(self, run: dict, words: str, kind: str) -> None:
        """Keep what there is of a run, be ready for the next one, and then say so."""
        if run["sides"]:
            self.runs, self.latest = [run, *self.runs][: runs.KEPT], run
            self._show_past()
            for send, side in zip(self.send, run["sides"]):
                send.disabled = not side["text"]
            try:
                runs.keep_run(self.folder, run)
            except CptError as error:
                words, kind = f"This run is not kept: {error}", "error"
        self.go.disabled, self.halt.disabled = False, True
        self._say(words, kind)

    def _to_bench(self, i: int) -> None:
        if self.send[i].disabled:  # as a browser sees to it
            return
        try:
            self._say(runs.send_to_bench(self.studio, self.latest, self.latest["sides"][i]), "ok")
            self.send[i].disabled = True
        except CptError as error:
            self._say(f"Not sent. {error}", "error")

    def _show_past(self) -> None:
        self.past.value = "".join(map(runs.record, self.runs))
        orders = [system for run in reversed(self.runs) for side in run["sides"] for system in side["systems"]]
        for order in self.orders:
            order.offer(orders)

    def _write(self, i: int, text: str) -> None:
        self.answers[i].value = runs.paper(text)

    def _say(self, words: str, kind: str = "info") -> None:
        self.state.value = views.status(words, kind)
