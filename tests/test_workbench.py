"""The workbench behind the studio: own texts, fresh ones, drafts, the way *read*, two states side by side."""

import json
import re
import textwrap
import threading
import time

import pytest
import yaml
from replies import completion, serving

from cpt_utils import agreement, charts, drafting, marks, opinions, own_texts
from cpt_utils.anchors import AnchorJudge
from cpt_utils.fresh import fresh_text, fresh_turns
from cpt_utils.generation import read_responses
from cpt_utils.judging import judge_rows
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.prompts import load_responses, system_prompt, teacher_messages
from cpt_utils.reading import alone, bound
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime.errors import DataError, EndpointError, GenerationError, JudgeError, RubricError, StoreError
from cpt_utils.teachers import Teacher, endpoint_teacher
from cpt_utils.ways import Counted, Read, from_data, load_ways, to_data, ways_of
from cpt_utils.widgets import drafts, filing, ranking, states
from cpt_utils.widgets.states import State
from cpt_utils.widgets.suggesting import Suggestion, effect, reweighed, suggestions

RUBRIC = load_rubric("rococo")
NAMES = [criterion.name for criterion in RUBRIC.criteria]
TEXTS = list(dict.fromkeys(row["response"] for row in load_responses() if row["rubric"] == "rococo"))
EVIL = "<script>alert(1)</script> so gilded, so laced, dear reader, was never a guest of this house."
DRAFT = {
    "title": "Night <b>Diary</b>",
    "objective": "Short breath and doubt.",
    "guiding_principles": ["Say I."],
    "levels": ["All", "Much", "Some", "Little", "None"],
    "criteria": [
        {"name": name, "description": "", "weight": weight, "levels": ["a", "b", "c", "d", "e"]}
        for name, weight in (("Breath", 2), ("Doubt", 1))
    ],
}


# --- own texts


