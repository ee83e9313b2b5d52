"""The steering desk without a browser, and token log-ratios."""

import copy
import json
import sys
import threading
import time

import pytest
import torch
from replies import completion, delta, serving, serving_pieces

from cpt_utils import fresh, own_texts, runtime
from cpt_utils.evaluation import preference_margins
from cpt_utils.fast import decoding
from cpt_utils.judging import Judgement, embedded_judge
from cpt_utils.models import conversation, streaming
from cpt_utils.models.conversation import ChatModel, chat
from cpt_utils.models.logps import token_log_ratios
from cpt_utils.models.streaming import stream_chat
from cpt_utils.plotting import heat_colour, heat_limit, token_heat, token_heat_figure
from cpt_utils.prompts import messages, system_prompt
from cpt_utils.reading import VERDICTS
from cpt_utils.rows import Task
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime.errors import GenerationError, SettingsError
from cpt_utils.runtime.files import read_jsonl
from cpt_utils.runtime.profiles import load_profile
from cpt_utils.teachers import Teacher, endpoint_teacher
from cpt_utils.ways import WAYS, Counted, Read, write_ways
from cpt_utils.widgets import judged, runs
from cpt_utils.widgets.desk import DIAL, ORDERS, steering_desk
from cpt_utils.widgets.orders import OWN, Order
from cpt_utils.widgets.studio import rubric_studio
from cpt_utils.wordings import checked, save_wordings

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


def opened(two, folder, **options):
    profile = load_profile("smoke").replace(seed=3)
    desk = steering_desk(*two, Judge(), profile, prompt="Hello", every=0, folder=folder, **options)
    desk.numbers["Most tokens"].value = 12
    return desk


@pytest.fixture
def desk(two, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "sense_of", lambda base, prompt, text: f"sense of {prompt}")
    return opened(two, tmp_path)


def run(desk):
    desk.generate()
    desk.wait(120)
    return desk.runs[0] if desk.runs else None


def texts(done: dict) -> list[str]:
    return [side["text"] for side in done["sides"]]


def test_a_run_shows_texts_scores_and_history(desk, two):
    first = run(desk)
    assert "Done after" in desk.state.value and not desk.go.disabled and desk.halt.disabled
    asked = [messages("Hello", system_prompt("rococo", "high"))]
    sampling = load_profile("smoke").sampling.model_dump(exclude={"batch_size"})
    for i, model in enumerate(two):
        (text,) = chat(model, asked, max_new_tokens=12, seed=3, **sampling)
        assert texts(first)[i] == text  # what the notebook's own call gives
        assert "Rococo: 61 of 100, target 95" in desk.verdicts[i].value
        assert "degenerate: repetition" in desk.verdicts[i].value and "sense of Hello" in desk.verdicts[i].value
    desk.numbers["Seed"].value = 4
    second = run(desk)
    desk.numbers["Seed"].value = 3
    third = run(desk)
    assert texts(first) == texts(third) != texts(second) and desk.past.value.count("<details") == 3


def test_a_text_that_the_limit_cut_is_marked(desk, monkeypatch):
    first = run(desk)
    assert [side["cut"] for side in first["sides"]] == [True, True] and "cut at 12 tokens" in desk.verdicts[0].value
    monkeypatch.setattr(streaming, "answered", lambda *a, **k: [("It ends here.", True)])
    second = run(desk)
    assert [side["cut"] for side in second["sides"]] == [False, False] and "cut at" not in desk.verdicts[0].value


def test_runs_are_kept_in_a_file_and_shown_again(desk, two, tmp_path):
    desk.orders[0].text.value = "Talk like a pirate, " + EVIL
    first = run(desk)
    with open(tmp_path / runs.FILE, "a") as file:
        file.write('{"prompt": 3}\n{"prompt": "x", "options": {}, "sides": [{"text": 1}]}\n')
    again = opened(two, tmp_path)
    assert again.runs == [first] and "pirate" in again.past.value and "<script" not in again.past.value
    (label,) = [label for label in again.orders[0].pick.options if "pirate" in label]
    again.orders[0].pick.value = label  # an order of one's own is kept, too
    assert again.orders[0].system == desk.orders[0].system and again.orders[0].style is None


