"""The steering desk without a browser, and token log-ratios."""

import copy
import threading
import time

import pytest
import torch

from cpt_utils.evaluation import preference_margins
from cpt_utils.judging import Judgement
from cpt_utils.models import streaming
from cpt_utils.models.conversation import ChatModel, chat
from cpt_utils.models.logps import token_log_ratios
from cpt_utils.models.streaming import stream_chat
from cpt_utils.plotting import heat_colour, heat_limit, token_heat, token_heat_figure
from cpt_utils.prompts import messages, system_prompt
from cpt_utils.runtime.profiles import load_profile
from cpt_utils.widgets.desk import OWN_WORDS, steering_desk

EVIL = "<script>alert(1)</script> <b>bold</b> application/vnd.jupyter.widget-view+json"


class Judge:
    def score(self, rubric, prompt, response):
        return Judgement(61.0, True, reason="repetition")


@pytest.fixture
def two(tiny_model, tokenizer):
    """A tiny random model, and a copy that was moved a little."""
    tokenizer.padding_side = "left"
    moved = copy.deepcopy(tiny_model)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in moved.parameters():
            weight.add_(torch.randn_like(weight) * 0.02)
    return ChatModel(tiny_model.eval(), tokenizer, "tiny"), ChatModel(moved.eval(), tokenizer, EVIL)


@pytest.fixture
def desk(two):
    desk = steering_desk(*two, Judge(), load_profile("smoke").replace(seed=3), prompt="Hello", every=0)
    desk.tokens.value = 12
    return desk


def test_a_run_shows_texts_scores_and_history(desk, two):
    desk.generate()
    desk.wait(60)
    assert "Done after" in desk.state.value and not desk.go.disabled and desk.halt.disabled
    asked = [messages("Hello", system_prompt("chaos_cinema", "high"))]
    sampling = load_profile("smoke").sampling.model_dump(exclude={"batch_size"})
    for name, model in zip(("base", "tuned"), two):
        (text,) = chat(model, asked, max_new_tokens=12, seed=3, **sampling)
        assert desk.runs[0]["texts"][name] == text  # what the notebook's own call gives
        assert "61 of 100, target 95" in desk.verdicts[name].value
        assert "degenerate: repetition" in desk.verdicts[name].value
    desk.seed.value = 4
    desk.generate()
    desk.wait(60)
    desk.seed.value = 3
    desk.generate()
    desk.wait(60)
    third, second, first = (run["texts"] for run in desk.runs)
    assert first == third != second and desk.past.value.count("<details") == 3


def test_text_grows_while_it_is_generated(two):
    seen = []
    text = stream_chat(two[0], messages("Hello"), seen.append, threading.Event(), max_new_tokens=10, seed=1)
    assert len(set(seen)) > 5 and seen[-1] == text
    assert all(later.strip().startswith(earlier.strip()[:-1]) for earlier, later in zip(seen, seen[1:]))


def test_stop_ends_the_run_at_once_and_leaves_the_desk_usable(desk):
    desk.tokens.value = 900
    desk.generate()
    assert desk.go.disabled and not desk.halt.disabled
    first = desk.thread
    desk.generate()  # nothing happens: one run at a time
    assert desk.thread is first
    while "min-height" in desk.answers["base"].value and desk.answers["base"].value.endswith("'></div>"):
        time.sleep(0.01)
    stopped = time.monotonic()
    desk.halt.click()
    desk.wait(20)
    assert time.monotonic() - stopped < 3 and not desk.thread.is_alive()
    assert "Stopped after" in desk.state.value and not desk.go.disabled
    assert list(desk.runs[0]["texts"]) == ["base"]
    assert desk.runs[0]["verdicts"] == {"base": "stopped, not judged"}
    desk.tokens.value = 3
    desk.generate()
    desk.wait(60)
    assert "Done after" in desk.state.value and len(desk.runs) == 2


