"""The comparisons: what they measure (small, exact cases), and the committed results that notebook 08 draws."""

import re
import types

import numpy as np
import pytest
import torch

from benchmarks import comparisons, drawings
from cpt_utils.plotting import LABELS
from cpt_utils.prompts import load_responses
from cpt_utils.runtime.profiles import load_profile

FOUND = comparisons.load_comparisons()


def test_gradients_of_mirrored_rows_are_taken_apart():
    from benchmarks.gradients import alignment

    torch.manual_seed(0)
    both, alone = torch.randn(64), torch.randn(24, 64) * 3
    each = torch.stack([both + alone, both - alone], 1)  # what the system prompt wants, and what it does not
    found = alignment(each.unflatten(0, (8, 3)))
    expected = alone.square().sum(1) / (alone.square().sum(1) + both.square().sum())
    assert found["unconditional_share"][0] == pytest.approx(expected.mean().item(), abs=0.05)
    assert found["aim"]["mirrored"][0] > 0.999 > 0.8 > found["aim"]["shuffled"][0]
    assert found["cosine"][0] < -0.5


def test_the_second_judge_ranks_texts_of_prompts_it_has_not_seen():
    from scipy.stats import spearmanr

    from benchmarks.second_judge import ngram_judge, tricks

    held = load_responses(heldout=True)
    for rubric in LABELS:
        mine = [row for row in held if row["rubric"] == rubric]
        scores = [ngram_judge().score(rubric, row["prompt"], row["response"]).score for row in mine]
        assert spearmanr(scores, [row["target"] for row in mine])[0] > 0.7
    high = [row for row in held if (row["rubric"], row["target"]) == ("rococo", 95)]
    made = tricks("rococo", high, high)
    assert sorted(made["its words, shuffled"][0].split()) == sorted(high[0]["response"].split())
    assert {len(texts) for texts in made.values()} == {18}


