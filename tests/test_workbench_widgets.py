"""The workbench's tabs and panels, as their observers see them; a chat model is a real server on this machine."""

import json
import sys
import threading
import time

import numpy as np
import pytest
from replies import completion, delta, serving, serving_pieces

from cpt_utils import llm_judging, marks, own_texts
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime.errors import ModelError, SettingsError
from cpt_utils.teachers import Teacher, endpoint_teacher
from cpt_utils.ways import Counted, Likened, Read, read_ways, write_ways
from cpt_utils.widgets import apart, filing, live, ranking, readers, scores, work
from cpt_utils.widgets.scoring import READ
from cpt_utils.widgets.studio import rubric_studio

pytestmark = pytest.mark.usefixtures("own_runs")
NAMES = [criterion.name for criterion in load_rubric("rococo").criteria]
EVIL = "<script>alert(1)</script> so gilded, so laced and so perfumed a guest, dear reader, never bowed."


def tab(studio, name: str) -> None:
    studio.live.selected_index = live.TABS.index(name)


class Model:
    """A chat model that judges, drafts and writes; `asked` are the requests, `gate` holds them back."""

    def __init__(self):
        self.asked, self.gate, self.drafted = [], threading.Event(), "no rubric at all"
        self.gate.set()

    def __call__(self, body):
        said = " ".join(turn["content"] for turn in body["messages"])
        self.asked.append(said)
        assert self.gate.wait(20)
        if "strict judge" in said:
            names = [name for name in [*NAMES, "Mockery"] if f'"{name}": number' in said]
            score = 90 if "gilded" in said else 30
            return 200, completion(json.dumps({"criteria": dict.fromkeys(names, score), "score": score}))
        return 200, completion(self.drafted if "Write a rubric" in said else f"A fresh text, number {len(self.asked)}.")


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    made = Model()
    with serving(made) as url:
        made.teacher = endpoint_teacher("m", url, workers=2)
        yield made
        made.gate.set()


@pytest.fixture
def studio(tmp_path, model):
    return rubric_studio("rococo", tmp_path, [model.teacher])


def done(panel) -> bool:
    """Whether nothing waits to be read, and nothing can be sent."""
    return panel.work.go.layout.display == "none" and "All texts on view have been asked about" in panel.told.value


def choose_read(studio, criterion: str) -> None:
    tab(studio, "Scoring")
    studio.live.scoring.criterion.value = criterion
    studio.live.scoring.kind.value = READ


def test_no_model_is_loaded_or_asked_before_a_button(studio, model, monkeypatch):
    loaded = []
    monkeypatch.setattr("cpt_utils.models.loading.load_chat_model", lambda *a, **k: loaded.append(a))
    for name in live.TABS:
        tab(studio, name)
    choose_read(studio, NAMES[0])
    tab(studio, "Scores")
    assert not loaded and not model.asked
    assert list(studio.live.bench.writer.options) == ["m", readers.EMBEDDED, readers.TUNED]
    assert list(studio.live.scoring.judge.options) == ["m"]


def test_a_criterion_is_read_after_the_number_of_requests_was_shown(studio, model, tmp_path):
    choose_read(studio, NAMES[3])
    panel = studio.live.reads
    assert studio.ways[NAMES[3]] == Read("m") and panel.work.go.description == "Send 12 requests, up to 36"
    assert "12, by m" in panel.told.value and not model.asked
    tab(studio, "Scores")
    assert f"Still to be read: {NAMES[3]} (12 texts)" in studio.live.scores.value
    assert "no score × 15%" in studio.live.scores.value
    panel.work.go.click()
    panel.work.wait(30)
    assert len(model.asked) == 12 and "12 of 12 requests answered" in panel.work.state.value
    assert done(panel) and "Still to be read" not in studio.live.scores.value
    assert "30 × 15%" in studio.live.scores.value
    # Another criterion's words, and weights: nothing new. Its own words: all of them.
    studio.criteria.children[0].children[3].value = "Lace, here and there."
    studio.weights.children[3].children[1].value = 70
    assert done(panel)
    studio.criteria.children[3].children[3].value = "It laughs at itself, now and then."
    assert panel.work.go.description == "Send 12 requests, up to 36" and not done(panel)
    studio.undo.click()
    assert done(panel)
    studio.file.value = "mine"
    studio.save.click()
    assert read_ways(tmp_path / "mine.judge.yaml")[NAMES[3]] == Read("m")
    # Without the model at hand, its verdicts still count.
    alone = rubric_studio(tmp_path / "mine.yaml", tmp_path)
    assert "Still to be read" not in alone.live.scores.value and alone.ways[NAMES[3]] == Read("m")
    alone.live.own.value = EVIL
    assert alone.live.reads.work.go.description == "Send 1 request, up to 3"
    alone.live.reads.work.go.click()
    alone.live.reads.work.wait(30)
    assert "no chat model &#x27;m&#x27; is here" in alone.live.reads.work.state.value


