"""The steering desk: one prompt, one system prompt, the base and the tuned model side by side, live."""

import threading
import time
from functools import partial

import ipywidgets as w

from cpt_utils.models.conversation import ChatModel
from cpt_utils.models.streaming import fault, stream_chat
from cpt_utils.plotting import LABELS
from cpt_utils.prompts import load_prompts, messages, system_prompt
from cpt_utils.rows import TARGETS, target_name
from cpt_utils.rubrics import shipped_rubrics
from cpt_utils.runtime.profiles import Profile, load_profile
from cpt_utils.widgets import views
from cpt_utils.widgets.controls import button, column, field, row

OWN_WORDS = "own words"
KEPT = 30
"""Earlier runs shown below the desk; older ones go."""


def steering_desk(
    base: ChatModel,
    tuned: ChatModel,
    judge=None,
    profile: str | Profile = "auto",
    prompt: str | None = None,
    every: float = 0.1,
) -> "SteeringDesk":
    """Widgets to ask two models the same thing; shown when it is the last line of a cell.

    Sampling settings start as the profile's. `judge` is anything with FittedJudge's `score`, by default the
    offline judge. `every`: seconds between two updates of a growing answer.
    """
    profile = load_profile(profile)
    prompt = load_prompts(heldout=True)[0]["prompt"] if prompt is None else prompt
    return SteeringDesk(base, tuned, judge, profile, prompt, every)