def test_a_failure_is_shown_and_the_desk_goes_on(desk, monkeypatch):
    model = desk.models["tuned"].model

    def fail(*inputs, **options):
        raise RuntimeError("<b>out of memory</b>")

    monkeypatch.setattr(model, "forward", fail)
    desk.generate()
    desk.wait(60)
    assert "RuntimeError" in desk.state.value and "&lt;b&gt;out of memory" in desk.state.value
    assert not desk.go.disabled and list(desk.runs[0]["texts"]) == ["base"]


def test_what_is_asked_is_checked(desk):
    for prompt, words in (("  ", "The prompt is empty"), ("x" * 9000, "shorten them to 8000")):
        desk.prompt.value = prompt
        desk.generate()
        assert words in desk.state.value and desk.thread is None


def test_system_prompt_follows_rubric_and_target_until_own_words(desk):
    desk.rubric.value, desk.target.value = "esoteric", 10
    assert desk.system.value == system_prompt("esoteric", "low") and desk.system.disabled
    desk.target.value = OWN_WORDS
    assert not desk.system.disabled
    desk.system.value = EVIL
    desk.rubric.value = "rococo"
    assert desk.system.value == EVIL
    desk.prompt.value = EVIL
    desk.tokens.value = 2
    desk.generate()
    desk.wait(60)
    assert desk.runs[0]["system"] == EVIL and "target" not in desk.verdicts["base"].value


def test_all_text_is_shown_as_text(desk, monkeypatch):
    monkeypatch.setattr(streaming, "chat", lambda *a, **k: [EVIL])
    desk.prompt.value = EVIL
    desk.generate()
    desk.wait(60)
    heads = [child.children[0].value for child in desk.children[3].children]
    for page in (desk.answers["tuned"].value, desk.past.value, heads[1]):
        assert "&lt;script&gt;" in page and "<script" not in page and "<b>bold" not in page
        assert "widget-view+json" in page


def test_on_pages_without_widgets_there_is_a_sentence(desk):
    bundle = getattr(desk, "_repr_mimebundle_", dict)()  # ipywidgets 7 has none: it shows the repr itself
    assert "when you run this cell" in repr(desk) == bundle.get("text/plain", repr(desk))


def test_log_ratios_add_up_to_the_log_probability_of_the_response(two):
    base, tuned = two
    turns, response = messages("Hello", "Be brief."), "Naïve café 漢字 😀.\n<b>x</b>"
    ratios = token_log_ratios(tuned, base, turns, response)
    assert "".join(text for text, _ in ratios) == response + "<|im_end|>"
    assert len(ratios) > 8 and "\ufffd" not in "".join(t for t, _ in ratios)

    def answer(words):
        return [{"role": "assistant", "content": words}]

    row = {"prompt": turns, "chosen": answer(response), "rejected": answer("No.")}
    margins = [preference_margins(model, [row])[0] for model in (tuned, base)]
    other = sum(r for _, r in token_log_ratios(tuned, base, turns, "No."))
    assert sum(r for _, r in ratios) - other == pytest.approx(margins[0] - margins[1], abs=0.3)  # bf16 there
    assert all(ratio == 0 for _, ratio in token_log_ratios(base, base, turns, response))


def test_heat_is_escaped_and_shows_signs_without_colour():
    views = {"<i>high</i>": [("<script>", 2.0), (" a\n", -2.0), ("b", 0.0)], "low": [(" $x$", 0.01)]}
    page = token_heat(views).data
    assert "<script>" not in page and "&lt;script&gt;" in page and "&lt;i&gt;high" in page
    for part in ("title='+2.00'", "2px dashed", "2px solid", "background:#fff"):
        assert part in page
    assert heat_limit(views) == 2 and heat_limit({}) == 0.5
    assert heat_colour(0, 2) == (255, 255, 255) and heat_colour(5, 2) == (230, 159, 0)
    assert heat_colour(-5, 2) == (86, 180, 233)


def test_heat_as_a_figure(tmp_path):
    import matplotlib

    matplotlib.use("agg")
    views = {"high": [(" word", 1.0)] * 60 + [("$\\x$\n", -1.0)], "low": [("x" * 150, 0.0)]}
    fig = token_heat_figure(views)
    fig.savefig(tmp_path / "heat.png")
    assert (tmp_path / "heat.png").stat().st_size > 5000 and len(fig.axes) == 3