def test_a_criterion_that_weighs_nothing_is_not_asked_for_until_it_is_raised(studio, model):
    slider, panel = studio.weights.children[3].children[1], studio.live.reads
    slider.value = 0
    choose_read(studio, NAMES[3])
    for name in ("Scoring", "Marks"):
        tab(studio, name)
        assert panel.work.go.layout.display == "none" and f"{NAMES[3]}: not asked for while" in panel.told.value
    studio.live.marking.about.value = NAMES[3]
    marks.add_mark(studio.folder, marks.Mark(who="A", rubric="rococo", response=EVIL, level="low", criterion=NAMES[3]))
    tab(studio, "Texts")
    tab(studio, "Marks")
    assert f"{NAMES[3]}: no score for 1 text (not asked for while its weight is 0)" in studio.live.marking.result.value
    assert "till to be read" not in studio.live.marking.result.value
    tab(studio, "Scores")
    assert "not asked × 0%" in studio.live.scores.value and "All texts on view" not in panel.told.value
    slider.value = 10
    assert panel.work.go.description == "Send 12 requests, up to 36" and not model.asked
    panel.work.go.click()
    panel.work.wait(30)
    assert len(model.asked) == 12 and "30 × 10%" in studio.live.scores.value
    slider.value = 0  # what was read stays on view
    assert "30 × 0%" in studio.live.scores.value and len(model.asked) == 12


def test_reading_can_be_stopped_and_goes_on(studio, model):
    choose_read(studio, NAMES[3])
    model.gate.clear()
    work = studio.live.reads.work
    work.go.click()
    deadline = time.monotonic() + 20
    while len(model.asked) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "0 of 12 requests answered" in work.state.value and work.go.disabled
    work.halt.click()
    model.gate.set()
    work.wait(30)
    assert len(model.asked) == 2 and "2 of 12 requests answered" in work.state.value and "Stopped" in work.state.value
    assert work.go.description == "Send 10 requests, up to 30" and not work.go.disabled
    work.go.click()
    work.wait(30)
    assert len(model.asked) == 12


def test_without_a_chat_model_the_way_read_says_what_to_give(tmp_path):
    studio = rubric_studio("rococo", tmp_path)
    before = dict(studio.ways)
    choose_read(studio, NAMES[0])
    assert "No chat model is here that could read" in studio.live.scoring.state.value and studio.ways == before
    with pytest.raises(SettingsError, match="teachers holds something of type int: give Teachers"):
        rubric_studio("rococo", tmp_path, teachers=5)
    with pytest.raises(SettingsError, match="teachers holds something of type str: give Teachers"):
        rubric_studio("rococo", tmp_path, ["gpt"])


def test_own_texts_come_in_stand_in_the_ranking_and_open(studio, tmp_path):
    bench = studio.live.bench
    tab(studio, "Texts")
    (tmp_path / "some.csv").write_text("response\nPlain words about rain.\nMore plain words.\n", "utf-8")
    bench.file.value = "some.csv"
    bench.bring.go.click()
    bench.bring.wait(60)
    assert "2 of 2 texts of some.csv are new" in bench.bring.state.value
    bench.label.value, bench.paste.value = "<b>evil</b>", EVIL
    bench.add.click()
    assert bench.paste.value == "" and len(bench.texts) == 3
    assert "&lt;script&gt;" in bench.list.value and "<script" not in bench.list.value
    assert "<b>evil" not in bench.list.value and NAMES[0] in bench.list.value
    tab(studio, "Scores")
    assert len(studio.live.texts()) == 15 and "some 1" in studio.live.scores.value
    studio.live.picked.value = "<b>evil</b>"
    assert "&lt;script&gt;" in studio.live.scores.value and "<script" not in studio.live.scores.value
    studio.live.which.value = live.MINE
    assert list(studio.live.texts()) == ["some 1", "some 2", "<b>evil</b>"]
    assert studio.live.picked.value == "<b>evil</b>"
    again = rubric_studio("rococo", tmp_path)  # they are there the next time, too
    assert len(again.live.texts()) == 15
    tab(studio, "Texts")
    bench.file.value = '"gone.csv"'  # as Windows copies paths
    bench.bring.go.click()
    bench.bring.wait(60)
    assert "There is no data file gone.csv" in bench.bring.state.value
    bench.aside.click()
    assert "Kept as bench-before" in bench.told.value and studio.live.which.value == live.BOTH
    assert len(studio.live.texts()) == 12
    bench.add.click()
    assert "nothing to add" in bench.told.value


