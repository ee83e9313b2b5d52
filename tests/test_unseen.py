"""Small rubrics: whole, by hand, unlike each other; and how rubrics that were not trained are measured."""

import collections
import re
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import yaml
from datasets import Dataset
from scipy.stats import spearmanr

from benchmarks import measured, trainings
from benchmarks.beyond import drawings, running, summary, tables, unseen
from benchmarks.beyond.small_rubrics import drawn, small_responses, small_rubrics, small_system_prompt
from cpt_utils.degenerate import degeneracy
from cpt_utils.models.conversation import ChatModel
from cpt_utils.pairs import check_leaks, check_rows
from cpt_utils.prompts import load_corpus, load_prompts, load_responses, system_prompt
from cpt_utils.rubrics import shipped_rubrics
from cpt_utils.runtime.profiles import load_profile
from cpt_utils.training import in_training_order

matplotlib.use("agg")
ROWS = small_responses()
TOPICS = yaml.safe_load((Path(__file__).parent / "topics.yaml").read_text())
MORE_TOPICS = {"p05": "orange", "p22": "grey|overcast", "p23": "minute", "p24": "roadster|handlebar", "p26": "paper"}


def words(text):
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def test_every_small_rubric_has_a_text_for_low_and_high_on_the_same_twelve_training_prompts():
    prompts = {row["prompt"] for row in ROWS}
    keys = [(row["prompt"], row["rubric"], row["target"]) for row in ROWS]
    assert len(prompts) == 12 and prompts <= {prompt["prompt"] for prompt in load_prompts(heldout=False)}
    assert set(keys) == {(p, r, t) for p in prompts for r in small_rubrics() for t in (10, 95)} and len(keys) == 384
    assert len(small_rubrics()) == 16 and not set(small_rubrics()) & set(shipped_rubrics())
    assert all(list(row) == ["prompt", "rubric", "target", "response", "model"] for row in ROWS)


def test_small_texts_are_short_and_their_length_does_not_tell_the_target():
    counts = [len(row["response"].split()) for row in ROWS]
    assert 25 <= min(counts) and max(counts) <= 60
    assert abs(spearmanr(counts, [row["target"] for row in ROWS])[0]) <= 0.15


def test_no_two_small_texts_share_seven_words_in_a_row_and_none_is_in_the_other_data():
    texts = [row["response"] for row in [*ROWS, *load_responses(), *load_corpus()]]
    seen = {}
    for place, text in enumerate(texts):
        found = words(text)
        for start in range(len(found) - 6):
            run = tuple(found[start : start + 7])
            first = seen.setdefault(run, place)
            assert first == place or first >= len(ROWS), (run, text)


def test_every_small_text_is_on_its_subject():
    ids = {prompt["prompt"]: prompt["id"] for prompt in load_prompts()}
    for row in ROWS:
        name = ids[row["prompt"]]
        topic = "|".join(filter(None, [TOPICS[name], MORE_TOPICS.get(name)]))
        assert re.search(topic, row["response"].lower()), (name, row["response"])


def test_small_system_prompts_differ_and_name_no_number():
    told = [small_system_prompt(r, t, paraphrase) for r in small_rubrics() for t in (10, 95) for paraphrase in (0, 1)]
    shipped = {system_prompt(r, t) for r in shipped_rubrics() for t in (10, 50, 95)}
    assert len(set(told)) == 64 and not shipped & set(told)
    assert max(len(text.split()) for text in told) <= 40 and not any(re.search(r"\d", text) for text in told)


def test_only_styles_without_sentences_look_broken_to_the_series():
    """Cables, logs and measurements leave out what holds words together, and some are taken for keyword salad."""
    broken = [(row["rubric"], row["target"]) for row in ROWS if degeneracy(row["response"])]
    assert set(broken) <= {("telegram", 95), ("ship_log", 95), ("engineer", 95)} and len(broken) < 12


