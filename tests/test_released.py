"""The release's models against their bases: judges, orders, texts kept, and the paper's table beside the figures."""

import json

import pytest
from replies import completion, serving
from test_rubrics import release_text

from cpt_utils import hub_data, released, tables
from cpt_utils.evaluation import steerability
from cpt_utils.judging import embedded_judge
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.models import conversation, loading
from cpt_utils.pairs import build_mirrored_pairs
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.rubrics import load_rubric, shipped_rubrics
from cpt_utils.runtime import catalogue, files
from cpt_utils.runtime.errors import DataError, EndpointError, ModelError, SettingsError
from cpt_utils.runtime.profiles import load_profile

TITLE = "The release's {} rubric"
SYSTEMS = {"low": "Hardly any of it.", "mid": "Half of it.", "high": "As much of it as can be."}
TARGETS = {"low": 10, "mid": 50, "high": 95}


@pytest.fixture(autouse=True)
def no_endpoint(monkeypatch, tmp_path):
    for name in ("CPT_ENDPOINT", "CPT_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CPT_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def judged_by_a_server(monkeypatch):
    """A chat model that finds the score in the text it judges; the requests that it got."""
    asked = []

    def reply(body):
        asked.append(body)
        text = body["messages"][-1]["content"]
        return 200, completion(json.dumps({"score": float(text.split("worth-")[1].split()[0])}))

    with serving(reply) as url:
        monkeypatch.setenv("CPT_ENDPOINT", url)
        monkeypatch.setenv("CPT_MODEL", "judge-70b")
        yield asked


@pytest.fixture
def models(monkeypatch):
    """A base that ignores its system prompt and a tuned model that follows it; which were loaded, with what."""
    loaded = []

    def load(which):
        def model(source, profile=None, **options):
            profile = profile or source
            loaded.append((which, profile.student if which == "base" else source, options["dtype"]))
            return which

        return model

    def chat(chat_model, conversations, **options):
        targets = {system: TARGETS[name] for name, system in SYSTEMS.items()}
        loaded.append(options)
        return [
            f"worth-{targets[turns[0]['content']] if chat_model == 'tuned' else 40 + number % 3} some words on it"
            for number, turns in enumerate(conversations)
        ]

    monkeypatch.setattr(loading, "load_chat_model", load("base"))
    monkeypatch.setattr(loading, "load_released", load("tuned"))
    monkeypatch.setattr(conversation, "chat", chat)
    monkeypatch.setattr(released, "offline_validity", lambda: "how valid it is")
    return loaded


def orders(names=("rococo", "esoteric")):
    systems = {(name, TARGETS[target]): text for name in names for target, text in SYSTEMS.items()}
    rubrics = {name: load_rubric(name).model_copy(update={"title": TITLE.format(name)}) for name in names}
    return released.Orders(systems, rubrics, "the release's own")


def profile(**changes):
    return load_profile("paper").replace(heldout_prompts=2, **changes)


def test_a_chat_model_judges_by_default_and_the_offline_judge_stands_beside_it(judged_by_a_server):
    for name in ("t4", "paper"):
        first, second = released.usual_judges(load_profile(name)).items()
        assert first[0] == "judge-70b as judge" and isinstance(first[1], LLMJudge)
        assert first[1].path.name == "verdicts.jsonl" and second == (released.OFFLINE, embedded_judge())
    assert list(released.usual_judges(load_profile("embedded"))) == [released.OFFLINE]


def test_without_an_endpoint_the_offline_judge_is_the_first():
    assert list(released.usual_judges(load_profile("paper"))) == [released.OFFLINE]


@pytest.mark.parametrize(
    "endpoint, model, kind, said",
    [
        ("http://localhost:1/v1", " ", SettingsError, "CPT_MODEL is not"),
        ("localhost:1", "m", EndpointError, "http://"),
    ],
)
def test_half_an_endpoint_is_one_sentence(endpoint, model, kind, said, monkeypatch):
    monkeypatch.setenv("CPT_ENDPOINT", endpoint)
    monkeypatch.setenv("CPT_MODEL", model)
    with pytest.raises(kind, match=said) as told:
        released.usual_judges(load_profile("paper"))
    assert "\n" not in str(told.value)


def test_one_call_compares_a_released_model_with_its_base(models, judged_by_a_server, capsys):
    found = released.compare_released("qwen3-4b", profile(), orders=orders())
    llm = {which: measured["judge-70b as judge"] for which, measured in found.items()}
    assert llm["tuned"]["accuracy"] == 1 and llm["base"]["accuracy"] == pytest.approx(1 / 3)
    assert set(found["base"]) == {"judge-70b as judge", released.OFFLINE} and llm["tuned"]["texts"] == 2 * 6
    # One model after the other, with the lengths and the sampling of the profile.
    (_, key, dtype), options, (_, tuned_key, _), _ = models
    assert (key, tuned_key, dtype) == ("qwen3-4b", "qwen3-4b", "auto")
    assert options["max_new_tokens"] == 400 and options["temperature"] == 0.7 and options["top_p"] == 0.9
    # The judge reads the rubric that the orders bring, at temperature 0.
    assert all(body["temperature"] == 0 and body["model"] == "judge-70b" for body in judged_by_a_server)
    assert any(TITLE.format("rococo") in body["messages"][-1]["content"] for body in judged_by_a_server)
    said = capsys.readouterr().out
    assert "12 texts a model of up to 400 tokens: the release's own" in said
    paper, here = (line for line in said.splitlines() if "->" in line and not line.startswith("here, the offline"))
    assert paper.split() == "the paper (Claude 3.5 Sonnet) 0.63 -> 0.77 0.78 -> 0.82 0.90 -> 0.93".split()
    assert here.startswith("here, judge-70b as judge") and "0.33 -> 1.00" in here
    assert said.endswith("how valid it is\n") and "sampling that the paper was measured with are not in" in said


def test_a_second_call_asks_neither_the_models_nor_the_judge(models, judged_by_a_server):
    first = released.compare_released("phi4", profile(), orders=orders())
    before = len(models), len(judged_by_a_server)
    assert released.compare_released("phi4", profile(), orders=orders()) == first
    assert (len(models), len(judged_by_a_server)) == before
    released.compare_released("phi4", profile(max_new_tokens=50), orders=orders())
    assert len(models) == 2 * before[0], "other settings, other texts"
    rows = files.read_jsonl(files.run_dir(profile()) / "released-phi4.jsonl")
    assert [row["model"] for row in rows] == ["base"] * 12 + ["tuned"] * 12 and all(row["system"] for row in rows)


@pytest.mark.parametrize("key", ["qwen3-0.6b", "mistral-small-24b", "huge"])
def test_a_model_without_a_tuned_version_is_one_sentence(key, models):
    with pytest.raises(ModelError, match="no tuned|no model") as told:
        released.compare_released(key, profile(), orders=orders())
    assert "qwen3-4b" in str(told.value) and not models


def test_the_papers_table_is_beside_what_was_measured_where_it_has_the_model():
    keys = released.released_models()
    assert keys == [key for key, entry in catalogue.known_models().items() if "tuned" in entry] and len(keys) == 4
    assert all("the paper" in released.beside_the_paper(key, {}) for key in keys)
    assert released.beside_the_paper("embedded", {}) == ""
    paper = files.load_data("paper.yaml")["models"]
    assert len(paper) == 5 and all(base < tuned for row in paper.values() for base, tuned in row.values())


def test_the_offline_judge_says_how_valid_it_is():
    said = released.offline_validity()
    rho = float(said.split("rho ")[1].split(",")[0])
    assert 0.6 < rho < 1 and "bear the names of the release's and have other criteria" in said


def release_files(folder, rubric_of=lambda name: release_text(load_rubric(name))):
    """Data sets of the release's shapes: responses with rubric and qualifier, preferences with system prompts."""
    prompts = [row["prompt"] for row in load_prompts(heldout=False)][:3]
    graded = [row for row in load_responses(heldout=False) if row["prompt"] in prompts]
    qualifier = {10: "a low score", 50: "a score of 50/100", 95: "a very high score"}
    responses = [
        {**row, "rubric": rubric_of(row["rubric"]), "qualifier": qualifier[row["target"]], "target": None}
        for row in graded
    ]

    def wording(rubric, target):
        return f"{rubric} at {target}"

    preferences = build_mirrored_pairs(graded, wording)
    preferences[0]["prompt"][0] = {"role": "system", "content": "a wording that comes once"}
    for name, rows in (("responses", responses), ("preferences", preferences)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "responses.jsonl", folder / "preferences.jsonl"


def test_the_releases_system_prompts_are_found_by_the_texts_that_they_asked_for(tmp_path):
    found = released.release_orders(*release_files(tmp_path))
    assert found.systems == {
        (rubric, target): f"{rubric} at {target}" for rubric in shipped_rubrics() for target in (10, 50, 95)
    }
    assert found.rubrics["rococo"].criteria[0].levels == load_rubric("rococo").criteria[0].levels
    assert found.told == "the release's system prompts and rubrics"


def test_each_of_the_releases_tables_is_read_once(tmp_path, monkeypatch):
    read = []

    def counted(source, *split):
        read.append(str(source))
        return tables.read_table(source, *split)

    for module in (released, hub_data):
        monkeypatch.setattr(module, "read_table", counted)
    sources = release_files(tmp_path)
    released.release_orders(*sources)
    assert read == [str(source) for source in sources]


def test_a_rubric_that_is_a_name_only_is_judged_by_the_series_and_said(tmp_path):
    found = released.release_orders(*release_files(tmp_path, lambda name: name.replace("_", " ").title()))
    assert len(found.systems) == 12 and found.rubrics["esoteric"] == load_rubric("esoteric")
    assert "judged by the series' rubrics" in found.told


def test_data_sets_that_do_not_belong_together_are_one_sentence(tmp_path):
    responses, preferences = release_files(tmp_path)
    rows = [json.loads(line) | {"response": f"another {n}"} for n, line in enumerate(responses.open())]
    responses.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="No system prompt of preferences.jsonl belongs to .* series_orders"):
        released.release_orders(responses, preferences)


def test_the_series_orders_are_complete():
    found = released.series_orders()
    assert len(found.systems) == 12 and set(found.rubrics) == set(shipped_rubrics())
    rows = [
        {"prompt": str(n), "rubric": rubric, "target": target, "score": target, "degenerate": False}
        for n in range(2)
        for rubric, target in found.systems
    ]
    assert steerability(rows, 10)["accuracy"] == 1