def test_a_chat_model_stands_trial_too_and_what_it_does_not_answer_is_left_out(monkeypatch):
    from benchmarks import second_judge
    from cpt_utils.llm_judging import LLMJudge

    monkeypatch.setenv("CPT_ENDPOINT", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("CPT_MODEL", "m")
    called = second_judge.judges()
    assert list(called) == ["style", "letters", "llm"]

    def answer(conversations):  # longer texts are better, and texts with a number are too hard to judge
        text = re.split("=====.*=====\n", conversations[0][1]["content"])[-2]
        return ["?" if re.search("[0-9]", text) else f'{{"score": {min(len(text) / 8, 100):.1f}}}']

    called["llm"] = LLMJudge(answer, retries=0)
    monkeypatch.setattr(second_judge, "judges", lambda: called)
    prompts = {row["prompt"]: None for row in load_responses(heldout=True)}
    held = [row for row in load_responses(heldout=True) if row["prompt"] in [*prompts][:6]]
    monkeypatch.setattr(second_judge, "load_responses", lambda heldout: held)
    found = second_judge.trial([{**row, "model": model} for row in held for model in ("base", "cpt")])
    assert found["heldout"]["llm"]["rococo"]["spearman_rho"] < found["heldout"]["style"]["rococo"]["spearman_rho"]
    asked = sum(not re.search("[0-9]", row["response"]) for row in held if row["rubric"] == "rococo")
    assert sum(map(sum, found["confusion"]["llm"]["rococo"])) == asked < 18
    twice = found["tricks"]["two such texts in a row"]["llm"]["rococo"]["score"]
    assert twice > found["tricks"]["the text itself"]["llm"]["rococo"]["score"]
    assert set(found["agreement"]) == {"letters", "llm"} and -1 <= found["agreement"]["llm"]["cpt"]["rococo"] <= 1
    assert len(drawings.draw_judge(found).axes[0].get_legend().get_texts()) == 3


def test_shuffled_rows_differ_from_mirrored_ones_in_their_order_only():
    from benchmarks.trainings import ShuffledDPOTrainer
    from cpt_utils.training import MirroredDPOTrainer

    assert ShuffledDPOTrainer.compute_loss is MirroredDPOTrainer.compute_loss
    settings = types.SimpleNamespace(per_device_train_batch_size=6)
    together = {kind: kind.rows_together(settings) for kind in (MirroredDPOTrainer, ShuffledDPOTrainer)}
    assert together == {MirroredDPOTrainer: 6, ShuffledDPOTrainer: 1}


def test_a_ranking_depends_on_the_judge_only_beyond_the_spread_of_seeds():
    def way(one, two, spread):
        return {"spearman_rho": [one, spread], "second_spearman_rho": [two, spread]}

    assert comparisons.judge_dependent({"a": way(0.8, 0.4, 0.02), "b": way(0.5, 0.6, 0.02)}) == ["a / b"]
    assert comparisons.judge_dependent({"a": way(0.8, 0.4, 0.2), "b": way(0.5, 0.6, 0.2)}) == []
    assert comparisons.judge_dependent({"a": way(0.8, 0.7, 0.02), "b": way(0.5, 0.6, 0.02)}) == []


def test_guidance_at_one_leaves_the_logits_as_they_are_and_keeps_their_scale(tiny_model):
    from cpt_utils.models.guidance import Guidance

    ids, low = torch.tensor([[3, 4, 5]]), torch.tensor([[3, 9]])
    with torch.no_grad():
        logits, other = tiny_model(ids).logits[:, -1], tiny_model(low).logits[:, -1]
        guided = [Guidance(s, tiny_model, low, torch.ones_like(low))(ids, logits) for s in (1.0, 0.0, 0.5)]
    torch.testing.assert_close(guided[0], logits)
    torch.testing.assert_close(guided[1].softmax(-1), other.softmax(-1))
    middle = (logits.log_softmax(-1) + other.log_softmax(-1)) / 2
    torch.testing.assert_close(guided[2].softmax(-1), middle.softmax(-1))


def test_every_measurement_is_committed_with_its_versions():
    from benchmarks.ablation import TRAINED, units

    assert FOUND["hardware"] and FOUND["versions"]["trl"] and "make ablation" in FOUND["how"]
    assert {name for _, name, *_ in [u for u in units().values() if u[0] == "method"]} == set(TRAINED)
    for way in TRAINED:
        assert f"{FOUND['methods'][way]['runs']} seeds" in FOUND["how"]
    runs = {name: measured["runs"] for name, measured in FOUND["methods"].items()}
    assert runs.pop("base, best of 16") == 1 and set(runs.values()) == {3}  # sixteen tries were drawn for one seed
    assert set(FOUND["generalisation"]["left_out"]) == set(FOUND["generalisation"]["between"]) == set(LABELS)
    assert set(FOUND["best_of_n"]["cpt"]) == {"all", *LABELS}


def test_texts_are_taken_out_of_what_a_unit_found():
    from benchmarks.measured import take_texts

    found = {"runs": [{"texts": 2, "written": [1, 2]}, {"written": [3]}], "curve": {"rows": [4]}, "written": [5]}
    assert sorted(take_texts(found)) == [1, 2, 3, 5]
    assert found == {"runs": [{"texts": 2}, {}], "curve": {"rows": [4]}}


def test_the_best_of_the_base_models_tries_is_chosen_by_the_overall_score(monkeypatch):
    from benchmarks import units

    task = {"prompt": units.PROMPTS[0], "rubric": "rococo", "target": 95, "degenerate": False}
    rows = [task | {"score": 90.0, "overall": score, "sample": n} for n, score in enumerate((0.4, None, 0.9, 0.0, 1.5))]
    monkeypatch.setattr(units, "base_model", lambda: None)
    monkeypatch.setattr(units, "answers", lambda model, tasks, profile, samples: rows)
    monkeypatch.setattr(units, "with_sense", lambda rows, base, folder: rows)
    monkeypatch.setattr(units, "best_curves", lambda rows: {})
    monkeypatch.setattr(units, "scored", lambda rows, base: {"chosen": [r["sample"] for r in rows], "written": rows})
    found = units.best_base(42, 4)
    assert found["picked"] == {4: {"chosen": [2]}} and found["written"] == rows
    assert units.best_base(42, 16)["picked"][16] == {"chosen": [4]}


def test_the_table_shows_every_method_in_one_row_and_no_missing_number():
    table = comparisons.methods_table(FOUND["methods"] | {"<b>": {}})
    rows = re.findall(r"<tr>.*?</tr>", table)
    assert len(rows) == 2 + len(FOUND["methods"]) and len({row.count("</t") for row in rows}) == 1
    assert "&lt;b&gt;" in rows[-1] and not re.search("nan|None", table)
    assert ">word-order gain<" in rows[0] and ">degenerate<" in rows[0]  # one name for each, as everywhere


@pytest.mark.parametrize(
    "name, part",
    [("methods",) * 2, ("curves",) * 2, ("generalisation",) * 2, ("dial",) * 2, ("best_of_n",) * 2, ("judge",) * 2],
)
def test_every_figure_draws_what_was_measured(name, part, monkeypatch):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    more = [FOUND["rates"]] if name == "curves" else []
    fig = getattr(drawings, f"draw_{name}")(FOUND[part], *more)
    numbers = np.concatenate([line.get_xydata().ravel() for axis in fig.axes for line in axis.lines])
    assert np.isfinite(numbers.astype(float)).sum() > 8
    plt.close(fig)


@pytest.mark.parametrize(
    "claims, shuffled, flagged, finding",
    [
        (19, 80, 0.0, "Shuffled words (80 points) fool the judge, claims (19 points) do not"),
        (80, 19, 0.0, "Claims (80 points) fool the judge, shuffled words (19 points) do not"),
        (90, 80, 0.0, "Claims (90 points) and shuffled words (80 points) fool the judge"),
        (19, 40, 0.0, "Neither claims (19 points) nor shuffled words (40 points) fool the judge"),
        (19, 80, 1.0, "Neither claims (19 points) nor shuffled words (80 points, flagged) fool the judge"),
    ],
)
def test_the_finding_about_tricks_follows_their_scores_and_flags(claims, shuffled, flagged, finding):
    found = {"a plain text that claims the style": (claims, 0.0), "its words, shuffled": (shuffled, flagged)}
    tricks = {t: {"style": {"rococo": {"score": score, "flagged": flag}}} for t, (score, flag) in found.items()}
    assert comparisons.finding_judge({"tricks": tricks}) == finding


def test_trials_of_the_recipe_are_valid_profiles_and_committed_with_their_settings():
    from benchmarks.measured import result
    from benchmarks.recipe import TRIALS, kept_aside

    told = result("recipe")
    assert told["trials"].keys() <= TRIALS.keys() and len(set(kept_aside())) == 9
    for changes in TRIALS.values():
        load_profile("embedded").replace(**{k: v for k, v in changes.items() if k not in ("corpus", "texts", "rows")})
    for name, found in told["trials"].items():
        assert found["settings"] == TRIALS[name] and 0 <= found["overall"] <= 2
        assert found["hardware"] in told["hardware"]
    for found in (*told["trials"].values(), *told["former"]["trials"].values()):
        assert -1 <= found["spearman_rho"] <= 1 and 0 <= found["degenerate_rate"] <= 1


def test_of_a_students_tries_the_best_by_its_strictest_judge_is_kept():
    from benchmarks import student_texts

    task = {"prompt": "p", "rubric": "rococo", "target": 95, "degenerate": False, "subject": 2.0, "language": 2.0}

    def a_try(response, **scores):
        return task | {"response": response, "scores": scores}

    praised = a_try("one judge's darling", both=95.0, style=95.0, meaning=50.0)
    fair, unread = (
        a_try("fair", both=80.0, style=85.0, meaning=80.0),
        a_try("unread", both=None, style=90.0, meaning=95.0),
    )
    broken = a_try("broken", both=95.0, style=95.0, meaning=95.0) | {"degenerate": True}
    assert [row["response"] for row in student_texts.best([praised, fair, unread, broken])] == ["fair"]
    assert student_texts.best([unread, broken, fair | {"subject": 0.0}]) == []
    lost = fair | {"target": 10}
    assert [
        row["target"] for row in student_texts.best([fair, lost | {"scores": dict.fromkeys(fair["scores"], 12.0)}])
    ] == [95, 10]


def test_the_sets_of_a_trial_are_paired_apart(monkeypatch):
    from benchmarks import recipe, student_texts
    from cpt_utils.prompts import load_responses

    own = [row | {"response": "Mine. " + row["response"], "model": "s"} for row in load_responses(heldout=False)]
    monkeypatch.setattr(student_texts, "chosen", lambda: own)
    recorded, mine = recipe.texts_of("both")
    assert (recorded, mine) == (recipe.texts_of("recorded")[0], recipe.texts_of("the student")[0])
    rows = recipe.rows_of(mine, "blocks", 42)
    assert rows and all(row[side][0]["content"].startswith("Mine. ") for row in rows for side in ("chosen", "rejected"))


def test_trials_see_neither_held_out_prompts_nor_those_kept_aside():
    from benchmarks.recipe import hands, kept_aside
    from cpt_utils.prompts import load_corpus, load_prompts

    hidden = {prompt["prompt"] for prompt in load_prompts(heldout=True)}
    hidden |= {row["prompt"] for row in load_corpus(heldout=True)}
    assert not hidden & {*kept_aside(), *(row["prompt"] for row in hands())}


def test_a_text_that_the_judge_cannot_read_has_no_part_in_a_mean_and_is_far_from_every_target():
    from benchmarks.answers import by_prompt
    from benchmarks.units import MISS, miss

    mean, error = by_prompt([10.0, None, 30.0, 50.0, None], ["a", "a", "b", "b", "c"])
    assert mean == pytest.approx(25) and error == pytest.approx(15)
    assert miss({"score": None, "degenerate": False, "target": 10}) == MISS
    assert miss({"score": 30.0, "degenerate": False, "target": 10}) == 20