def test_a_fresh_text_of_a_chosen_teacher_is_kept_and_shown(studio, model, tmp_path):
    bench = studio.live.bench
    tab(studio, "Texts")
    assert bench.task.value == load_prompts()[0]["prompt"]
    bench.write.go.click()
    bench.write.wait(30)
    assert "m wrote 5 words" in bench.write.state.value and "A fresh text, number 1." in bench.paper.value
    assert "would score 95 out of 100" in model.asked[0] and bench.task.value in model.asked[0]
    assert "m, high" in bench.list.value and "m, high" in studio.live.texts()
    bench.task.value = "  "
    bench.write.go.click()
    assert "There is no task" in bench.write.state.value and len(model.asked) == 1
    assert len((tmp_path / "fresh_responses.jsonl").read_text().splitlines()) == 1


def test_a_fresh_text_that_is_there_already_or_too_long_is_told(tmp_path):
    answers = ["The sea.", "The sea.\n", "The sea is wide. " * 4000]
    studio = rubric_studio("rococo", tmp_path, [Teacher("t", lambda conversations: [answers.pop(0)])])
    bench, told = studio.live.bench, []
    tab(studio, "Texts")
    for _ in range(3):
        bench.write.go.click()
        bench.write.wait(30)
        told.append(bench.write.state.value)
    assert "t wrote 2 words." in told[0] and "t wrote the same text as before: it is there already." in told[1]
    assert "✗" in told[2] and "t wrote a text of 67,999 characters, and 50,000 are the most" in told[2]
    assert "left out" in bench.told.value and len(bench.texts) == 1
    assert [row["label"] for row in rubric_studio("rococo", tmp_path).live.bench.texts] == ["t, high"]


def test_an_endpoint_streams_into_the_bench_and_half_a_text_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setattr("cpt_utils.answer_stream.EVERY", 0)
    seen = threading.Event()
    answers = iter([[delta("So <b>gilded"), seen, delta(" it was.", "stop")], [delta("So"), *[0.05, delta("!")] * 200]])
    with serving_pieces(lambda body: next(answers)) as url:
        studio = rubric_studio("rococo", tmp_path, [endpoint_teacher("m", url)])
        bench = studio.live.bench
        tab(studio, "Texts")
        bench.paper.observe(lambda change: "gilded" in change["new"] and seen.set(), "value")
        bench.write.go.click()
        bench.write.wait(30)
        assert seen.is_set() and "m wrote 4 words" in bench.write.state.value and len(bench.texts) == 1
        assert "So &lt;b&gt;gilded it was." in bench.paper.value
        bench.paper.observe(lambda change: "So!" in change["new"] and bench.write.halt.click(), "value")
        bench.write.go.click()
        bench.write.wait(30)
    assert "Stopped after" in bench.write.state.value and "half a text, and is not kept" in bench.write.state.value
    assert "So!" in bench.paper.value and len(bench.texts) == 1


def test_a_loaded_model_streams_into_the_bench_and_stops(tmp_path, tiny_model, tokenizer):
    from cpt_utils.models.conversation import ChatModel

    studio = rubric_studio("rococo", tmp_path, [ChatModel(tiny_model, tokenizer, "tiny")])
    bench = studio.live.bench
    tab(studio, "Texts")
    bench.write.go.click()
    bench.write.wait(120)
    assert "tiny wrote" in bench.write.state.value and len(bench.texts) == 1
    started = threading.Event()
    bench.paper.observe(lambda _: started.set(), "value")
    bench.write.go.click()
    assert started.wait(60)
    bench.write.halt.click()
    bench.write.wait(60)
    assert "Stopped after" in bench.write.state.value and len(bench.texts) == 1