def test_a_small_style_is_known_from_other_prompts_texts():
    """Runs of letters of the other eleven prompts' texts point to the own style among 32, nine times in ten."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, lowercase=False, min_df=2)
    matrix = letters.fit_transform(row["response"] for row in ROWS).toarray()
    styles = [(row["rubric"], row["target"]) for row in ROWS]
    names, prompts = sorted(set(styles)), [row["prompt"] for row in ROWS]
    right, sides = 0, 0
    for prompt in set(prompts):
        out = np.array([p == prompt for p in prompts])
        centres = np.array([matrix[~out & np.array([s == n for s in styles])].mean(0) for n in names])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        for place in out.nonzero()[0]:
            scores = dict(zip(names, centres @ matrix[place]))
            right += max(scores, key=scores.get) == styles[place]
            rubric, target = styles[place]
            sides += scores[rubric, target] > scores[rubric, 105 - target]
    assert right / len(ROWS) > 0.4 and sides / len(ROWS) > 0.9  # by chance 1/32 and 1/2


def test_a_larger_draw_of_small_rubrics_holds_the_smaller_one():
    assert drawn(8, 42) == drawn(16, 42)[:8] and len(set(drawn(16, 42))) == 16
    assert set(drawn(8, 42)) != set(drawn(8, 43)) and drawn(0, 42) == []


@pytest.mark.parametrize("count", unseen.COUNTS)
def test_rows_are_whole_blocks_without_the_rubrics_that_are_held_out(count):
    profile = load_profile("embedded")
    names = drawn(count, 42)
    rows = unseen.rows_of(("esoteric", "rococo"), names, profile)
    held = {prompt["prompt"] for prompt in load_prompts(heldout=True)}
    check_rows(rows, mirrored=True)
    check_leaks(rows, sorted(held))
    found = collections.Counter(row["rubric"] for row in rows)
    assert set(found) == {"chaos_cinema", "creative_chaos", *names}
    assert len(rows) % 8 == 0 and {found[name] for name in names} <= {48}  # of twelve prompts, four rows each
    large = sum(found[name] for name in ("chaos_cinema", "creative_chaos"))
    for start in [*range(0, large, 8), *range(large, len(rows), 4)]:
        block = rows[start : start + (8 if start < large else 4)]
        assert len({row["rubric"] for row in block}) == 1
        assert len({row["prompt"][-1]["content"] for row in block}) == 2
    assert len(rows) // 8 <= unseen.SIZES[False]["steps"]
    told = [system_prompt(rubric, target) for rubric in ("esoteric", "rococo") for target in (10, 50, 95)]
    assert not any(row["prompt"][0]["content"] in told for row in rows)


def test_rows_seen_are_those_of_all_epochs_and_small_rubrics_take_the_place_of_large_ones():
    profile, steps = load_profile("embedded"), unseen.SIZES[False]["steps"]
    found = []
    for count in unseen.COUNTS:
        rows = unseen.rows_of(("esoteric", "rococo"), drawn(count, 42), profile)
        args = SimpleNamespace(max_steps=steps, num_train_epochs=1, per_device_train_batch_size=profile.rows_per_batch)
        args.gradient_accumulation_steps, args.seed = profile.batches_per_step, 42
        ordered = in_training_order(Dataset.from_list(rows), args, profile.rows_per_batch)
        found.append(unseen.rows_seen(ordered["rubric"]))
    assert {sum(seen.values()) for seen in found} == {steps * profile.rows_per_batch}
    assert found[0]["small"] == 0 < found[1]["small"] < found[2]["small"]
    assert unseen.rows_seen(["rococo", "telegram", "rococo"]) == {"large": 2, "small": 1}


def test_a_trainer_still_knows_of_which_rubric_each_row_is(monkeypatch, tmp_path, tiny_model, tokenizer):
    """What a unit counts is what its trainer reads, in whichever form TRL has put it."""
    monkeypatch.setattr(trainings, "FOLDER", tmp_path)
    monkeypatch.setattr(trainings, "load_student", lambda profile: ChatModel(tiny_model, tokenizer, ""))
    profile = load_profile("embedded").replace(max_steps=4)
    rows = unseen.rows_of(("esoteric", "rococo"), ["telegram"], profile)
    trainer = unseen.trainer_of(profile, rows[:8] + rows[-8:], rows[:2])
    assert unseen.rows_seen(trainer.train_dataset["rubric"]) == {"large": 16, "small": 16}


def test_units_of_the_first_fold_come_first_and_hold_all_counts_and_seeds():
    planned = list(unseen.units(tiny=False))
    assert len(planned) == len(set(planned)) == 2 + 2 * 2 * 3 and len(unseen.units(tiny=True)) == 3
    folds = [unit for unit in planned if unit.startswith(" ".join(unseen.FOLDS[0]))]
    assert len(folds) == 6 and planned.index(folds[-1]) == 7
    assert {rubric for fold in unseen.FOLDS for rubric in fold} == set(shipped_rubrics())


def row_of(prompt, rubric, target, score, way=""):
    parts = {"follows": 1.0, "subject": 1.0, "language": 1.0, "overall": score / 50, "topic_rank": 1}
    text = f"A text about {prompt} in words that all can read, of the target {target}."
    told = {"prompt": prompt, "rubric": rubric, "target": target, "response": text, "score": score, "way": way}
    return told | parts | {"order_gain": None, "degenerate": False}


def test_texts_are_pooled_by_count_and_by_what_was_held_out(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    planned = unseen.units(tiny=False)
    for unit in planned:
        rows = []
        for prompt in ("one", "two", "three"):
            for rubric in shipped_rubrics():
                for target in (10, 50, 95):
                    held = unit.startswith(" ".join(unseen.FOLDS["chaos" in rubric]))
                    gone = 105 - target if held and ", 0 small" in unit else target
                    rows += [row_of(prompt, rubric, target, gone + len(prompt), way) for way in unseen.UNTUNED]
        measured.keep_texts("unseen", unit, rows)
        measured.add("unseen_units", unit, {"small": drawn(8, 42), "rows_seen": {"large": 500, "small": 700}})
    monkeypatch.setattr(unseen, "likeness", lambda judge: {})
    monkeypatch.setattr(unseen, "RESAMPLES", 20)
    found = unseen.assemble(list(planned))
    assert list(found["held_out"]) == list(found["trained"]) == ["0", "8", "16"]
    assert found["held_out"]["0"]["spearman_rho"] < 0 < 0.9 < found["held_out"]["16"]["spearman_rho"]
    assert found["trained"]["0"]["spearman_rho"] > 0.9 and set(found["untuned"]) == set(unseen.UNTUNED)
    assert found["held_out"]["8"]["texts"] == 3 * 4 * 3 * 2 * 2  # prompts, rubrics, targets, ways here, seeds
    assert len(found["small"]) == len(found["by_training"]) == len(found["rows_seen"]) == 12 and found["hardware"]
    assert -1 <= found["held_out"]["8"]["letters_rho"] <= 1 and len(found["held_out"]["8"]["letters_ci95"]) == 2
    assert all(rows == {"large": 500, "small": 700} for rows in found["rows_seen"].values())
    for unit, figures in found["by_training"].items():
        assert (figures["spearman_rho"] < 0) == (", 0 small" in unit) and figures["overall"] > 0
    shown = tables.unseen_table(measured.files.rounded(found))
    assert shown.count("<tr>") == 6 and "trained, 16 small" in shown and " to " in shown
    for name, rhos in tables.by_training(found).items():
        assert name.startswith(("Esoteric and Rococo, seed 4", "Chaos Cinema and Creative Chaos, "))
        assert rhos["0"] < 0 < rhos["8"] and list(rhos) == ["0", "8", "16"]
    assert len(tables.by_training(found)) == 4
    for rhos in tables.by_style(found).values():
        assert rhos["0"] < 0 < 0.9 < rhos["16"] and tables.in_a_row(rhos).endswith(" with 0 / 8 / 16 small")
    assert set(tables.by_style(found)) == set(shipped_rubrics())
    assert summary.scores_by_target()["0"] == pytest.approx({10: 98 + 2 / 3, 50: 58 + 2 / 3, 95: 13 + 2 / 3})
    assert summary.scores_by_target()["16"][95] == pytest.approx(98 + 2 / 3)
    shown = tables.targets_table(found)
    assert shown.count("<tr>") == 6 and ">13.7<" in shown and shown.count(">500<") == 3
    texts = tables.unseen_texts("esoteric rococo", "rococo")
    assert list(texts) == ["0", "16"] and all(row["target"] == 95 for row in texts.values())
    fig = drawings.draw_unseen(measured.files.rounded(found))
    assert fig.get_suptitle().startswith("New rubrics are followed better: rho -")
    assert len(fig.axes[0].lines) > 4


def test_the_likest_small_rubric_is_named_for_each_large_one():
    found = {"a": {"rococo": 10.0, "esoteric": 40.0}, "b": {"rococo": 20.0, "esoteric": 5.0}}
    assert tables.likest({"likeness": found}) == {"esoteric": ("a", 40.0), "rococo": ("b", 20.0)}


def test_a_finding_about_new_rubrics_asks_whether_the_intervals_lie_apart():
    def told(before, after):
        parts = {"0": before, "16": after}
        spans = {
            count: {"spearman_rho": sum(ends) / 2, "ci95": {"spearman_rho": ends}} for count, ends in parts.items()
        }
        return drawings.finding_unseen({"held_out": spans})

    assert told([0.1, 0.3], [0.4, 0.6]).startswith("New rubrics are followed better: rho 0.20 without")
    assert told([0.4, 0.6], [0.1, 0.3]).startswith("New rubrics are followed worse")
    assert told([0.1, 0.5], [0.4, 0.6]).startswith("No clear change")


def test_a_run_measures_what_is_missing_only_and_assembles_when_all_is_there(monkeypatch, tmp_path):
    ran = []

    def side_by_side(function, names, workers):
        for name in names:
            ran.append(name)
            yield name, {"figure": len(name), "written": [{"response": name}]}

    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    monkeypatch.setattr(measured, "side_by_side", side_by_side)
    arguments = ("kind", ["a", "bb", "c"], None, lambda: {"units": sorted(measured.so_far("kind_units"))})
    measured.resume(*arguments, only="b")
    assert ran == ["bb"] and not measured.so_far("kind")
    measured.resume(*arguments)
    assert ran == ["bb", "a", "c"] and measured.so_far("kind")["units"] == ["a", "bb", "c"]
    assert measured.so_far("kind_units")["bb"]["found"] == {"figure": 2}
    assert [row["response"] for row in measured.kept_texts("kind", "bb")] == ["bb"]


@pytest.mark.slow
def test_no_small_rubric_is_one_of_the_four_under_another_name():
    """Under no rubric of the series do the high texts of a small one come near its own target."""
    from benchmarks.beyond.small_rubrics import likeness
    from cpt_utils.judging import embedded_judge

    found = likeness(embedded_judge())
    assert set(found) == set(small_rubrics()) and {len(scores) for scores in found.values()} == {4}
    assert max(score for scores in found.values() for score in scores.values()) < 60


@pytest.mark.slow
def test_unseen_runs_at_its_tiny_size(monkeypatch, tmp_path):
    monkeypatch.setattr(running, "TINY", tmp_path)
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    running.run("unseen", "benchmarks.beyond.unseen", unseen.assemble, drawings.draw_unseen, ["--tiny"])
    found = measured.so_far("unseen")
    size = unseen.SIZES[True]["steps"] * unseen.settings().rows_per_batch
    assert {sum(seen.values()) for seen in found["rows_seen"].values()} == {size}
    assert set(found["held_out"]) == {"0", "8"} and (tmp_path / "unseen" / "unseen.png").exists()