class SteeringDesk(w.VBox):
    """The widget behind `steering_desk`. `runs` are the finished runs, newest first."""

    def __init__(self, base, tuned, judge, profile: Profile, prompt: str, every: float):
        self.models, self.judge, self.every = {"base": base, "tuned": tuned}, judge, every
        self.sampling = profile.sampling.model_dump(exclude={"batch_size"})
        self.runs: list[dict] = []
        self.stop, self.thread = threading.Event(), None
        self._build(profile, prompt)
        super().__init__(
            [
                row(
                    column([self.prompt, self.system], "440px", "1.4"),
                    column([self.rubric, self.target, self.temperature, self.seed, self.tokens], "340px"),
                ),
                row(self.go, self.halt),
                self.state,
                row(
                    *(
                        column(
                            [
                                w.HTML(f"<b>{views.text(name)}</b> · {views.text(model.name)}"),
                                self.answers[name],
                                self.verdicts[name],
                            ],
                            "340px",
                        )
                        for name, model in self.models.items()
                    )
                ),
                w.HTML("<b>Earlier runs</b>"),
                self.past,
            ]
        )
        self._fill_system()

    def __repr__(self) -> str:
        """What a page without widgets shows instead, by ipywidgets 7 and 8 alike."""
        return "The steering desk opens here when you run this cell."

    def _build(self, profile: Profile, prompt: str) -> None:
        targets = [*((f"{name} ({target})", target) for name, target in TARGETS.items()), (OWN_WORDS, OWN_WORDS)]
        self.prompt = field("Prompt", w.Textarea, value=prompt, rows=3, continuous_update=True)
        self.system = field("System prompt", w.Textarea, rows=4, continuous_update=True)
        self.rubric = field("Rubric", w.Dropdown, options=[(LABELS[n], n) for n in shipped_rubrics()])
        self.target = field("Target", w.Dropdown, options=targets, value=TARGETS["high"])
        self.temperature = field(
            "Temperature", w.FloatSlider, value=self.sampling["temperature"], min=0, max=1.5, step=0.05
        )
        self.seed = field("Seed", w.BoundedIntText, value=profile.seed, min=0, max=2**31 - 1)
        self.tokens = field("Most tokens", w.BoundedIntText, value=profile.max_new_tokens, min=1, max=1000)
        self.go = button("Generate", "Ask both models", self.generate)
        self.halt = button("Stop", "End the generation now", self.stop.set)
        self.halt.disabled = True
        self.state = w.HTML(views.status("Ready."), layout=w.Layout(width="98%")).add_class("cpt-state")
        self.answers = {name: w.HTML(_paper("")).add_class(f"cpt-{name}") for name in self.models}
        self.verdicts = {name: w.HTML() for name in self.models}
        self.past = w.HTML(layout=w.Layout(width="98%")).add_class("cpt-past")
        for each in (self.rubric, self.target):
            each.observe(self._fill_system, "value")

    def _fill_system(self, _change=None) -> None:
        own = self.target.value == OWN_WORDS
        self.system.disabled = not own
        if not own:
            self.system.value = system_prompt(self.rubric.value, self.target.value)

    def generate(self) -> None:
        """Start a run with what the controls say; a run in progress is left alone."""
        if self.thread is not None and self.thread.is_alive():
            return
        prompt, system = self.prompt.value.strip(), self.system.value.strip()
        if wrong := fault(prompt, system):
            self._say(wrong, "error")
            return
        options = self.sampling | {
            "temperature": self.temperature.value,
            "seed": self.seed.value,
            "max_new_tokens": self.tokens.value,
        }
        run = {
            "prompt": prompt,
            "system": system,
            "rubric": self.rubric.value,
            "target": self.target.value,
            "options": options,
            "texts": {},
            "verdicts": {},
        }
        self.stop.clear()
        self.go.disabled, self.halt.disabled = True, False
        for name in self.models:
            self.answers[name].value, self.verdicts[name].value = _paper(""), ""
        # In a thread, so that the kernel stays free to hear the Stop button.
        self.thread = threading.Thread(target=self._work, args=(run,), daemon=True)
        self.thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Block until the run in progress is over."""
        if self.thread is not None:
            self.thread.join(seconds)

    def _work(self, run: dict) -> None:
        started = time.monotonic()
        try:
            # One after the other: they share the random generator, and the seed decides the text.
            for name, model in self.models.items():
                if self.stop.is_set():
                    break
                self._say(f"The {name} model writes ...")
                turns = messages(run["prompt"], run["system"] or None)
                show = partial(self._write, name)
                run["texts"][name] = stream_chat(model, turns, show, self.stop, self.every, **run["options"])
                verdict = "stopped, not judged" if self.stop.is_set() else self._judge(run, name)
                run["verdicts"][name] = verdict
                self.verdicts[name].value = views.note(verdict)
            end = "Stopped" if self.stop.is_set() else "Done"
            self._say(f"{end} after {time.monotonic() - started:.1f} s.", "ok")
        except Exception as error:  # whatever it was, the desk must stay usable
            self._say(f"The run failed ({type(error).__name__}): {error}"[:500], "error")
        finally:
            if run["texts"]:
                self.runs = [run, *self.runs][:KEPT]
                self.past.value = "".join(map(_record, self.runs))
            self.go.disabled, self.halt.disabled = False, True

    def _judge(self, run: dict, name: str) -> str:
        if self.judge is None:
            from cpt_utils.judging import embedded_judge

            self.judge = embedded_judge()
        judged = self.judge.score(run["rubric"], run["prompt"], run["texts"][name])
        score = f"no score ({judged.reason})" if judged.score is None else f"{judged.score:.0f} of 100"
        aim = "" if run["target"] == OWN_WORDS else f", target {run['target']}"
        flag = f" · ✗ degenerate: {judged.reason or 'yes'}" if judged.degenerate else ""
        return f"{LABELS[run['rubric']]}: {score}{aim}{flag}"

    def _write(self, name: str, text: str) -> None:
        self.answers[name].value = _paper(text)

    def _say(self, words: str, kind: str = "info") -> None:
        self.state.value = views.status(words, kind)


def _paper(text: str, least: int = 120) -> str:
    """An answer as it grows: escaped, with its line breaks, on a field of a least height in pixels."""
    return (
        f"<div style='border:1px solid #8886;padding:6px 10px;min-height:{least}px;white-space:pre-wrap;"
        f"overflow-wrap:anywhere;line-height:1.45'>{views.html.escape(text)}</div>"
    )


def _record(run: dict) -> str:
    """One earlier run, folded; all of it escaped."""
    options = ", ".join(f"{name} {value}" for name, value in run["options"].items())
    style = f"{LABELS[run['rubric']]}, {target_name(run['target'])}"
    head = " | ".join(f"{name} {run['verdicts'].get(name, 'failed')}" for name in run["texts"])
    texts = "".join(
        f"<div style='flex:1 1 320px'><b>{views.text(name)}</b>{_paper(text, 0)}</div>"
        for name, text in run["texts"].items()
    )
    return (
        "<details style='border-top:1px solid #8886;padding:3px 0;line-height:1.4'>"
        "<summary style='cursor:pointer'>"
        f"{views.text(style)} · {views.text(run['prompt'][:90])}"
        f"<br><span style='opacity:.8'>{views.text(head)}</span></summary>"
        f"{views.note('System prompt: ' + (run['system'] or 'none'))}{views.note(options)}"
        f"{views.note('Prompt: ' + run['prompt'])}"
        f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{texts}</div></details>"
    )