def test_a_rubric_starts_empty_pasted_or_drafted_and_can_be_undone(studio, model):
    start = studio.anew.children[1]
    start.empty.click()
    assert studio.title.value == "My style" and len(studio.weights.children) == 1
    start.pasted.value = load_rubric("esoteric").to_yaml()
    start.read.click()
    assert studio.title.value == "Esoteric" and studio.valid.name == "my_esoteric"
    start.pasted.value = "nothing"
    start.read.click()
    assert "no tab-separated table" in start.told.value and studio.title.value == "Esoteric"
    start.sentence.value = "A diary at night."
    start.draft.go.click()
    start.draft.wait(30)
    assert "What m wrote is no rubric that can be read (it has no JSON)" in start.draft.state.value
    criteria = [{"name": name, "levels": list("abcde"), "weight": 1} for name in ("<i>Air</i>", "Earth", "Fire")]
    model.drafted = json.dumps({"title": "Night", "objective": "Doubt.", "criteria": criteria})
    start.draft.go.click()
    start.draft.wait(30)
    assert studio.title.value == "Night" and sum(c.weight for c in studio.valid.criteria) == 100
    assert "Undo goes back" in start.draft.state.value and "<i>" not in studio.live.scores.value
    assert "in steps of 0.5 here: 33.5 (was 33.3333)" in start.draft.state.value
    studio.undo.click()
    assert studio.title.value == "Esoteric"
    for _ in range(2):
        studio.undo.click()
    assert studio.title.value == "Rococo" and studio.source.value == "rococo"


@pytest.mark.parametrize(
    "given, told",
    [
        (
            [33.3, 33.3, 33.4],
            "Read. Weights move in steps of 0.5 here: 33.5 (was 33.3), 33 (was 33.3), 33.5 (was 33.4).",
        ),
        ([33.5, 33.5, 33], "Read. Undo"),
    ],
)
def test_a_pasted_rubric_is_not_weighed_anew_in_silence(studio, given, told):
    rubric = load_rubric("esoteric").model_dump()
    for criterion, weight in zip(rubric["criteria"], given):
        criterion["weight"] = weight
    panel = studio.anew.children[1]
    panel.pasted.value = json.dumps(rubric | {"criteria": rubric["criteria"][:3]})
    panel.read.click()
    assert told in panel.told.value