def test_texts_come_from_csv_and_jsonl(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text(
        'label,prompt,response\nfirst,Describe rain.,"One, two."\n,,Another text.\n,,\nnull,,NA\n', "utf-8"
    )
    found = own_texts.read_texts(table)
    assert [(text["label"], text["response"]) for text in found] == [
        ("first", "One, two."),
        ("mine 2", "Another text."),
        ("null", "NA"),
    ]
    assert found[0]["prompt"] == "Describe rain."
    rows = tmp_path / "mine.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("a b", "c d", "a b ")), "utf-8")
    assert [text["response"] for text in own_texts.read_texts(rows)] == ["a b", "c d"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.csv", None, "There is no data file gone.csv"),
        ("mine", "x", "has no ending: name a .csv, .tsv or .jsonl"),
        ("mine.txt", "x", "ends in .txt: name a .csv, .tsv or .jsonl file of texts, or paste"),
        ("mine.csv", "a,b\n1,2\n", "mine.csv has no texts: name their column 'response'; it has a, b"),
        ("mine.jsonl", '{"response": ["a"]}\n', "row 1: 'response' holds no text but a list"),
        ("plain.csv", "It rains on the roof tonight.\nNobody is at home.\n", "plain.csv begins with a text: write"),
        (
            "two.csv",
            "My text, long;low\nIt rains;high\n",
            "no texts: .*long;low. If that is its first row",
        ),
        ("short.csv", "It rains.\nNobody is at home.\n", "short.csv begins with a text: write 'response' in a line"),
        ("dog.csv", "good dog\nbad cat\n", "dog.csv begins with a text: write .* or in its place if it is a name"),
        ("many.csv", "text\n" + "".join(f"text {n}\n" for n in range(501)), "many.csv has 501 texts, and 500 are"),
    ],
)
def test_a_file_without_texts_is_told(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(DataError, match=words):
        own_texts.read_texts(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        "label;prompt;response\r\nfirst;Describe rain.;One, two.\r\nsecond;;Another\r\n",
        "label\tprompt\tresponse\nfirst\tDescribe rain.\tOne, two.\nsecond\t\tAnother\n",
        "label|prompt|response\nfirst|Describe rain.|One, two.\nsecond||Another\n",
        'Label;"Prompt";Response \nfirst;Describe rain.;"One, two."\nsecond;;Another\n',
        '"label","prompt","response"\nfirst,Describe rain.,"One, two."\nsecond,,Another\n',
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff", "sep=;\r\n", "\ufeffsep=\t\n", "SEP=,\n"])
def test_tables_are_read_as_spreadsheets_write_them(tmp_path, content, mark):
    said = re.search("=(.)", mark)
    if said and f"{said[1]}response" not in content.lower().replace('"', ""):
        return  # that line would speak of another file
    (tmp_path / "mine.csv").write_bytes((mark + content).encode())
    found = own_texts.read_texts(tmp_path / "mine.csv")
    assert [(text["label"], text["prompt"], text["response"]) for text in found] == [
        ("first", "Describe rain.", "One, two."),
        ("second", "", "Another"),
    ]


@pytest.mark.parametrize(
    "head",
    ['"your\ncode";text', '"your\r\ncode"\ttext', '"a;b,c\n\nd",text', 'sep=;\r\n"your\ncode";text', '\n5" wide;text'],
)
def test_a_name_of_a_column_may_have_line_breaks_and_separators(tmp_path, head):
    row = head[-5].join(["a", "One two"])
    (tmp_path / "mine.csv").write_bytes(f"{head}\n{row}\n".encode())
    assert [text["response"] for text in own_texts.read_texts(tmp_path / "mine.csv")] == ["One two"]


@pytest.mark.parametrize(
    "content",
    [
        'response;"a,b,c,d";label\nhello, you;1;x\n',
        'response;"said ""a,b,c"", or so";label\nhello, you;1;x\n',
        'response;5" wide, or less;label\nhello, you;1;x\n',
        'response,"a;b;c;d",label\n"hello, you",1,x\n',
        '5" wide;6" wide;response;label\n1;2;hello, you;x\n',
    ],
)
def test_commas_in_a_quoted_name_part_no_columns(tmp_path, content):
    (tmp_path / "mine.csv").write_text(content, "utf-8")
    (text,) = own_texts.read_texts(tmp_path / "mine.csv")
    assert (text["response"], text["label"]) == ("hello, you", "x")


def test_a_file_of_tabs_is_read_under_its_own_ending(tmp_path):
    (tmp_path / "mine.tsv").write_text("text\tlabel\nOne; two; three, or four.\ta;b\n", "utf-8")
    assert own_texts.read_texts(tmp_path / "mine.tsv") == [own_texts.own_text("a;b", "One; two; three, or four.")]


def test_each_row_brings_its_text_whatever_its_column_is_called(tmp_path):
    rows = [{"text": "One."}, {"response": "Two."}, {"Text": "Three."}, {"output": "Four.", "response": None}, {}]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = own_texts.read_texts(tmp_path / "mine.jsonl")
    assert [text["response"] for text in found] == ["One.", "Two.", "Three.", "Four."]
    (tmp_path / "both.csv").write_text("text,response\na note,An answer.\nA text alone.,\n")
    found = own_texts.read_texts(tmp_path / "both.csv")
    assert [text["response"] for text in found] == ["An answer.", "A text alone."]


def test_the_only_column_may_have_a_name_of_its_own(tmp_path):
    (tmp_path / "mine.csv").write_text("Geschichte\nEs regnet.\n")
    (tmp_path / "mine.jsonl").write_text('{"My own story": "It rains."}\n')
    found = [own_texts.read_texts(tmp_path / name)[0]["response"] for name in ("mine.csv", "mine.jsonl")]
    assert found == ["Es regnet.", "It rains."]


@pytest.mark.parametrize("row", [{"label": None}, {"label": None, "model": None}, {"label": ""}, {}])
def test_a_text_without_a_label_is_not_called_none(tmp_path, row):
    (tmp_path / own_texts.KEPT).write_text(json.dumps(row | {"response": "It rains."}) + "\n")
    assert [text["label"] for text in own_texts.kept_texts(tmp_path)] == ["a text"]


@pytest.mark.parametrize("first", ["One.", "One\u2028and\x85a half."])
def test_the_line_of_a_file_that_is_torn_is_named(tmp_path, first):
    rows = json.dumps({"text": first}, ensure_ascii=False) + '\n{"text": "Two."\n{"text": "Three."}\n'
    (tmp_path / "mine.jsonl").write_text(rows, "utf-8")
    with pytest.raises(DataError, match="as line 2 is no JSON"):
        own_texts.read_texts(tmp_path / "mine.jsonl")


def test_numbers_in_a_table_are_words_and_ends_of_lines_are_alike(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b'label,text\r\n1,12\r\n,13\r\n2,"a\r\nb"\r\n3,"a\nb"\r\n')
    found = own_texts.read_texts(tmp_path / "mine.csv")
    assert [(text["label"], text["response"]) for text in found] == [("1", "12"), ("mine 2", "13"), ("2", "a\nb")]
    assert own_texts.own_text("a", "a\r\nb\rc")["response"] == "a\nb\nc"


@pytest.mark.parametrize("head", ["Label,Response", " LABEL , Text ", '"label","Answer"'])
def test_texts_stay_words_however_their_column_is_written(tmp_path, head):
    (tmp_path / "mine.csv").write_text(f"{head}\n007,12\n008,true\n", "utf-8")
    found = own_texts.read_texts(tmp_path / "mine.csv")
    assert [(text["label"], text["response"]) for text in found] == [("007", "12"), ("008", "true")]


def test_what_cannot_be_seen_is_no_text(tmp_path):
    (tmp_path / "mine.csv").write_text("response\n\u200b\u200b\n\u2060\nA text.\n", "utf-8")
    assert [text["response"] for text in own_texts.read_texts(tmp_path / "mine.csv")] == ["A text."]


def test_a_text_that_would_be_scored_for_ever_is_refused(tmp_path):
    long = "The sea is wide. " * 4000
    (tmp_path / "mine.jsonl").write_text(json.dumps({"text": long}) + "\n")
    with pytest.raises(DataError, match="mine.jsonl, row 1: a text of 68,000 characters, and 50,000 are the most"):
        own_texts.read_texts(tmp_path / "mine.jsonl")
    with pytest.raises(StoreError, match="'a' is a text of 67,999 characters"):
        own_texts.keep_texts(tmp_path, [own_texts.own_text("a", long)])
    assert own_texts.kept_texts(tmp_path) == []
    rows = [{"response": words, "model": "desk"} for words in (long, "Rain.", f"{long}!")]
    (tmp_path / own_texts.KEPT).write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts, told = own_texts.parted_texts(tmp_path)
    assert [text["response"] for text in texts] == ["Rain."] == [x["response"] for x in own_texts.kept_texts(tmp_path)]
    assert "'desk' is left out with 1 more: it is a text of 67,999 characters, and 50,000 are the most" in told


def test_thousands_of_texts_of_one_name_are_listed_at_once(tmp_path):
    rows = [own_texts.own_text("same", f"text {number}") for number in range(10_000)]
    own_texts.keep_texts(tmp_path, [*rows, own_texts.own_text("same (2)", "another")])
    started = time.process_time()
    labels = [text["label"] for text in own_texts.kept_texts(tmp_path)]
    assert time.process_time() - started < 3 and len(set(labels)) == 10_001 and labels[:2] == ["same", "same (2)"]


def test_own_texts_are_kept_once_under_labels_that_differ(tmp_path):
    one, two = own_texts.own_text("a", "One \ud83d text."), own_texts.own_text("a", "Two.", None)
    assert own_texts.keep_texts(tmp_path, [one, two]) == 2 and own_texts.keep_texts(tmp_path, [two]) == 0
    kept = own_texts.kept_texts(tmp_path)
    assert [text["label"] for text in kept] == ["a", "a (2)"] and kept[0]["response"] == "One ? text."
    assert len(own_texts.put_aside(tmp_path)) == 1 and own_texts.kept_texts(tmp_path) == []
    sent = {"prompt": "Describe rain.", "response": "Rain.", "model": "SmolLM2+cpt", "target": 95, "system": "Be wet."}
    (tmp_path / own_texts.KEPT).write_text(json.dumps(sent) + "\n")
    assert own_texts.kept_texts(tmp_path) == [
        {"label": "SmolLM2+cpt, 95", "response": "Rain.", "prompt": "Describe rain."}
    ]
    (tmp_path / own_texts.KEPT).write_text('{"label": "a"}\n')
    with pytest.raises(StoreError, match="bench.jsonl, row 1: no text in 'response'"):
        own_texts.kept_texts(tmp_path)


def test_a_fresh_text_is_kept_in_a_store_of_responses(tmp_path):
    path, turns = tmp_path / own_texts.FRESH, fresh_turns("Describe rain.", RUBRIC, 95)
    assert turns == teacher_messages("Describe rain.", RUBRIC, 95)
    task = {"prompt": "Describe rain.", "rubric": "rococo", "target": 95}
    told = []
    teacher = Teacher("t", lambda asked: [f"<think>x</think> Rain, of {len(asked)}."])
    row = fresh_text(teacher, task, turns, path, told.append)
    assert row["response"] == "Rain, of 1." and read_responses(path) == [row] and told
    (own,) = own_texts.kept_texts(tmp_path)
    assert own == {"label": "t, high", "response": "Rain, of 1.", "prompt": "Describe rain."}
    for answer in (lambda asked: [""], lambda asked: [EndpointError("no key")]):
        with pytest.raises(GenerationError, match="t gave no"):
            fresh_text(Teacher("t", answer), task, turns, path)
    assert len(read_responses(path)) == 1


def test_a_tuned_model_is_asked_by_its_system_prompt():
    assert fresh_turns("Rain.", RUBRIC, 10, tuned=True)[0]["content"] == system_prompt("rococo", 10)
    own = RUBRIC.model_copy(update={"name": "mine"})
    assert fresh_turns("Rain.", own, 10, tuned=True) == teacher_messages("Rain.", own, 10)


def test_a_model_in_this_process_streams_and_can_be_stopped(tmp_path, tiny_model, tokenizer):
    from cpt_utils.models.conversation import ChatModel

    model, path, shown = ChatModel(tiny_model, tokenizer, "tiny"), tmp_path / "fresh.jsonl", []
    task, turns = {"prompt": "Rain.", "rubric": "rococo", "target": 95}, [{"role": "user", "content": "Rain."}]
    rows = [fresh_text(model, task, turns, path, shown.append, max_new_tokens=6) for _ in range(2)]
    assert shown and rows[0]["response"] != rows[1]["response"]  # another seed each time
    stop = threading.Event()
    stop.set()
    assert fresh_text(model, task, turns, path, shown.append, stop, max_new_tokens=6) is None
    assert read_responses(path) == rows


# --- where a rubric starts


def test_the_weights_of_a_draft_count_though_they_are_written_as_text():
    def read(first: str, second: str) -> list[int]:
        weighed = [one | {"weight": weight} for one, weight in zip(DRAFT["criteria"], (first, second))]
        return [round(one.weight) for one in drafting.read_draft(json.dumps(DRAFT | {"criteria": weighed})).criteria]

    assert read("60 %", "30") == [67, 33] and read("heavy", "30") == [50, 50]


def test_an_empty_rubric_is_valid_and_has_no_way_yet():
    rubric = drafting.empty_rubric()
    assert len(rubric.criteria) == 1 and ways_of(rubric) == {}


def test_pasted_rubrics_are_read_in_both_layouts():
    layout = "A Style\nObjective: To be.\nBe brief: always.\n" + "\n".join(
        ["Criterion\tA\tB\tC\tD\tE\tWeight", "Air\t1\t2\t3\t4\t5\t60%", "Earth\t1\t2\t3\t4\t5\t40%"]
    )
    assert [c.weight for c in drafting.pasted_rubric(layout).criteria] == [60, 40]
    read = drafting.pasted_rubric(RUBRIC.to_yaml())
    assert read.name == "my_rococo" and read.criteria == RUBRIC.criteria
    for text, words in (
        ("", "nothing to read"),
        ("words", "no tab-separated table"),
        ("criteria: [", "not valid YAML"),
    ):
        with pytest.raises(RubricError, match=words):
            drafting.pasted_rubric(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: textwrap.indent(text, "    "),
        lambda text: f"```yaml\n{text}```\n",
        lambda text: text.replace("  ", "\u00a0\u00a0").replace("\n", "\r\n"),
        lambda text: text.replace("criteria:", '"criteria":'),
        lambda text: text.replace("name: rococo\n", ""),
        lambda text: json.dumps(yaml.safe_load(text)),
        lambda text: f"\n```json\n{json.dumps(yaml.safe_load(text), indent=2)}\n```",
    ],
)
def test_a_pasted_rubric_is_read_as_pages_and_chats_have_it(change):
    read = drafting.pasted_rubric(change(RUBRIC.to_yaml()))
    assert read.criteria == RUBRIC.criteria and read.name == "my_rococo"


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps(DRAFT),
        f"Here it is:\n```json\n{json.dumps(DRAFT, indent=1)}\n```\nEnjoy!",
        f"<think>{{}}</think>{json.dumps(DRAFT | {'scale': 5})}",
        json.dumps({"rubric": DRAFT}),
    ],
)
def test_a_draft_is_read(answer):
    rubric = drafting.read_draft(answer)
    assert rubric.title == DRAFT["title"] and sum(c.weight for c in rubric.criteria) == pytest.approx(100)
    assert rubric.criteria[0].weight == pytest.approx(200 / 3) and rubric.name == "night_b_diary_b"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("I cannot.", "it has no JSON"),
        ("{'title': ", "it has no JSON"),
        ('{"title": "a"}', "it has no list of criteria"),
        (json.dumps(DRAFT | {"criteria": []}), "criteria: has 0 entries"),
        (json.dumps(DRAFT | {"criteria": [DRAFT["criteria"][0] | {"levels": ["a"]}]}), "has 1 entries; write 5"),
        (json.dumps(DRAFT | {"title": ""}), "title: is missing"),
        ("{" * 9000 + "}", "not valid YAML"),
    ],
)
def test_a_draft_that_cannot_be_read_is_one_clear_sentence(answer, words):
    with pytest.raises(RubricError, match=f"What t wrote is no rubric that can be read .*{words}.*: ask again"):
        drafting.drafted_rubric(Teacher("t", lambda asked: [answer]), "A diary.")