def test_a_wave_is_the_home_folder_of_the_runs(two, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert opened(two, "~/room").folder == tmp_path / "room"


def test_a_file_of_runs_that_cannot_be_read_is_told(desk, two, tmp_path):
    run(desk)
    with open(tmp_path / runs.FILE, "a") as file:
        file.write("<b>torn\n{}\n")
    again = opened(two, tmp_path)
    assert again.runs == [] and "Earlier runs are not shown" in again.past.value and "torn" not in again.past.value


def test_a_file_that_cannot_be_written_is_told_and_costs_no_run(desk, tmp_path):
    (tmp_path / runs.FILE).mkdir()
    assert texts(run(desk))[0] and "This run is not kept" in desk.state.value and not desk.go.disabled


def test_an_order_of_ones_own_is_typed_at_once_and_judged_by_no_style(desk):
    order = desk.orders[0]
    order.text.value = "Talk like a pirate."
    assert order.pick.value == OWN and not order.text.disabled
    done = run(desk)
    for side, verdict in zip(done["sides"], desk.verdicts):
        assert side["systems"] == ["Talk like a pirate."] and side["style"] is side["target"] is None
        assert "not judged: the order is your own" in verdict.value and "61" not in verdict.value
    order.pick.value = "Esoteric, low"
    assert order.system == system_prompt("esoteric", "low") and (order.style, order.target) == ("esoteric", 10)
    (mine,) = [label for label in order.pick.options if "pirate" in label]
    order.pick.value = mine
    assert order.system == "Talk like a pirate."
    order.text.value = system_prompt("rococo", "mid")  # in the words of a shipped one
    assert order.pick.value == "Rococo, mid" and order.target == 50


def test_an_order_keeps_its_style_where_other_rubrics_have_the_same_words():
    words = system_prompt("rococo", "high")
    own = {
        "Night (night.yaml), high": ("Be dark.", "night", 95),
        "Night (night_2.yaml), high": ("Be dark.", "night_2", 95),
    }
    own |= {"Copy (copy.yaml), high": (words, "copy", 95)}
    order = Order("System prompt", "Fill in", ("esoteric", 95), own)
    for label, style in (("Night (night_2.yaml), high", "night_2"), ("Copy (copy.yaml), high", "copy")):
        order.pick.value = label
        order.have(own)
        assert (order.pick.value, order.style, order.target) == (label, style, 95)
    order.have({label.replace("Copy", "My copy"): one for label, one in own.items()})  # its title is another one now
    assert (order.pick.value, order.style) == ("My copy (copy.yaml), high", "copy")
    order.have({})
    assert (order.pick.value, order.style) == ("Rococo, high", "rococo")  # the words are another style's alone


def test_what_is_typed_is_kept_before_it_is_replaced(desk):
    order = desk.orders[1]
    assert order.text.description == "Second prompt"  # more does not fit beside the field
    order.text.value = "Half a thought"
    order.pick.value = "Rococo, low"
    assert [label for label in order.pick.options if "Half a thought" in label]


def test_a_style_can_judge_an_order_of_ones_own(desk):
    desk.orders[0].text.value = "Be brief."
    desk.judged.value = "esoteric"
    run(desk)
    assert "Esoteric: 61 of 100" in desk.verdicts[0].value and "target" not in desk.verdicts[0].value


@pytest.mark.parametrize("text, told", [("Rain again.", "too short"), ("🌧️ ☔", "without words")])
def test_a_short_answer_is_not_called_empty_and_gets_no_zero(text, told, tmp_path):
    shipped = judged.by_style(embedded_judge("style"), "rococo", 95, "Hello", text)
    assert f"Rococo: no score ({told}" in shipped and "0 of 100" not in shipped
    own = judged.Own(load_rubric("rococo"), {"Ornamental diction": Counted("exclamations", 0, 5)}, {})
    for said in (shipped, judged.by_nothing(text), judged.by_rubric(own, None, "Hello", text, tmp_path)):
        assert told in said and "degenerate" not in said and "empty" not in said


def test_a_rubric_of_ones_own_judges_as_its_file_says(two, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "sense_of", lambda *a: "")
    monkeypatch.setattr(streaming, "answered", lambda *a, **k: [("Stop! " * 3 + "and go on.", True)])
    mine = load_rubric("rococo").model_dump() | {"name": "shouting", "title": EVIL[:20]}
    mine["criteria"] = [mine["criteria"][0] | {"name": "Shouting", "weight": 100}]
    Rubric.checked(mine).to_yaml(tmp_path / "shouting.yaml")
    (tmp_path / "broken.yaml").write_text("title: [")
    write_ways(tmp_path / "shouting.judge.yaml", {"Shouting": Counted("exclamations", 0, 1000)})
    desk = opened(two, tmp_path)
    (label,) = desk.own
    desk.judged.value = label
    done = run(desk)
    assert ": 5 of 100" in done["sides"][0]["verdict"] and "&lt;script&gt;" in desk.verdicts[0].value
    (tmp_path / "shouting.judge.yaml").unlink()
    desk = opened(two, tmp_path)
    desk.judged.value = label
    assert "no criterion has a score" in run(desk)["sides"][0]["verdict"]


def test_each_side_can_have_its_model_and_its_order(two, tmp_path, desk):
    desk = opened(two, tmp_path, others={"capstone": two[1]})
    desk.compare.value = ORDERS
    desk.sides[0].value, desk.sides[1].value = "capstone", "base"
    desk.orders[1].text.value = "A long order for the base."
    assert "capstone" in desk.heads[0].value
    left, right = run(desk)["sides"]
    assert (left["model"], left["style"], left["target"]) == ("capstone", "rococo", 95)
    assert (right["model"], right["systems"], right["style"]) == ("base", ["A long order for the base."], None)


def test_an_endpoint_answers_on_a_side_and_grows_there(two, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "sense_of", lambda *a: "")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("cpt_utils.answer_stream.EVERY", 0)
    seen, asked = threading.Event(), []
    pieces = [delta("<think>hm</think>"), delta("The <b>sea"), seen, delta(" roars.", "stop"), "data: [DONE]\n\n"]
    with serving_pieces(lambda body: asked.append(body) or pieces) as url:
        desk = opened(two, tmp_path, others={"<i>far": endpoint_teacher("m", url, temperature=0.5)})
        desk.sides[1].value = "<i>far"
        assert "&lt;i&gt;far" in desk.heads[1].value and "settings of its own" in desk.heads[1].value
        desk.answers[1].observe(lambda change: "sea" in change["new"] and seen.set(), "value")
        done = run(desk)
    assert seen.is_set() and texts(done)[1] == "The <b>sea roars." and "&lt;b&gt;sea" in desk.answers[1].value
    assert "Rococo: 61 of 100" in desk.verdicts[1].value and "cut at" not in desk.verdicts[1].value
    assert asked[0]["messages"] == messages("Hello", system_prompt("rococo", "high")) and asked[0]["temperature"] == 0.5
    desk.compare.value = DIAL
    desk.generate()
    assert "A dial needs models of this process" in desk.state.value and len(asked) == 1


def test_half_an_answer_of_an_endpoint_is_marked_wherever_it_goes(two, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")

    def pieces(body):
        yield delta("The sea")
        for _ in range(200):
            yield from (0.05, delta("!"))

    with serving_pieces(pieces) as url:
        desk = opened(two, tmp_path, others={"far": endpoint_teacher("m", url)})
        desk.sides[0].value = "far"
        desk.answers[0].observe(lambda change: "sea" in change["new"] and desk.halt.click(), "value")
        done = run(desk)
    assert "Stopped after" in desk.state.value and len(done["sides"]) == 1
    assert done["sides"][0]["text"].startswith("The sea") and done["sides"][0]["verdict"] == "stopped, not judged"
    desk.send[0].click()
    (text,) = own_texts.kept_texts(tmp_path)
    assert text["label"] == "m (stopped), 95"


@pytest.fixture
def thinking(tiny_model, tokenizer, monkeypatch):
    """A model that writes what it is given to write, and whose template opens a thought before each answer."""
    tokenizer, script = copy.deepcopy(tokenizer), []
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    )

    def generate(model, batch, watch=None, **options):
        ids = tokenizer.encode(script[0], add_special_tokens=False)
        for token in ids if watch else ():
            watch(torch.tensor([token]))
        return torch.tensor([[*ids, tokenizer.eos_token_id]])

    monkeypatch.setattr(decoding, "generate", generate)
    return ChatModel(tiny_model, tokenizer, "thinker"), script


def test_a_thought_that_the_template_opens_is_never_shown(thinking, two, desk, tmp_path, monkeypatch):
    model, script = thinking
    script.append("Hm, the sea, hm.\n</think>\n\nThe sea sings.")
    assert conversation.answered(model, [messages("Hello")]) == [(f"<think>\n{script[0]}", True)]
    assert chat(two[0], [messages("Hello")], max_new_tokens=3)[0][:7] != "<think>"
    shown = []
    monkeypatch.setattr(fresh, "EVERY", 0)
    task = Task(prompt="Hello", rubric="rococo", target=95)
    made = fresh.fresh_text(model, task, messages("Hello"), tmp_path / "fresh.jsonl", shown.append)
    assert made["response"] == "The sea sings." and shown[-1] == "The sea sings." and len(set(shown)) > 3
    assert all("The sea sings.".startswith(text) for text in shown)
    wide = opened(two, tmp_path / "wide", others={"thinker": model})
    wide.sides[1].value, grown = "thinker", []
    wide.answers[1].observe(lambda change: grown.append(change["new"]), "value")
    assert texts(run(wide))[1] == "The sea sings." and not any("Hm" in page for page in grown)


def test_a_thought_without_an_answer_is_told(thinking, two, tmp_path):
    model, script = thinking
    script.append("Hm, the sea, and so on and on.")
    with pytest.raises(GenerationError, match="thinking, and no answer after it"):
        fresh.fresh_text(
            model, Task(prompt="Hello", rubric="rococo", target=95), messages("Hello"), tmp_path / "f.jsonl"
        )
    desk = opened(two, tmp_path, others={"thinker": model})
    desk.sides[1].value = "thinker"
    assert len(run(desk)["sides"]) == 1 and "thinker gave thinking, and no answer" in desk.state.value


def test_an_endpoint_that_fails_is_told_in_its_own_words_and_leaves_the_other_side(two, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "sense_of", lambda *a: "")
    monkeypatch.setenv("no_proxy", "*")
    with serving_pieces(lambda body: (401, {"error": {"message": "No such key"}})) as url:
        desk = opened(two, tmp_path, others={"far": endpoint_teacher("m", url)})
        desk.sides[1].value = "far"
        done = run(desk)
    assert "m gave no answer: HTTP 401 (the endpoint refuses the key" in desk.state.value
    assert len(done["sides"]) == 1 and done["sides"][0]["text"] and not desk.go.disabled
    desk = opened(two, tmp_path, others={"far": Teacher("plain", lambda turns: ["A function's text."])})
    desk.sides[0].value = desk.sides[1].value = "far"
    assert texts(run(desk)) == ["A function's text."] * 2


def test_the_dial_ends_at_the_two_orders(desk, two):
    desk.compare.value, desk.numbers["Temperature"].value = DIAL, 0
    found = {}
    for place in (0, 0.5, 1):
        desk.dial.value = place
        done = run(desk)
        assert "Done" in desk.state.value and done["dial"] == place
        found[place] = texts(done)
        assert [side["target"] for side in done["sides"]] == [None, None] and done["sides"][0]["style"] == "rococo"
    for place, target in ((0, "high"), (1, "low")):
        asked = [messages("Hello", system_prompt("rococo", target))]
        sampling = load_profile("smoke").sampling.model_dump(exclude={"batch_size"}) | {"temperature": 0}
        assert found[place] == [chat(model, asked, max_new_tokens=12, seed=3, **sampling)[0] for model in two]


def test_the_ends_of_the_dial_are_named(desk):
    assert desk.ends.layout.display == "none"
    desk.compare.value = DIAL
    assert desk.ends.layout.display is None
    assert "0: Rococo, high<br>1: Rococo, low" in desk.ends.value
    desk.orders[0].pick.value = "Esoteric, mid"
    desk.orders[1].text.value = "Talk like a pirate."
    assert f"0: Esoteric, mid<br>1: {OWN}" in desk.ends.value


def test_the_title_of_an_earlier_run_says_under_which_orders(desk):
    for words in ("Talk like a pirate. " * 9, "Be <b>brief."):
        desk.orders[0].text.value = words
        run(desk)
    desk.compare.value = DIAL
    run(desk)
    titles = [page.split("</summary>")[0] for page in desk.past.value.split("<summary")[1:]]
    assert [title.count("pirate") for title in titles] == [0, 0, 3] and "Talk like a pirate. Talk" in titles[2]
    assert "under Be &lt;b&gt;brief.<" in titles[1] and "..." not in titles[1]
    assert "under Be &lt;b&gt;brief. | Write in bare, plain prose." in titles[0] and "· dial 0.5" in titles[0]
    assert runs.orders_of({"sides": [{"systems": [""]}]}) == "under none"


def test_answers_go_to_the_bench(desk, tmp_path):
    assert desk.send[0].disabled
    done = run(desk)
    desk.send[1].click()
    desk.send[1].click()
    desk.orders[0].text.value = "Talk like a pirate."
    run(desk)
    desk.send[0].click()
    first, last = rows = read_jsonl(tmp_path / own_texts.KEPT)
    assert len(rows) == 2
    assert first["prompt"] == "Hello" and first["response"] == texts(done)[1]
    assert (first["rubric"], first["target"]) == ("rococo", 95) and "rubric" not in last
    assert last["system"] == "Talk like a pirate." and "Sent to the rubric studio" in desk.state.value


def test_numbers_out_of_range_are_changed_and_told(desk):
    for name, value, words in (
        ("Most tokens", 9999, "Most tokens goes from 1 to 4096: 9999 became 4096"),
        ("Temperature", 3.0, "Temperature goes from 0 to 1.5: 3 became 1.5"),
        ("Seed", -1, "-1 became 0"),
    ):
        desk.numbers[name].value = value
        assert words in desk.state.value


def test_topic_and_order_gain_are_told(two, monkeypatch):
    words = runs.sense_of(two[0], "Describe the sea.", "The sea is wide and the waves are long and grey.")
    assert words.startswith("topic: of 26 prompts, your prompt is the nearest; word-order gain ")
    assert "too short" in runs.sense_of(two[0], "Describe the sea.", "Sea")
    for rank, told in ((2, "1 is nearer to this text than yours"), (3, "2 are nearer to this text than yours")):
        monkeypatch.setattr(runs, "topic_ranks", lambda rows, rank=rank: [rank])
        assert f"of 26 prompts, {told};" in runs.sense_of(two[0], "Describe the sea.", "The sea is wide and grey.")


def test_text_grows_while_it_is_generated(two):
    seen = []
    text = stream_chat(two[0], messages("Hello"), seen.append, threading.Event(), max_new_tokens=10, seed=1)
    assert len(set(seen)) > 5 and seen[-1] == text
    assert all(later.strip().startswith(earlier.strip()[:-1]) for earlier, later in zip(seen, seen[1:]))


def test_stop_ends_the_run_at_once_and_leaves_the_desk_usable(desk):
    desk.numbers["Most tokens"].value = 900
    desk.generate()
    assert desk.go.disabled and not desk.halt.disabled
    first = desk.thread
    desk.generate()  # nothing happens: one run at a time
    assert desk.thread is first
    while "min-height" in desk.answers[0].value and desk.answers[0].value.endswith("'></div>"):
        time.sleep(0.01)
    stopped = time.monotonic()
    desk.halt.click()
    desk.wait(20)
    assert time.monotonic() - stopped < 3 and not desk.thread.is_alive()
    assert "Stopped after" in desk.state.value and not desk.go.disabled
    assert [side["verdict"] for side in desk.runs[0]["sides"]] == ["stopped, not judged"]
    desk.numbers["Most tokens"].value = 3
    run(desk)
    assert "Done after" in desk.state.value and len(desk.runs) == 2


def test_a_failure_is_shown_and_the_desk_goes_on(desk, monkeypatch):
    model = desk.models["tuned"].model

    def fail(*inputs, **options):
        raise RuntimeError("<b>out of memory</b>")

    monkeypatch.setattr(model, "forward", fail)
    run(desk)
    assert "RuntimeError" in desk.state.value and "&lt;b&gt;out of memory" in desk.state.value
    assert not desk.go.disabled and len(desk.runs[0]["sides"]) == 1


def test_a_key_in_a_foreign_error_reaches_no_page(two, tmp_path):
    def answer(conversations):
        raise RuntimeError("401 for url: https://x.org/v1?api_key=sk-verysecretkey1234")

    desk = opened(two, tmp_path, others={"far": Teacher("m", answer)})
    desk.sides[0].value = "far"
    run(desk)
    assert "The run failed (RuntimeError): 401" in desk.state.value and "secret" not in desk.state.value


def test_half_an_emoji_in_any_field_leaves_the_run(two, desk):
    desk.prompt.value = "Describe rain. \ud83d"
    desk.orders[0].text.value = "Be wet. \ud83d"
    run(desk)
    assert "Done after" in desk.state.value and len(desk.runs[0]["sides"]) == 2


def test_on_colab_a_run_is_over_before_its_button_has_been_answered(desk, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    heard = []
    desk.halt.observe(lambda change: heard.append(change["new"]), "disabled")
    desk.go.click()
    assert "Done after" in desk.state.value and not desk.go.disabled and not heard


def test_what_is_asked_is_checked(desk):
    for prompt, words in (("  ", "The prompt is empty"), ("x" * 9000, "shorten them to 8000")):
        desk.prompt.value = prompt
        desk.generate()
        assert words in desk.state.value and desk.thread is None


def test_all_text_is_shown_as_text(desk, monkeypatch):
    monkeypatch.setattr(streaming, "answered", lambda *a, **k: [(EVIL, True)])
    desk.prompt.value = EVIL
    run(desk)
    for page in (desk.answers[1].value, desk.past.value, desk.heads[1].value):
        assert "&lt;script&gt;" in page and "<script" not in page and "<b>bold" not in page
        assert "widget-view+json" in page


def test_on_pages_without_widgets_there_is_a_sentence(desk):
    bundle = getattr(desk, "_repr_mimebundle_", dict)()  # ipywidgets 7 has none: it shows the repr itself
    assert "when you run this cell in JupyterLab" in repr(desk) == bundle.get("text/plain", repr(desk))


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


@pytest.mark.parametrize("others", [{"far": "http://localhost/v1"}, {"base": Teacher("t", list)}])
def test_a_model_that_cannot_be_asked_is_told_when_the_desk_is_opened(two, tmp_path, others):
    with pytest.raises(SettingsError, match=f"others\\['{next(iter(others))}'\\] cannot be asked"):
        opened(two, tmp_path, others=others)
    with pytest.raises(SettingsError, match="others is a list: give a dict of models"):
        opened(two, tmp_path, others=[Teacher("t", list)])


# ---------------------------------------------------------------- rubrics of one's own, and the studio's folder


def criterion(name, weight):
    return {"name": name, "weight": weight, "levels": list("abcde")}


def saved(place, name="diary", **changes):
    """A rubric of two criteria that somebody saved in a folder, with how it is scored."""
    criteria = [criterion(each, 50) for each in ("Shouting", "Voice")]
    rubric = {"name": name, "title": "A Diary", "objective": "Doubt.", "levels": list("abcde"), "criteria": criteria}
    rubric = Rubric.checked(rubric | changes)
    place.mkdir(parents=True, exist_ok=True)
    rubric.to_yaml(place / f"{name}.yaml")
    ways = {"Shouting": Counted("exclamations", 0, 1000), "Voice": Counted("questions", 0, 1000)}
    write_ways(place / f"{name}{WAYS}", ways)
    return rubric


@pytest.fixture
def started(two, tmp_path, monkeypatch):
    """Desks as a notebook opens them after `start`; on this machine another profile is usual."""
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    monkeypatch.setenv("CPT_PROFILE", "t4")
    for name in ("CPT_ENDPOINT", "CPT_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(runs, "sense_of", lambda *a: "")
    monkeypatch.setattr(streaming, "answered", lambda *a, **k: [("Stop! " * 3 + "and go on.", True)])
    profile = runtime.start("smoke")

    def opens(rubrics=None):
        return steering_desk(*two, Judge(), profile.for_rubrics(rubrics), prompt="Hello", every=0)

    return opens


def test_what_is_sent_to_the_bench_reaches_the_studio_of_the_same_session(started, tmp_path):
    saved(tmp_path / "smoke")
    for rubrics in (None, ["diary"]):
        desk = started(rubrics)
        run(desk)
        desk.send[0].click()
        studio = rubric_studio()
        assert studio.folder == tmp_path / "smoke" and list(studio.file.options) == ["diary.yaml"]
        (text,) = studio.live.bench.texts
        assert text["response"].startswith("Stop!")
        (tmp_path / "smoke" / own_texts.KEPT).unlink()
    assert (tmp_path / "smoke" / "rubrics" / "diary" / runs.FILE).exists(), "runs are the run's own"


def test_under_rubrics_ones_own_judges_and_its_system_prompts_are_filled_in(started, tmp_path):
    saved(tmp_path / "smoke")
    saved(tmp_path / "smoke" / "capstone", "night", title="Night Diary")
    words = {name: {"prompt": f"Write {name}.", "paraphrase": "Again."} for name in ("low", "mid", "high")}
    save_wordings("diary", checked(words, "here"))
    desk = started(["diary"])
    assert list(desk.own) == ["A Diary (diary.yaml)", "Night Diary (capstone/night.yaml)"]
    order = desk.orders[0]
    assert (order.system, order.style, order.target) == ("Write high.", "diary", 95)
    assert [label for label in order.pick.options if label.startswith("A Diary (diary.yaml)")][0].endswith(", low")
    verdict = run(desk)["sides"][0]["verdict"]
    assert verdict.startswith("A Diary: ") and "of 100, target 95" in verdict
    desk.judged.value = "Night Diary (capstone/night.yaml)"
    verdict = run(desk)["sides"][0]["verdict"]
    assert verdict.startswith("Night Diary: ") and "target" not in verdict


def test_a_rubric_that_is_saved_later_is_found_by_a_button(started, tmp_path):
    desk = started()
    desk.judged.value = "esoteric"
    desk.orders[0].text.value = "Be brief."
    saved(tmp_path / "smoke")
    desk.again.click()
    assert "A Diary (diary.yaml)" in desk.state.value and desk.judged.value == "esoteric"
    assert desk.orders[0].system == "Be brief."
    desk.judged.value = "A Diary (diary.yaml)"
    saved(tmp_path / "smoke", title="<b>Other")  # the former one is kept under another name
    (tmp_path / "smoke" / "diary.yaml").unlink()
    desk.generate()
    assert not desk.runs and "is no longer there: choose anew" in desk.state.value


def test_what_a_chat_model_reads_counts_by_its_verdicts_and_else_it_is_told_who_reads(started, tmp_path, monkeypatch):
    rubric = saved(tmp_path / "smoke")
    write_ways(
        tmp_path / "smoke" / f"diary{WAYS}", {"Shouting": Counted("exclamations", 0, 1000), "Voice": Read("gpt")}
    )
    desk = started()
    desk.judged.value = next(iter(desk.own))
    verdict = run(desk)["sides"][0]["verdict"]
    assert (
        "from 50 of 100 points" in verdict and "'Voice': a chat model ('gpt') has to read it, in the studio" in verdict
    )
    write_ways(tmp_path / "smoke" / f"diary{WAYS}", dict.fromkeys(("Shouting", "Voice"), Read("gpt")))
    verdict = run(desk)["sides"][0]["verdict"]
    assert "no criterion has a score; 'Shouting', 'Voice': a chat model" in verdict and "CPT_ENDPOINT" in verdict

    asked = []

    def reply(body):
        asked.append(body)
        return 200, completion(json.dumps({"score": 40}))

    monkeypatch.setenv("no_proxy", "*")
    with serving(reply) as url:
        monkeypatch.setenv("CPT_ENDPOINT", url)
        monkeypatch.setenv("CPT_MODEL", "gpt")
        assert run(desk)["sides"][1]["verdict"] == "A Diary: 40 of 100" and len(asked) == 2  # both sides say the same
    monkeypatch.delenv("CPT_ENDPOINT")
    assert run(desk)["sides"][0]["verdict"] == "A Diary: 40 of 100", "by the verdicts that are kept"
    assert rubric_studio(rubric).live.models.folder / VERDICTS == tmp_path / "smoke" / VERDICTS
    monkeypatch.setenv("CPT_ENDPOINT", "http://localhost:1/v1")
    monkeypatch.delenv("CPT_MODEL")
    done = run(desk)
    assert len(done["sides"]) == 2 and "A Diary: not judged. CPT_ENDPOINT is set" in done["sides"][1]["verdict"]


def test_a_chat_model_is_not_asked_for_a_criterion_that_weighs_nothing(tmp_path, monkeypatch):
    rubric = saved(tmp_path, criteria=[criterion(n, w) for n, w in (("Shouting", 100), ("Voice", 0))])
    asked = []
    monkeypatch.setenv("no_proxy", "*")
    with serving(lambda body: (200, asked.append(body) or completion(json.dumps({"score": 40})))) as url:
        monkeypatch.setenv("CPT_ENDPOINT", url)
        monkeypatch.setenv("CPT_MODEL", "gpt")
        own = judged.Own(rubric, {"Shouting": Counted("exclamations", 0, 1000), "Voice": Read("gpt")}, {})
        said = judged.by_rubric(own, None, "A gate.", "The gate stood open, and nobody went through.", tmp_path)
    assert said.startswith("A Diary: 0 of 100") and "Voice" not in said and not asked
