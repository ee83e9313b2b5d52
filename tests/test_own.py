"""A rubric of one's own: its system prompts, texts, rows and judge. The run of the shipped ones stays as it is."""

import json
import re

import numpy as np
import pytest
import yaml
from replies import completion, serving

from cpt_utils import own, pairs, released, styles
from cpt_utils.anchors import AnchorJudge
from cpt_utils.charts import style_shift_figure
from cpt_utils.generation import generation_tasks, read_responses
from cpt_utils.judging import embedded_judge, judge_rows
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.models.adapters import find_adapter
from cpt_utils.prompts import load_prompts, load_responses, messages, system_prompt
from cpt_utils.rows import TARGETS, target_name
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import JudgeError, PairError, PromptError, RubricError, SettingsError
from cpt_utils.runtime.profiles import load_profile
from cpt_utils.teachers import Teacher
from cpt_utils.ways import WAYS, Counted, Read, read_ways, write_ways
from cpt_utils.wordings import WORDINGS, checked, save_wordings

RUBRIC = Rubric.checked(
    {
        "name": "diary",
        "title": "A Diary by Night",
        "objective": "Short and doubtful.",
        "levels": list("abcde"),
        "criteria": [
            {"name": "Breath", "weight": 60, "levels": list("abcde")},
            {"name": "Doubt", "weight": 40, "levels": list("abcde")},
        ],
    }
)
WAYS_OF = {"Breath": Counted("sentence_length", 20, 5), "Doubt": Counted("questions", 0, 5)}
WORDS = {
    "low": {"prompt": "Report in long sentences.", "paraphrase": "Write at length."},
    "mid": {"prompt": "Write a note.", "paraphrase": "A note, please."},
    "high": {
        "prompt": "Write a night diary. Doubt.",
        "paraphrase": "A diary. Ask.",
        "task": "A gate.",
        "example": "Me?",
    },
}
TEXTS = {
    10: "The {} stands where it has stood for years beside the wall of the old mill near the river and the bridge.",
    50: "The {} stands quietly by the wall on the other side. It has stood there for some years, not far from the "
    "river. Is there anybody who still knows how old it really is by now?",
    95: "The {} is dark. Is it mine? I think so. Who asks? The river is loud. Do I hear it?",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a run in which somebody saved a rubric and how it is scored."""
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    monkeypatch.setenv("CPT_PROFILE", "smoke")
    for name in ("CPT_ENDPOINT", "CPT_MODEL"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "smoke"
    place.mkdir()
    RUBRIC.to_yaml(place / "diary.yaml")
    write_ways(place / f"diary{WAYS}", WAYS_OF)
    return place


@pytest.fixture
def mine(folder):
    """A profile for that rubric."""
    return load_profile("smoke").for_rubrics(["diary"])


def text_for(target, prompt, number=1):
    return TEXTS[target].format(f"{prompt.split()[-1].strip('.')} {number}")


def writer(name="tiny", **options):
    """A teacher that writes a text of the target that its messages name, and what it was asked."""
    asked = []

    def answer(conversations):
        asked.extend(conversations)
        return [_answer(turns) for turns in conversations]

    return Teacher(name, answer, **options), asked


def _answer(turns):
    said = turns[-1]["content"]
    if found := re.search(r"Task: (.*)\n\n.* would score (\d+)", said):
        return text_for(int(found[2]), found[1]) + " And it is cu"
    if found := re.search(r"how a text scoring (\d+)", said):
        return f"Write at {found[1]}.\n"
    return f"In other words: {said.splitlines()[-1]}"


def prepared(folder, mine, monkeypatch):
    """Texts of the rubric by a teacher behind an endpoint, and its system prompts by hand."""
    teacher, _ = writer(remote=True)
    monkeypatch.setattr(own, "_endpoint", lambda: teacher)
    own.settle_wordings(mine, None, {"diary": WORDS})
    return own.write_texts(mine, None)["diary"]


# ---------------------------------------------------------------- the setting


def test_none_leaves_everything_as_it_is(folder, capsys):
    profile = load_profile("smoke")
    assert profile.for_rubrics(None) is profile and files.run_dir(profile) == folder
    assert styles.load_texts(profile, heldout=True) == load_responses(heldout=True)
    assert styles.offline_judge(profile) is embedded_judge() is released.usual_judges(profile)[released.OFFLINE]
    assert list(styles.titles(profile).values()) == ["Chaos Cinema", "Rococo", "Esoteric", "Creative Chaos"]
    path = pairs.write_rows(profile, "train", pairs.rows_for(profile, "train"))
    told = json.loads(path.with_suffix(pairs.ORIGIN).read_text())
    assert set(told) == {"data", "seed", "mirrored", "asks_subject", "train_prompts", "heldout_prompts", "file"}
    assert own.settle_wordings(profile, None, {}) == own.write_texts(profile, None) == {}
    shown = (files.ROOT / "notebooks" / "02_synthetic_generation.ipynb").read_text("utf-8")
    assert capsys.readouterr().out.strip() in shown


def test_a_run_of_rubrics_has_a_folder_of_its_own_and_settings_for_few_texts(folder, mine):
    assert files.run_dir(mine) == folder / "rubrics" / "diary"
    assert files.run_dir(mine.replace(rubrics=["rococo", "diary"])) == folder / "rubrics" / "rococo+diary"
    assert mine.epochs == load_profile("smoke").for_capstone().epochs and not mine.asks_subject


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("diary", r"rubrics: is the text 'diary'; write a list, \['diary'\]"),
        ([], "rubrics: has 0 entries"),
        (["My Diary"], "'My Diary' is no rubric's name"),
        (["../x"], "'../x' is no rubric's name"),
    ],
)
def test_a_wrong_setting_is_named(names, message):
    with pytest.raises(SettingsError, match=message):
        load_profile("smoke").for_rubrics(names)


def test_going_back_to_none_says_what_to_run(mine):
    with pytest.raises(SettingsError, match="RUBRICS went back to None: run the setup cell again"):
        mine.for_rubrics(None)


def test_unknown_and_misnamed_rubrics_are_told(folder, mine):
    with pytest.raises(RubricError, match="no rubric 'novel'"):
        styles.titles(mine.replace(rubrics=["novel"]))
    (folder / "other.yaml").write_text((folder / "diary.yaml").read_text("utf-8"), "utf-8")
    with pytest.raises(RubricError, match="other.yaml holds the rubric 'diary'"):
        styles.titles(mine.replace(rubrics=["other"]))


# ---------------------------------------------------------------- system prompts


def test_system_prompts_by_hand_are_kept_and_found_like_the_shipped_ones(folder, mine, capsys):
    with pytest.raises(
        PromptError, match=r"'diary' has no system prompts yet: run notebook 02 with RUBRICS = \['diary"
    ):
        system_prompt("diary", "high")
    words = own.settle_wordings(mine, None, {"diary": WORDS})["diary"]
    assert words["high"].example == "Me?" and yaml.safe_load((folder / f"diary{WORDINGS}").read_text()) == WORDS
    assert system_prompt("diary", 95) == "Write a night diary. Doubt."
    assert system_prompt("diary", "low", paraphrase=True) == "Write at length."
    assert system_prompt("rococo", "high").startswith("Write in extravagant")
    with pytest.raises(PromptError, match="no system prompt for"):
        system_prompt("diary", 30)
    capsys.readouterr()
    assert own.settle_wordings(mine, None, {}) == {"diary": words} and "as the file has them" in capsys.readouterr().out


def test_what_somebody_wrote_into_the_file_is_kept_when_the_cell_says_otherwise(folder, mine):
    own.settle_wordings(mine, None, {"diary": WORDS})
    path = folder / f"diary{WORDINGS}"
    path.write_text(path.read_text("utf-8").replace("A note, please.", "A short note."), "utf-8")
    assert system_prompt("diary", "mid", paraphrase=True) == "A short note."
    own.settle_wordings(mine, None, {"diary": WORDS})
    assert system_prompt("diary", "mid", paraphrase=True) == "A note, please."
    assert any("A short note." in kept.read_text("utf-8") for kept in folder.glob("diary-before-*.prompts.yaml"))


def test_a_teacher_writes_the_system_prompts_that_nobody_gave_once(folder, mine, monkeypatch):
    teacher, asked = writer(remote=True)
    monkeypatch.setattr(own, "_endpoint", lambda: teacher)
    own.settle_wordings(mine, None, {})
    assert [system_prompt("diary", target) for target in TARGETS] == ["Write at 10.", "Write at 50.", "Write at 95."]
    assert system_prompt("diary", "high", paraphrase=True) == "In other words: Write at 95."
    assert len(asked) == 6 and "A Diary by Night" in asked[0][-1]["content"]
    own.settle_wordings(mine, None, {})
    assert len(asked) == 6


def test_a_teacher_that_cannot_write_them_is_told_with_the_way_out(folder, mine, monkeypatch):
    teacher = Teacher("weak", lambda conversations: ["Sure!"] * len(conversations), remote=True)
    monkeypatch.setattr(own, "_endpoint", lambda: teacher)
    with pytest.raises(
        PromptError, match="What weak wrote for 'diary' .BY_HAND takes better ones., mid: prompt: is the"
    ):
        own.settle_wordings(mine, None, {})
    assert not (folder / f"diary{WORDINGS}").exists()


def test_an_endpoint_without_a_model_is_told(folder, mine, monkeypatch):
    monkeypatch.setenv("CPT_ENDPOINT", "http://localhost:1/v1")
    with pytest.raises(SettingsError, match="CPT_MODEL is not: name the model that writes"):
        own.attempts(None, mine)(1)
    monkeypatch.setenv("CPT_MODEL", "large")
    assert own.attempts(None, mine)(1).name == "large"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "needs system prompts for low, mid, high, and has none"),
        ("high", "needs system prompts for low, mid, high, and has none"),
        ({"low": {}, "high": {}}, "and has low, high"),
        (WORDS | {"low": {"paraphrase": "x"}}, "low: prompt: is missing"),
        (WORDS | {"low": {"prompt": "x"}}, "low: paraphrase: is missing"),
        (WORDS | {"high": WORDS["mid"]}, "high: prompt: is the same as for mid"),
        (WORDS | {"low": "x"}, "low: is no group of keys"),
        (WORDS | {"low": WORDS["low"] | {"tone": "x"}}, "low: tone: there is no such key"),
        (WORDS | {"low": WORDS["low"] | {"example": "x"}}, "low: task and example: one of them is missing"),
    ],
)
def test_bad_system_prompts_are_named(words, message):
    with pytest.raises(PromptError, match=f"here.*{message}"):
        checked(words, "here")


def test_system_prompts_of_a_rubric_that_is_not_asked_for_and_a_broken_file_are_told(folder, mine):
    with pytest.raises(SettingsError, match="given for 'novel', which is not among RUBRICS"):
        own.settle_wordings(mine, None, {"novel": WORDS})
    (folder / f"diary{WORDINGS}").write_text("low: [", "utf-8")
    with pytest.raises(PromptError, match="diary.prompts.yaml cannot be read .no YAML"):
        system_prompt("diary", "low")


# ---------------------------------------------------------------- texts


def test_a_teacher_writes_texts_for_all_prompts_and_they_become_rows_under_their_own_system_prompts(
    folder, mine, monkeypatch
):
    before = {path.name for path in folder.iterdir()}
    rows = prepared(folder, mine, monkeypatch)
    asked = [load_prompts(held)[0]["prompt"] for held in (False, True)]  # the smallest sizes: one of either
    assert {(row["prompt"], row["target"]) for row in rows} == {(p, t) for p in asked for t in TARGETS.values()}
    assert not any("cu" == row["response"][-2:] for row in rows), "what a limit cut ends at a whole sentence"
    assert styles.load_texts(mine, heldout=True) == [row for row in rows if row["prompt"] == asked[1]]
    train = pairs.rows_for(mine, "train")
    assert len(train) == 6 and {row["rubric"] for row in train} == {"diary"}
    for row in train:
        assert row["prompt"] == messages(asked[0], system_prompt("diary", row["chosen_target"]))
        assert row["chosen"][0]["content"] == text_for(row["chosen_target"], asked[0])
    assert pairs.load_rows(mine, "heldout")[1] == "texts of diary"
    for part in ("train", "heldout"):
        pairs.write_rows(mine, part, pairs.rows_for(mine, part))
    assert "notebook 03" in pairs.load_rows(mine, "train")[1]
    assert {path.name for path in folder.iterdir()} - before - {".cpt_utils.json"} <= {
        "rubrics",
        f"diary{WORDINGS}",
        *(path.name for path in folder.glob(".*")),
    }  # nothing of the shipped recipe's run is touched


def test_rows_of_former_texts_or_system_prompts_are_passed_over(folder, mine, monkeypatch, capsys):
    prepared(folder, mine, monkeypatch)
    pairs.write_rows(mine, "train", pairs.rows_for(mine, "train"))
    own.settle_wordings(mine, None, {"diary": WORDS | {"low": WORDS["low"] | {"prompt": "Be long."}}})
    rows, _ = pairs.load_rows(mine, "train")
    assert "before a change of system_prompts" in capsys.readouterr().out
    assert any(row["prompt"][0]["content"] == "Be long." for row in rows)


def test_without_texts_it_says_which_notebook_comes_first(folder, mine):
    for load in (lambda: styles.load_texts(mine, True), lambda: pairs.load_rows(mine, "train")):
        with pytest.raises(
            PairError, match=r"no texts of 'diary' in .*: run notebook 02 with RUBRICS = \['diary'\] first"
        ):
            load()
    with pytest.raises(Exception, match=r"no adapter in .*: run notebook 04 with RUBRICS = \['diary'\] first"):
        find_adapter(mine.replace(student="embedded"))


def test_a_shipped_rubric_beside_ones_own_brings_its_recorded_texts(folder, mine, monkeypatch):
    prepared(folder, mine, monkeypatch)
    both = mine.replace(rubrics=["rococo", "diary"])
    assert styles.titles(both) == {"rococo": "Rococo", "diary": "A Diary by Night"}
    rows = pairs.rows_for(both, "train")
    assert [row["rubric"] for row in rows] == 6 * ["rococo"] + 6 * ["diary"]
    assert rows[0]["prompt"][0]["content"] == system_prompt("rococo", rows[0]["chosen_target"])


def test_the_student_tries_often_by_example_and_the_rubrics_judge_chooses(folder, mine, monkeypatch):
    asked = []

    def local(base, profile, number=0):
        def answer(conversations):
            asked.extend(conversations)
            texts = []
            for turns in conversations:
                name = next(n for n, said in WORDS.items() if said["prompt"] == turns[0]["content"])
                target = TARGETS[name] if number > 1 else 50  # the first try misses low and high
                texts.append(text_for(target, turns[-1]["content"], number))
            return texts

        return Teacher("small", answer)

    monkeypatch.setattr(own, "_local", local)
    monkeypatch.setattr(own, "order_gains", lambda base, texts, folder: np.full(len(texts), 3.0))
    own.settle_wordings(mine, None, {"diary": WORDS})
    rows = own.write_texts(mine, None)["diary"]
    assert len(rows) == 6 and {row["model"] for row in rows} == {"small#1", "small#2"}
    assert all(row["response"].startswith(TEXTS[row["target"]][:4]) for row in rows)
    judge = styles.offline_judge(mine)
    scores = {
        t: [judge.score("diary", "", r["response"]).score for r in rows if r["target"] == t] for t in TARGETS.values()
    }
    assert max(scores[10]) < min(scores[50]) and max(scores[50]) < min(scores[95])
    by_example = next(turns for turns in asked if turns[0]["content"] == WORDS["high"]["prompt"])
    assert [turn["content"] for turn in by_example[1:3]] == ["A gate.", "Me?"] and len(by_example) == 4
    assert len(next(turns for turns in asked if turns[0]["content"] == WORDS["low"]["prompt"])) == 2  # it has none
    count = len(asked)
    assert own.write_texts(mine, None)["diary"] == rows and len(asked) == count  # from the store


def test_a_local_teacher_tells_its_minutes_after_its_first_texts(tmp_path, capsys):
    tasks = generation_tasks(["Write of a gate.", "Write of a mill."], ["rococo"])
    teacher, asked = writer("local", batch_size=2)
    rows = own.taught_texts(teacher, tasks, tmp_path / "r.jsonl")
    assert "less than a minute for 4 more texts by local on this machine, by the first 2" in capsys.readouterr().out
    assert len(rows) == len(asked) == 6 and target_name(rows[2]["target"]) == "high"
    own.taught_texts(teacher, tasks, tmp_path / "r.jsonl")
    assert "more texts" not in capsys.readouterr().out and len(read_responses(tmp_path / "r.jsonl")) == 6


# ---------------------------------------------------------------- judges and figures


def test_each_rubric_is_judged_by_its_own_judge_and_an_unknown_one_is_refused(folder, mine):
    judge = styles.offline_judge(mine.replace(rubrics=["rococo", "diary"]))
    text = text_for(95, "a gate")
    assert judge.score("diary", "", text).by_criterion["Doubt"] == 100
    assert judge.score(load_rubric("diary"), "", text) == judge.score("diary", "", text)
    assert judge.score("rococo", "", text) == embedded_judge().score("rococo", "", text)
    with pytest.raises(JudgeError, match="for the rubric 'esoteric', only for rococo, diary"):
        judge.score("esoteric", "", text)
    assert released.usual_judges(mine)[released.OFFLINE].score("diary", "", text).score > 80


@pytest.mark.parametrize("ways", [None, {"Breath": WAYS_OF["Breath"]}])
def test_a_rubric_that_nobody_said_how_to_score_names_the_studio(folder, mine, ways):
    (folder / f"diary{WAYS}").unlink()
    if ways:
        write_ways(folder / f"diary{WAYS}", ways)
    with pytest.raises(
        JudgeError, match="how '(Breath|Doubt)' of 'diary' is scored: open diary.yaml in the studio .*tab Scoring"
    ):
        styles.offline_judge(mine)


def test_a_chat_model_judges_ones_own_rubric_alone_where_there_is_one(folder, mine, monkeypatch):
    monkeypatch.setenv("CPT_ENDPOINT", "http://localhost:1/v1")
    monkeypatch.setenv("CPT_MODEL", "large")
    (folder / f"diary{WAYS}").unlink()
    assert list(released.usual_judges(mine.replace(student="qwen3-4b"))) == ["large as judge"]


READ = WAYS_OF | {"Doubt": Read("gpt")}


@pytest.fixture
def read_by_gpt(folder, monkeypatch):
    """The rubric with a criterion that the chat model gpt reads, a server where it answers, and what it was asked."""
    write_ways(folder / f"diary{WAYS}", READ)
    asked = []

    def reply(body):
        asked.append(body)
        return 200, completion(json.dumps({"criteria": {"Doubt": 60}, "score": 60}))

    monkeypatch.setenv("no_proxy", "*")
    with serving(reply) as url:
        monkeypatch.setenv("CPT_ENDPOINT", url)
        monkeypatch.setenv("CPT_MODEL", "gpt")
        yield asked


def rows_of(*targets):
    return [{"rubric": "diary", "prompt": "A gate.", "response": text_for(t, "a gate"), "target": t} for t in targets]


@pytest.mark.parametrize("student", ["embedded", "qwen3-4b"])
def test_a_criterion_that_a_chat_model_reads_is_read_by_the_endpoints(folder, mine, read_by_gpt, student, monkeypatch):
    (judge,) = released.usual_judges(mine.replace(student=student)).values()
    rows = judge_rows(judge, rows_of(10, 95))
    assert len(read_by_gpt) == 2 and all(body["model"] == "gpt" and body["temperature"] == 0 for body in read_by_gpt)
    assert "Breath" not in str(read_by_gpt[0]["messages"]), "the other criterion is counted"
    assert judge.score("diary", "A gate.", rows[1]["response"]).by_criterion == {"Breath": 100, "Doubt": 60}
    for name in ("CPT_ENDPOINT", "CPT_MODEL"):
        monkeypatch.delenv(name)
    again = styles.offline_judge(mine)
    assert judge_rows(again, rows_of(10, 95)) == rows and len(read_by_gpt) == 2, "by the verdicts that are kept"
    with pytest.raises(JudgeError, match="1 of 1 texts have no verdict, .*CPT_MODEL to 'gpt', or have it counted"):
        judge_rows(again, rows_of(50))


@pytest.mark.parametrize("model", [None, "another"])
def test_a_reader_that_is_not_at_hand_is_told_before_anything_is_written(folder, mine, read_by_gpt, model, monkeypatch):
    monkeypatch.setenv("CPT_MODEL", model) if model else monkeypatch.delenv("CPT_ENDPOINT")
    with pytest.raises(JudgeError, match="'Doubt' of 'diary' is read by .*'gpt', which is not at hand: set CPT_END"):
        styles.offline_judge(mine)
    assert not read_by_gpt


def test_verdicts_of_the_studio_count_and_it_is_said_that_the_reader_is_away(folder, mine, monkeypatch, capsys):
    from cpt_utils.reading import alone
    from cpt_utils.widgets.readers import VERDICTS

    write_ways(folder / f"diary{WAYS}", READ)
    teacher = Teacher("gpt", lambda conversations: ['{"score": 80}'] * len(conversations))
    (row,) = rows_of(95)
    LLMJudge(teacher, folder / VERDICTS).score(alone(RUBRIC, "Doubt"), row["prompt"], row["response"])
    assert styles.offline_judge(mine).score("diary", row["prompt"], row["response"]).by_criterion["Doubt"] == 80
    assert "note: 'Doubt' of 'diary' is read by" in capsys.readouterr().out


def test_a_rubric_is_judged_without_the_chat_model_that_reads_what_weighs_nothing(folder, mine, capsys):
    data = yaml.safe_load((folder / "diary.yaml").read_text("utf-8"))
    for criterion in data["criteria"]:
        criterion["weight"] = 0 if criterion["name"] == "Doubt" else 100
    (folder / "diary.yaml").write_text(yaml.safe_dump(data), "utf-8")
    write_ways(folder / f"diary{WAYS}", READ)
    judged = styles.saved_judge(load_rubric("diary")).score("diary", "", text_for(95, "a gate"))
    assert judged.score == judged.by_criterion["Breath"] and "Doubt" not in judged.by_criterion
    assert "not at hand" not in capsys.readouterr().out


def test_a_text_that_a_reader_refuses_is_not_called_foreign():
    reader = LLMJudge(Teacher("gpt", lambda conversations: ["no"] * len(conversations)), retries=0)
    judged = AnchorJudge(RUBRIC, READ, [reader]).score("diary", "", text_for(95, "a gate"))
    assert judged.score is None and judged.reason == "unparsable"


def test_each_rubrics_texts_are_judged_together(folder, mine, read_by_gpt):
    judge = styles.offline_judge(mine.replace(rubrics=["rococo", "diary"]))
    rows = [*rows_of(95), rows_of(10)[0] | {"rubric": "rococo"}, *rows_of(10)]
    judged = judge_rows(judge, rows)
    assert [row["response"] for row in judged] == [row["response"] for row in rows] and len(read_by_gpt) == 2
    assert judged[1]["score"] == embedded_judge().score("rococo", "", rows[1]["response"]).score
    with pytest.raises(JudgeError, match="only for rococo, diary"):
        judge_rows(judge, [rows[0] | {"rubric": "esoteric"}])


def test_a_judge_is_saved_beside_its_rubric_and_found_by_name_and_path(folder, tmp_path):
    place = tmp_path / "capstone" / "diary.yaml"
    place.parent.mkdir()
    AnchorJudge(RUBRIC, {"Breath": ("sentence_length", 20, 5), "Doubt": WAYS_OF["Doubt"]}).save(place)
    assert read_ways(place.with_suffix(WAYS)) == WAYS_OF
    for source in (None, "diary", place, str(place)):
        assert styles.saved_judge(RUBRIC, source).said == WAYS_OF


def test_figures_know_rubrics_that_do_not_come_with_the_series():
    import matplotlib.pyplot as plt

    there = {"way": 0.5, "miscalibration": 0.5, "orthogonality": 0.5}
    fig = style_shift_figure({f"{name} 95": there for name in ("rococo", "diary", "my_own")})
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == ["Rococo", "Diary", "My Own"]
    colours = {tuple(dots.get_facecolor()[0]) for dots in fig.axes[0].collections}
    assert len(colours) == 3
    plt.close(fig)


def test_the_studio_lists_no_file_of_system_prompts(folder):
    from cpt_utils.widgets.studio import rubric_studio

    save_wordings("diary", checked(WORDS, "here"))
    assert list(rubric_studio().file.options) == ["diary.yaml"]