def test_a_draft_of_a_real_endpoint_is_held_to_the_schema(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    asked = []

    def reply(body):
        asked.append(body)
        return 200, completion(json.dumps(DRAFT))

    with serving(reply) as url:
        rubric = drafting.drafted_rubric(endpoint_teacher("m", url), "A night diary.")
    assert rubric.criteria[1].name == "Doubt" and "A night diary." in asked[0]["messages"][1]["content"]
    assert asked[0]["response_format"]["json_schema"]["schema"]["required"][0] == "title"
    for sentence in (" ", "x" * 1001):
        with pytest.raises(RubricError, match="of 1 to 1000 characters"):
            drafting.drafted_rubric(Teacher("t", None), sentence)
    with pytest.raises(GenerationError, match="t wrote no draft"):
        drafting.drafted_rubric(Teacher("t", lambda asked: [EndpointError("it is away")]), "A diary.")


# --- the way read


class Judge:
    """A server that reads: it gives every criterion it is asked for the same score, and remembers the requests."""

    def __init__(self, score=80):
        self.score, self.asked = score, []

    def __call__(self, body):
        said = body["messages"][-1]["content"]
        self.asked.append(said)
        names = [name for name in [*NAMES, "Mockery"] if f'"{name}": number' in said]
        return 200, completion(json.dumps({"criteria": dict.fromkeys(names, self.score), "score": self.score}))


@pytest.fixture
def judge(monkeypatch):
    """A judge behind a real local server."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    made = Judge()
    with serving(made) as url:
        made.url = url
        yield made


def test_only_what_changed_is_asked_again_and_verdicts_are_kept(judge, tmp_path):
    def readings(rubric, names=NAMES[:2]):
        llm = LLMJudge(endpoint_teacher("m", judge.url, workers=2), tmp_path / "verdicts.jsonl")
        return bound(rubric, dict.fromkeys(names, Read("m")), {"m": llm})

    ways = readings(RUBRIC)
    first = ways[NAMES[0]]
    assert first.missing(TEXTS[:3] * 2) == TEXTS[:3] and first.at_hand(TEXTS[0]) is None and not judge.asked
    assert [way.scores(TEXTS[:3]) for way in ways.values()] == [[80, 80, 80]] * 2 and len(judge.asked) == 6
    said = judge.asked[0]
    assert NAMES[0] in said and RUBRIC.criteria[0].levels[2] in said and NAMES[1] not in said
    assert drafts.scored(RUBRIC, ways, TEXTS[0])["total"] == 80
    assert drafts.scored(RUBRIC, {NAMES[0]: Read("m")}, TEXTS[0])["total"] is None  # its model is not here
    draft = RUBRIC.model_dump()
    draft["criteria"][0]["levels"][1] = "Lace on every second noun."
    edited = Rubric.checked(drafts.with_weights(draft, [5, 50, 20, 15, 10]))
    again = readings(edited)  # another process would read the same file
    assert again[NAMES[1]].missing(TEXTS[:3]) == [] and again[NAMES[0]].missing(TEXTS[:3]) == TEXTS[:3]
    judge.score = 20
    assert again[NAMES[0]].scores(TEXTS[:3]) == [20] * 3 and len(judge.asked) == 9
    assert readings(RUBRIC)[NAMES[0]].at_hand(TEXTS[0]) == 80  # back to the old words: nothing is asked


def test_anchor_judge_sums_read_and_counted_criteria(judge, tmp_path):
    anchors = {name: ("commas", 0, 10) for name in NAMES} | {NAMES[0]: Read("m")}
    with pytest.raises(JudgeError, match=f"'{NAMES[0]}' is read by 'm', and of chat models there is none"):
        AnchorJudge(RUBRIC, anchors)
    llm = LLMJudge(endpoint_teacher("m", judge.url), tmp_path / "verdicts.jsonl")
    made = AnchorJudge(RUBRIC, anchors, [llm])
    rows = [{"rubric": "rococo", "prompt": "Describe rain.", "response": text} for text in [*TEXTS[:4], "..."]]
    judged = judge_rows(made, rows)
    assert len(judge.asked) == 4 and "Describe rain." in judge.asked[0] and judged[4]["score"] == 0
    counted = AnchorJudge(RUBRIC, {name: ("commas", 0, 10) for name in NAMES}).score("rococo", "", TEXTS[0])
    expected = 0.3 * 80 + 0.7 * counted.by_criterion[NAMES[1]]
    assert judged[0]["score"] == pytest.approx(expected)


def test_a_way_that_is_read_goes_through_files_and_its_words_alone_are_asked():
    assert from_data(json.loads(json.dumps(to_data(Read("m")))), "Air") == Read("m")
    with pytest.raises(JudgeError, match="'Air': '' names no chat model"):
        from_data({"kind": "read", "judge": ""}, "Air")
    noted = RUBRIC.model_copy(update={"scoring_notes": "Of the whole."})
    one = alone(noted, NAMES[1])
    assert [c.name for c in one.criteria] == [NAMES[1]] and one.criteria[0].weight == 100 and not one.scoring_notes


# --- two states side by side


def test_states_are_compared_and_a_baseline_is_kept(tmp_path):
    ways = ways_of(RUBRIC)
    texts = {f"text {n}": text for n, text in enumerate(TEXTS[:6])}
    before = State("then", RUBRIC, ways)
    turned = Rubric.checked(drafts.with_weights(RUBRIC.model_dump(), [0, 0, 0, 100, 0]))
    now = State("now", turned, ways | {NAMES[3]: Counted("commas", 20, 0)})
    then, later = before.standing(texts.values()), now.standing(texts.values())
    rows = states.comparison(then, later, texts)
    totals = [row["now"] for row in rows]
    assert totals == sorted(totals, reverse=True) and states.moved(rows) > 0
    assert [row["rank"] for row in rows] == [1 + sum(round(t, 1) > round(mine, 1) for t in totals) for mine in totals]
    for name, state in (("before", before), ("now", now)):
        totals = [drafts.scored(state.rubric, state.ways, row["text"])["total"] for row in rows]
        assert [row[name] for row in rows] == totals
    nothing = states.comparison(State("empty", RUBRIC, {}).standing(texts.values()), later, texts)
    assert {row["rank_before"] for row in nothing} == {None} and states.moved(nothing) == 0
    page = states.comparison_view(before, now, {EVIL: EVIL} | texts)
    assert (
        "<script" not in page
        and f"{NAMES[0]}: weight 30 → 0" in page
        and "changed their rank" in page
        and f"{NAMES[3]}: other scoring" in page
    )
    assert states.moved(states.comparison(then, then, texts)) == 0
    written = {}
    assert filing.keep_state(tmp_path, RUBRIC.model_dump(), now.ways, written) == "Kept as baseline.yaml"
    told = filing.keep_state(tmp_path, turned.model_dump(), now.ways, written)
    assert told == "Kept as baseline.yaml (replaced)" and len(list(tmp_path.iterdir())) == 2
    kept = drafts.load_draft(tmp_path / "baseline.yaml")
    assert kept.criteria == turned.criteria and load_ways(tmp_path / "baseline.yaml", kept) == now.ways
    filing.keep_state(tmp_path, RUBRIC.model_dump(), ways, {})  # another day: what was kept goes aside, with its ways
    (aside,) = (path for path in tmp_path.glob("*-before-*") if ".judge" not in path.name)
    assert load_ways(aside, drafts.load_draft(aside)) == now.ways
    assert load_ways(tmp_path / "baseline.yaml", RUBRIC) == ways


def test_whatever_differs_between_two_states_is_named():
    """A chat model is asked by all of it."""
    changed = {
        "title": "Another",
        "objective": "To please.",
        "guiding_principles": ["Be brief."],
        "levels": ["a", "b", "c", "d", "e"],
        "scoring_notes": "Of the whole.",
    }
    before, texts = State("then", RUBRIC, {}), {"a": TEXTS[0]}
    for part, value in changed.items():
        other = State("now", Rubric.checked(RUBRIC.model_dump() | {part: value}), {})
        assert f"another {states.WHOLE[part]}<" in states.comparison_view(before, other, texts)
    called = State("now", RUBRIC.model_copy(update={"name": "mine"}), {})
    assert "Both have the same criteria" in states.comparison_view(before, called, texts)
    assert states.WHOLE.keys() == Rubric.model_fields.keys() - {"name", "criteria"}


def test_only_totals_that_rest_on_the_same_criteria_are_ranked(tmp_path):
    def answer(conversations):
        return [json.dumps({"criteria": {NAMES[3]: 90}, "score": 90}) for _ in conversations]

    judges = {"m": LLMJudge(Teacher("m", answer), tmp_path / "verdicts.jsonl")}
    ways = bound(RUBRIC, ways_of(RUBRIC) | {NAMES[3]: Read("m")}, judges)
    before, now = State("then", RUBRIC, ways_of(RUBRIC)), State("now", RUBRIC, ways)
    texts = {f"text {n}": text for n, text in enumerate(TEXTS[:6])}
    found = now.standing(TEXTS[:6])
    assert found.scores == {} and "6 of 6 texts are left out" in found.left_out
    assert len(now.standing(TEXTS[:6], NAMES[0]).scores) == 6  # by a criterion of its own nothing is mixed
    ways[NAMES[3]].ask(TEXTS[:4])
    then, found = before.standing(TEXTS[:6]), now.standing(TEXTS[:6])
    assert list(found.scores) == TEXTS[:4] and then.left_out == ""
    rows = states.comparison(then, found, texts)
    assert (
        {row["text"] for row in rows if row["rank"]} == set(TEXTS[:4]) == {r["text"] for r in rows if r["rank_before"]}
    )
    assert sorted(row["rank_before"] for row in rows[:4]) == [1, 2, 3, 4] and rows[4]["now"] is None
    told = f"Now: 2 of 6 texts are left out. Still to be read: {NAMES[3]} (2 texts)."
    assert told in states.comparison_view(before, now, texts)
    unread = State("now", RUBRIC, {name: way for name, way in ways.items() if name != NAMES[3]})
    assert len(unread.standing(TEXTS[:6]).scores) == 6  # no way at all: all totals rest on the others


def test_a_picture_has_the_order_of_the_tab_scores_also_where_texts_lack_a_score():
    ways = {NAMES[0]: Counted("punctuation", 0, 100), NAMES[1]: Counted("function", 0, 50)}
    texts = {"low": "春天来了，花开了", "high": "春天！来了！花！开了！！！", "english": TEXTS[0], "second": TEXTS[1]}
    now = State("now", RUBRIC, ways)
    standing = now.standing(texts.values())
    entries, rows = ranking.ranked(now, texts, standing, standing), ranking.placed(now, texts)
    assert [row[1] for row in rows] == [entry["label"] for entry in entries] and rows[2][1] == "high"
    assert [total for _, _, total, _ in rows[2:]] == [None, None] and rows[0][2] >= rows[1][2]


def test_suggestions_say_what_they_would_change():
    ways = ways_of(RUBRIC) | {NAMES[1]: Counted("commas", 0, 1)}
    state = State("now", RUBRIC, ways)
    points = {text: 95.0 if text.count(",") > 9 else 10.0 for text in TEXTS[:40]}
    found = suggestions(state, NAMES[1], points)
    assert [type(each.way).__name__ for each in found][-1] == "Likened" and len(found) >= 2
    assert any(each.way.measure == "commas" and each.way.high > 1 for each in found[:-1])
    texts = {f"text {n}": text for n, text in enumerate(TEXTS[:12])}
    told = effect(found[0], state, points, texts)
    assert "rho on the" in told and "→" in told and "of 12 texts on view" in told
    (weights,) = suggestions(state, "", points)
    with pytest.raises(RubricError, match="other criteria than the suggestion"):
        reweighed(RUBRIC.model_dump(), {"Air": 100.0})
    by_name = dict(zip(NAMES, weights.weights))
    assert drafts.weights_of(reweighed(RUBRIC.model_dump(), by_name)) == list(weights.weights)
    assert sum(weights.weights) == 100 and weights.taken(state).rubric != RUBRIC
    assert suggestions(state, "", {}) == [] == suggestions(state, NAMES[0], {})
    given = [criterion.weight for criterion in RUBRIC.criteria]
    unscored = State("now", RUBRIC, {name: way for name, way in ways.items() if name != NAMES[0]})
    (weights,) = suggestions(unscored, "", points)  # of what has no scores the marks say nothing
    assert weights.weights[0] == given[0] and sum(weights.weights) == 100 and weights.weights != tuple(given)
    none = Rubric.checked(drafts.with_weights(RUBRIC.model_dump(), [100, *[0] * (len(NAMES) - 1)]))
    assert suggestions(State("now", none, unscored.ways), "", points) == []
    assert Suggestion("x", criterion=NAMES[1], way=Counted("commas", 0, 9)).taken(state).ways[NAMES[1]].high == 9


def test_the_bootstrap_agrees_with_scipy():
    from scipy.stats import spearmanr

    scores, points = [3.0, 1, 4, 1, 5, 9, 2, 6], [10.0, 10, 50, 10, 95, 95, 50, 50]
    assert agreement.spearman(scores, points) == pytest.approx(spearmanr(scores, points)[0])
    assert agreement.spearman([1, 1, 1], [1, 2, 3]) is None and agreement.spearman([], []) is None
    started = time.perf_counter()
    ranks = agreement.rank_agreement(scores * 13, points * 13)
    assert ranks["low"] < ranks["rho"] < ranks["high"] and time.perf_counter() - started < 1


# --- what goes out


def test_marked_texts_and_a_picture_are_exported(tmp_path):
    given = [marks.Mark(who=who, rubric="mine", response=EVIL, level="low", criterion="") for who in ("Ann", "Ben")]
    (row,) = opinions.marked_texts(given, {EVIL: {"score": 5.0, "by_criterion": {"Air": 5.0}}})
    assert [mark["who"] for mark in row["marks"]] == ["Ann", "Ben"] and row["score"] == 5.0
    assert row["half"] == ("test" if marks.is_test(EVIL) else "fit") and "response" not in row["marks"][0]
    entries = [(n + 1, f"text $5 {n}", None if n == 3 else 90.0 - n, {"Air": 50.0, "Earth": None}) for n in range(100)]
    charts.save_ranking(tmp_path / "a.png", "Costs $5 and $10", {"Air": 60, "Earth": 40}, entries)
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG") and len(data) > 10_000


def test_a_baseline_of_another_session_is_set_aside_with_its_scoring(tmp_path):
    rubric = load_rubric("rococo")
    name = rubric.criteria[0].name
    for low in (1.0, 2.0):
        told = filing.keep_state(
            tmp_path, rubric.model_dump(), ways_of(rubric) | {name: Counted("commas", low, 9.0)}, {}
        )
    assert "what stood there is kept as baseline-before-" in told
    names = sorted(path.name for path in tmp_path.glob("baseline*"))
    (aside,) = (each for each in names if "-before-" in each and ".judge" not in each)
    assert names == sorted(["baseline.judge.yaml", "baseline.yaml", aside, aside.removesuffix(".yaml") + ".judge.yaml"])


def test_reasons_for_no_score_are_whole_sentences_and_blame_the_judge_for_its_own_answers():
    rubric, texts = load_rubric("rococo"), ["A plain text.", "Another one."]
    ways = bound(rubric, {"Self-mockery": Read("judge")}, {"judge": LLMJudge(lambda chats: ["hm"] * len(chats))})
    ways["Self-mockery"].ask(texts)
    told = State("", rubric, ways).standing(texts).left_out
    assert "Self-mockery: no score for 2 texts (unparsable)." in told and "cannot read" not in told
    assert ".." not in told and told.endswith(".")