def test_two_rubrics_side_by_side_and_a_kept_baseline(studio, tmp_path):
    tab(studio, "Compare")
    compare = studio.live.compare
    assert "0 of 12 texts changed their rank" in compare.table.value
    assert {"as it was opened", "rococo", "esoteric"} <= set(compare.picked.options)
    studio.weights.children[3].children[1].value = 100
    assert "0 of 12 texts changed" not in compare.table.value and "weight 30 → 0" in compare.table.value
    compare.keep.click()
    assert compare.picked.value == "baseline.yaml" and "0 of 12 texts changed" in compare.table.value
    studio.undo.click()
    assert "weight 0 → 30" in compare.table.value
    compare.keep.click()  # the baseline is chosen already
    assert "Kept as" in compare.told.value and "0 of 12 texts changed" in compare.table.value
    compare.picture.click()
    assert (tmp_path / "rococo_ranking.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "broken.yaml").write_text("title: [")
    tab(studio, "Scores")
    tab(studio, "Compare")
    compare.picked.value = "broken.yaml"
    assert "broken.yaml" in compare.told.value and compare.table.value == ""
    compare.picked.value = "esoteric"
    assert "gone: Symbolic reading" in compare.table.value


def test_files_of_somebody_are_set_aside_and_own_ones_are_said_to_be_replaced(studio, tmp_path):
    tab(studio, "Compare")
    compare, marking, own = studio.live.compare, studio.live.marking, apart.own_folder(tmp_path)
    own.mkdir(parents=True, exist_ok=True)
    places = {
        own / "baseline.yaml": (compare.keep, compare.told),
        tmp_path / "rococo_ranking.png": (compare.picture, compare.told),
        tmp_path / "rococo_marked_texts.jsonl": (marking.export, marking.told),
    }
    marks.add_mark(tmp_path, marks.Mark(who="Ann", rubric="rococo", response=EVIL, level="low", criterion=""))
    for path, (button, told) in places.items():
        path.write_text("notes of three years")
        tab(studio, "Marks" if button is marking.export else "Compare")
        button.click()
        (aside,) = path.parent.glob(f"{path.stem}-before-*")
        assert aside.read_text() == "notes of three years" and f"kept as {aside.name}" in told.value
        studio.weights.children[0].children[1].value += 10
        button.click()
        assert "(replaced)" in told.value and len(list(path.parent.glob(f"{path.stem}-before-*"))) == 1


def test_a_picture_makes_its_folder_and_ranks_what_has_a_total_now(tmp_path):
    folder = tmp_path / "not" / "there"
    studio = rubric_studio("rococo", folder)
    for name in NAMES:
        studio._scored(name, Counted("commas", 0, 9))  # which reads any language
    studio.live.own.value = "Regen, Regen, Regen, und immer noch Regen, so sagt man, fällt auf die Dächer der Stadt."
    compare = studio.live.compare
    tab(studio, "Compare")
    compare.picture.click()
    assert (folder / "rococo_ranking.png").exists() and "Saved" in compare.told.value
    (rank, total), *others = [(rank, total) for rank, _, total, _ in ranking.placed(compare.now, compare.texts)]
    assert (rank, total) == (1, 100) and len(others) == 12 and None not in dict(others)
    assert "your text" in [label for _, label, *_ in ranking.placed(compare.now, compare.texts)][:3]


def test_in_a_rooms_folder_each_person_has_a_baseline(tmp_path, monkeypatch):
    room = tmp_path / "room"
    filing.keep_state(room, load_rubric("esoteric").model_dump(), {}, {})  # somebody's, from before
    kept = {path.name: path.read_bytes() for path in room.iterdir()}
    people = {}
    for who in ("ann", "ben"):
        monkeypatch.setenv("CPT_RUNS", str(tmp_path / who))
        studio = people[who] = rubric_studio("rococo", room)
        tab(studio, "Compare")
        studio.live.compare.picked.value = "baseline.yaml"  # the one from before, as there is no other
        assert "gone: Symbolic reading" in studio.live.compare.table.value
        studio.weights.children[0 if who == "ann" else 3].children[1].value = 100
        studio.live.compare.keep.click()
        assert "Both have the same criteria" in studio.live.compare.table.value  # against one's own now
    for who, studio in people.items():
        compare = studio.live.compare
        compare.follow(compare.opened, compare.now, compare.ways)
        assert compare.picked.value == "baseline.yaml" and len(list((tmp_path / who).rglob("baseline.yaml"))) == 1
        assert compare.baseline().rubric.criteria == studio.valid.criteria
        compare.picked.value = "baseline.yaml of the folder"
        assert "gone: Symbolic reading" in compare.table.value
    assert {path.name: path.read_bytes() for path in room.iterdir()} == kept


def test_marks_show_the_baseline_alphas_by_criterion_and_go_out(studio, tmp_path):
    responses = [row["response"] for row in load_responses() if row["rubric"] == "rococo"][:30]
    for who in ("Ann", "Ben"):
        for number, text in enumerate(responses):
            level = marks.LEVELS[number % 3]
            for criterion in ("", NAMES[0]):
                turned = level if who == "Ann" or not criterion else marks.LEVELS[2 - number % 3]
                mark = marks.Mark(who=who, rubric="rococo", response=text, level=turned, criterion=criterion)
                marks.add_mark(tmp_path, mark)
    studio.weights.children[3].children[1].value = 100
    tab(studio, "Marks")
    page = studio.live.marking.result.value
    assert "Before</b> (as it was opened): rho" in page
    assert "whole texts" in page and ">1.00<" in page and "reliable" in page
    assert NAMES[0] in page and "people do not mean the same" in page
    assert "left:66.7%" in page and "left:80.0%" in page  # the usual limits, drawn
    studio.live.marking.export.click()
    rows = [json.loads(line) for line in (tmp_path / "rococo_marked_texts.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 30 and len(rows[0]["marks"]) == 4 and set(rows[0]["by_criterion"]) == set(NAMES)
    assert "30 marked texts" in studio.live.marking.told.value
    studio.undo.click()
    assert "Before</b>" not in studio.live.marking.result.value


def many(count: int, word: str) -> str:
    texts = [row["response"] for row in load_responses()]
    return "".join(json.dumps({"response": f"{text} {word} {n}."}) + "\n" for n, text in enumerate(texts[:count]))


def test_a_weight_answers_at_once_with_200_texts(studio, model, tmp_path, monkeypatch):
    """Scores are computed once, with progress, beside the kernel; then a move redraws alone."""
    monkeypatch.setattr(scores, "FEW", 5)
    (tmp_path / "many.jsonl").write_text(many(200, "Text"), "utf-8")
    bench = studio.live.bench
    bench.file.value = "many.jsonl"
    bench.bring.go.click()
    bench.bring.wait(60)
    work = studio.live.work.work
    work.wait(300)
    choose_read(studio, NAMES[4])
    studio.live.reads.work.go.click()
    studio.live.reads.work.wait(120)
    tab(studio, "Scores")
    assert len(model.asked) == 212 and done(studio.live.reads)
    assert len(studio.live.texts()) == 212 and work.state.value == "" and "many 200" in studio.live.scores.value
    for n, text in enumerate(list(studio.live.texts().values())[-100:]):
        for who, level in (("Ann", marks.LEVELS[n % 3]), ("Ben", marks.LEVELS[n % 2])):
            for about in ("", NAMES[2]):
                mark = marks.Mark(who=who, rubric="rococo", response=text, level=level, criterion=about)
                marks.add_mark(tmp_path, mark)
    studio.live.marking.who.value = "Ann"
    monkeypatch.setattr(marks, "SETTLED", 0.0)  # as if the files of marks were not of this moment
    for name, about in [*((name, "") for name in live.TABS), ("Marks", NAMES[2]), ("Marks", "")]:
        tab(studio, name)
        studio.live.marking.about.value = about
        work.wait(60)
        times = []
        for value in (40, 60, 80, 98, 70, 30, 45):
            started = time.process_time()
            studio.weights.children[1].children[1].value = value
            times.append(time.process_time() - started)
        assert min(times) < 0.1, (name, about, times)
    assert (
        "Scores against marks" in studio.live.marking.result.value and "rho on the" in studio.live.marking.effect.value
    )


def test_a_weight_answers_at_once_while_all_is_still_to_be_read(tmp_path, monkeypatch):
    """12 criteria of a model that is away: nothing is written or looked up anew for each text."""
    draft = load_rubric("rococo").model_dump() | {"name": "mine"}
    names = [f"Criterion {n}" for n in range(12)]
    draft["criteria"] = [draft["criteria"][0] | {"name": name, "weight": 0} for name in names]
    draft["criteria"][0]["weight"] = 100
    Rubric.checked(draft).to_yaml(tmp_path / "mine.yaml")
    write_ways(tmp_path / "mine.judge.yaml", dict.fromkeys(names, Read("away")))
    own_texts.keep_texts(tmp_path, [own_texts.own_text(str(n), f"{EVIL} {n}") for n in range(200)])
    studio = rubric_studio(tmp_path / "mine.yaml", tmp_path)
    looks, length = [], llm_judging._length
    monkeypatch.setattr(llm_judging, "_length", lambda path: looks.append(path) or length(path))
    for name in live.TABS:
        tab(studio, name)
        looks.clear()
        times = []
        for value in (40, 60, 80, 98, 70):
            started = time.process_time()
            studio.weights.children[1].children[1].value = value
            times.append(time.process_time() - started)
        assert min(times) < 0.1 and len(looks) < 500, (name, times, len(looks))
    assert "212 of 212 texts are left out. Still to be read: Criterion 0" in studio.live.compare.table.value


def test_scoring_many_texts_can_be_stopped(studio, tmp_path, monkeypatch):
    monkeypatch.setattr(scores, "BATCH", 1)
    monkeypatch.setattr(scores, "_known", {})
    (tmp_path / "many.jsonl").write_text(many(60, "Other"), "utf-8")
    bench, work = studio.live.bench, studio.live.work.work
    bench.file.value = "many.jsonl"
    bench.bring.go.click()
    bench.bring.wait(60)
    assert work.busy and studio.live.work.layout.display is None
    work.halt.click()
    work.wait(60)
    assert "texts have scores" in work.state.value and not work.busy
    before = studio.live.scores.value
    studio.weights.children[1].children[1].value = 60
    assert studio.live.scores.value == before and not work.busy  # it waits for the button
    work.go.click()
    work.wait(120)
    assert studio.live.scores.value != before and "many 60" in studio.live.scores.value
    assert studio.live.work.layout.display == "none"


def test_likened_texts_are_embedded_beside_the_kernel_and_a_fault_is_told_once(studio, monkeypatch):
    threads, gone = [], [True]

    def embed(texts):
        threads.append(threading.current_thread())
        if gone:
            raise ModelError("The embedder is not installed.")
        return np.array([[len(text), 1.0] for text in texts])

    monkeypatch.setattr("cpt_utils.models.embedding.embedder", lambda: embed)
    studio._scored(NAMES[0], Likened(("Short.", "Brief."), ("x" * 900, "y" * 900)))
    work = studio.live.work.work
    work.wait(60)
    assert "The embedder is not installed" in work.state.value and studio.live.work.layout.display is None
    studio.weights.children[1].children[1].value = 60
    assert len(threads) == 1 and not work.busy  # it waits for the button
    gone.clear()
    work.go.click()
    work.wait(60)
    assert threading.main_thread() not in threads and len(threads) > 1
    assert studio.live.work.layout.display == "none" and "no score" not in studio.live.scores.value
    asked = len(threads)
    studio.weights.children[1].children[1].value = 40
    assert len(threads) == asked and not work.busy


def test_on_colab_work_is_done_before_its_button_has_been_answered(studio, model, monkeypatch):
    """Its page draws what is sent until then, and nothing of what a thread sends later."""
    monkeypatch.setitem(sys.modules, "google.colab", object())
    tab(studio, "Texts")
    bench, halted = studio.live.bench, []
    bench.write.halt.layout.observe(lambda change: halted.append(change["new"]), "display")
    bench.write.go.click()
    assert not bench.write.busy and " words." in bench.write.state.value and len(bench.texts) == 1
    assert "1 own texts" in bench.told.value and set(halted) <= {"none"}  # a button that nobody hears is none


def test_on_colab_an_interrupt_of_the_kernel_stops_the_work(monkeypatch):
    stop, waits = threading.Event(), []

    class Interrupted(threading.Thread):
        def join(self, timeout=None):
            waits.append(1)
            if len(waits) == 1:
                raise KeyboardInterrupt
            super().join(timeout)

    thread = Interrupted(target=stop.wait, args=(60,))
    monkeypatch.setitem(sys.modules, "google.colab", object())
    work.run_beside(thread, stop)
    assert stop.is_set() and not thread.is_alive() and len(waits) == 2
    monkeypatch.delitem(sys.modules, "google.colab")
    stop.clear()
    later = threading.Thread(target=stop.wait, args=(60,))
    work.run_beside(later, stop)
    assert later.is_alive()
    stop.set()
    later.join(60)


def test_a_failing_teacher_leaves_the_studio_usable(tmp_path):
    def answer(conversations):
        raise ValueError("<b>broken</b>")

    studio = rubric_studio("rococo", tmp_path, [Teacher("t", answer)])
    bench = studio.live.bench
    tab(studio, "Texts")
    bench.write.go.click()
    bench.write.wait(30)
    assert "It failed (ValueError): &lt;b&gt;broken" in bench.write.state.value and not bench.write.go.disabled


@pytest.mark.parametrize(
    "path", ["~nobody-is-called-so/a.csv", f"{'x' * 300}.csv", "The whole text, pasted here. " * 20]
)
def test_what_is_no_path_is_told_and_another_one_can_be_typed(studio, tmp_path, path, caplog):
    bench = studio.live.bench
    bench.file.value = path
    bench.bring.go.click()
    bench.bring.wait(30)
    assert "✗" in bench.bring.state.value and not caplog.records
    (tmp_path / "mine.csv").write_text("response\nA text of my own.\n")
    bench.file.value = '"mine.csv"'
    bench.bring.go.click()
    bench.bring.wait(30)
    assert "1 of 1 texts of mine.csv are new" in bench.bring.state.value


def test_what_a_button_raises_is_told(caplog):
    def begin():
        raise ZeroDivisionError("<b>by zero</b>")

    panel = work.Work("Go", "", begin)
    panel.go.click()
    assert "It failed (ZeroDivisionError): &lt;b&gt;by zero" in panel.state.value
    assert not panel.busy and not caplog.records


@pytest.mark.parametrize("name", ["m", readers.EMBEDDED])
def test_two_models_of_one_name_are_told(tmp_path, name):
    twice = [Teacher("m", list), Teacher(name, list)]
    with pytest.raises(SettingsError, match=f"Two of the studio's models are called '{name}'"):
        rubric_studio("rococo", tmp_path, twice)


@pytest.mark.parametrize("answer", ["", "I like it.", "<think>Well", '{"criteria"'])
def test_answers_that_give_no_score_are_no_verdicts(tmp_path, answer):
    asked = []

    def reply(conversations):
        asked.extend(conversations)
        return [answer if len(asked) > 1 else '{"score": 70}'] * len(conversations)

    studio = rubric_studio("rococo", tmp_path, [Teacher("t", reply)])
    choose_read(studio, NAMES[0])
    panel = studio.live.reads
    before = panel.work.go.description
    panel.work.go.click()
    panel.work.wait(60)
    assert len(asked) == 34 <= 36 and "up to 36" in before
    assert "✗" in panel.work.state.value and "11 of 12 answers gave no score (unparsable)" in panel.work.state.value
    assert f"{NAMES[0]}: 11 of them got no score (unparsable)" in panel.told.value


def test_a_broken_file_of_verdicts_is_told(tmp_path, caplog):
    studio = rubric_studio("rococo", tmp_path, [Teacher("t", lambda conversations: ["{}"] * len(conversations))])
    (tmp_path / readers.VERDICTS).write_text("nonsense\n{}\n")
    choose_read(studio, NAMES[0])
    assert "verdicts.jsonl, line 1: not JSON" in studio.live.reads.told.value
    assert studio.live.reads.layout.display is None and not caplog.records
    (tmp_path / readers.VERDICTS).unlink()
    tab(studio, "Scores")
    assert "12, by t" in studio.live.reads.told.value


def test_texts_that_come_from_elsewhere_are_seen_when_the_tab_is(studio, tmp_path):
    assert not studio.live.bench.texts
    own_texts.keep_texts(tmp_path, [own_texts.own_text("sent", EVIL)])
    tab(studio, "Texts")
    assert [text["label"] for text in studio.live.bench.texts] == ["sent"] and "sent" in studio.live.bench.list.value
    tab(studio, "Scores")
    assert "sent" in studio.live.picked.options and "sent" in studio.live.scores.value


def test_the_studio_takes_up_the_model_behind_the_endpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_ENDPOINT", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("CPT_MODEL", "a model")
    models = rubric_studio(folder=tmp_path).live.models
    assert models.names()[0] == "a model" and models.judges["a model"].teacher.remote
    mine = Teacher("a model", lambda conversations: ["mine"] * len(conversations))
    models = rubric_studio(folder=tmp_path, teachers=[mine]).live.models
    assert models.names().count("a model") == 1 and models.load("a model") is mine


SECRET = "sk-verysecretkey1234567890ABCDEF"


@pytest.mark.parametrize(
    "url, name, told",
    [
        ("http://127.0.0.1:9/v1", "", "CPT_ENDPOINT is set and CPT_MODEL is not"),
        (SECRET, "m", "CPT_ENDPOINT is a key, which belongs into OPENAI_API_KEY: write it like http://"),
        ("http://127.0.0.1:9/v1", SECRET, "name is a key: write the model&#x27;s name there"),
        ("localhost:9/v1", "m", "CPT_ENDPOINT is &#x27;localhost:9/v1&#x27;: write it like http://"),
    ],
)
def test_an_endpoint_that_is_none_is_told_and_the_studio_opens_without_it(tmp_path, monkeypatch, url, name, told):
    monkeypatch.setenv("CPT_ENDPOINT", url)
    monkeypatch.setenv("CPT_MODEL", name)
    studio = rubric_studio(folder=tmp_path, teachers=[Teacher("mine", list)])
    assert told in studio.anew.children[2].value and "secret" not in studio.anew.children[2].value
    assert studio.live.models.names() == ["mine", readers.EMBEDDED, readers.TUNED]


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "MY_TOKEN", "PLAIN"])
def test_a_key_in_a_foreign_error_reaches_no_page(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, SECRET.removeprefix("sk-"))

    def answer(conversations):
        raise RuntimeError(f"401 for url: https://joe:{SECRET}@x.org/v1?api_key={SECRET.removeprefix('sk-')}&n=1")

    studio = rubric_studio("rococo", tmp_path, [Teacher("t", answer)])
    tab(studio, "Texts")
    panel = studio.anew.children[1]
    panel.sentence.value = "x"
    for made in (studio.live.bench.write, panel.draft):
        made.go.click()
        made.wait(30)
        assert "401 for url" in made.state.value and "secret" not in made.state.value
