import itertools
import json
import math
import types

import numpy as np
import pytest

from cpt_utils import evaluation
from cpt_utils.evaluation import (
    best_of_n,
    criterion_means,
    evaluation_tasks,
    nearest_target,
    preference_accuracy,
    preference_margins,
    side_effects,
    steerability,
)
from cpt_utils.judging import Judgement
from cpt_utils.measures import repetition
from cpt_utils.models.logps import perplexity
from cpt_utils.runtime.errors import PairError
from cpt_utils.sense import copied


def graded(score, rubrics=("rococo", "esoteric"), prompts=8, degenerate=False):
    return [
        {**task, "score": score(i, task), "degenerate": degenerate}
        for i, task in enumerate(evaluation_tasks([f"p{n}" for n in range(prompts)], list(rubrics)))
    ]


def test_a_model_that_hits_every_target():
    found = steerability(graded(lambda i, t: t["target"]), resamples=50)
    assert [found[k] for k in ("accuracy", "kendall_tau", "spearman_rho")] == pytest.approx([1, 1, 1])
    assert found["ci95"]["accuracy"] == [1.0, 1.0] and found["texts"] == 48


def test_a_model_that_ignores_its_system_prompt():
    noise = np.random.default_rng(0).uniform(0, 100, 1000)
    found = steerability(graded(lambda i, t: noise[i], prompts=40), resamples=200)
    low, high = found["ci95"]["spearman_rho"]
    assert low < 0 < high and abs(found["spearman_rho"]) < 0.2 and found["accuracy"] < 0.45
    constant = steerability(graded(lambda i, t: 50.0), resamples=10)
    assert constant["spearman_rho"] == 0 and constant["accuracy"] == pytest.approx(1 / 3)


def test_a_degenerate_text_is_never_a_success():
    assert steerability(graded(lambda i, t: t["target"], degenerate=True), resamples=10)["accuracy"] == 0


@pytest.mark.parametrize("texts", [1, 2, 8, 40])
def test_no_rho_is_higher_than_that_of_scores_in_perfect_order(texts):
    found = steerability(graded(lambda i, t: t["target"] + i / 1000, ("rococo",), texts), resamples=0)
    assert found["spearman_rho"] == pytest.approx(evaluation.highest_rho(texts))


def test_means_of_a_criterion_are_over_its_own_scores_and_targets():
    parts = {"a": {"Short breath": 20.0}, "b": {"Short breath": 40.0, "Doubt": 8.0, "Strange": 1.0}, "silent": {}}
    parts["a"]["Doubt"] = math.nan

    class Judge:
        def score(self, rubric, prompt, response):
            return Judgement(50.0, False, parts[response])

    rubric = types.SimpleNamespace(criteria=[types.SimpleNamespace(name=name) for name in ("Doubt", "Short breath")])
    rows = [{"prompt": "p", "target": target, "response": text} for target, text in ((95, "a"), (10, "b"), (10, "a"))]
    found = criterion_means(Judge(), rubric, [*rows, {"prompt": "p", "target": 50, "response": "silent"}])
    assert found == {"Doubt": {"low": 8.0}, "Short breath": {"low": 30.0, "high": 20.0}}
    assert list(found) == ["Doubt", "Short breath"] and list(found["Short breath"]) == ["low", "high"]


def test_invented_words_and_recited_runs_are_told_in_percent(monkeypatch):
    monkeypatch.setattr(evaluation, "perplexity", lambda model, texts: 7.0)
    plain = "the cat sat on the mat in the sun"
    effects = side_effects([plain, "blorfed the quimmest zandle"], None, [plain + " all day"])
    assert effects["unknown_percent"] == pytest.approx((0 + 75) / 2) and effects["copied_percent"] == 100
    assert side_effects(["the dog ran off with the red ball"], None, [plain])["copied_percent"] == 0
    assert "copied_percent" not in side_effects([plain], None) and side_effects([plain], None)["unknown_percent"] == 0


def test_macro_averages_rubrics_that_pooling_would_hide():
    """Each rubric is ordered, but on scales so far apart that the pooled ranks say less."""
    shift = {"rococo": 0.0, "esoteric": 0.5}
    found = steerability(graded(lambda i, t: t["target"] / 250 + shift[t["rubric"]]), resamples=10)
    assert found["spearman_rho"] == pytest.approx(1) and found["pooled"]["spearman_rho"] < 0.7


def test_three_tied_targets_stay_below_one():
    jitter = np.random.default_rng(0).normal(0, 1, 500)
    found = steerability(graded(lambda i, t: t["target"] + jitter[i], prompts=80), resamples=5)
    assert found["spearman_rho"] == pytest.approx(0.943, abs=0.003)
    assert found["kendall_tau"] == pytest.approx(0.82, abs=0.02)


def test_the_interval_of_a_perfect_ranking_has_no_width():
    """Texts that a bootstrap draws twice are no ties: they would move its interval."""
    jitter = np.random.default_rng(0).normal(0, 1, 500)
    found = steerability(graded(lambda i, t: t["target"] + jitter[i], prompts=6), resamples=50)
    assert found["ci95"]["kendall_tau"] == [pytest.approx(found["kendall_tau"])] * 2
    assert found["ci95"]["spearman_rho"] == [pytest.approx(found["spearman_rho"])] * 2


def test_copied_counts_runs_of_words_that_a_source_holds():
    source = "The rain, it fell on the old roof all night."
    assert copied([source], [source]) == 1 and copied(["the rain it fell on"], [source]) == 1
    assert copied(["the rain it fell on a new roof"], [source]) == pytest.approx(1 / 4)
    assert copied(["rain"], [source]) == 0 and copied([source], []) == 0


def test_nearest_target():
    assert [nearest_target(s) for s in (0, 29, 31, 72, 73, 100)] == [10, 10, 50, 50, 95, 95]


def test_preference_accuracy_needs_both_rows_of_a_pair():
    for margins in (np.ones(3), np.ones(5)):
        with pytest.raises(PairError, match="no mirrored pairs"):
            preference_accuracy(margins)
    found = preference_accuracy(np.array([1.0, 2.0, 3.0, -1.0, 5.0, -0.1]))
    assert found == {"accuracy": pytest.approx(4 / 6), "both_directions": pytest.approx(1 / 3)}


def test_preference_margins_match_the_log_probabilities(tiny_model, tokenizer, rows):
    import torch

    from cpt_utils.models.conversation import ChatModel

    margins = preference_margins(ChatModel(tiny_model, tokenizer, "tiny"), rows[:4])
    expected = []
    for row in rows[:4]:
        sides = []
        for side in ("chosen", "rejected"):

            def ids(t, **kw):
                return tokenizer.apply_chat_template(t, tokenize=True, return_dict=False, **kw)

            start = len(ids(row["prompt"], add_generation_prompt=True))
            sequence = torch.tensor([ids(row["prompt"] + row[side])])
            every = tiny_model(sequence).logits[0, :-1].log_softmax(-1)
            sides.append(sum(every[i, sequence[0, i + 1]] for i in range(start - 1, sequence.shape[1] - 1)))
        expected.append((sides[0] - sides[1]).item())
    np.testing.assert_allclose(margins, expected, rtol=0.02, atol=2.0)  # bf16 autocast


def test_perplexity_is_that_of_every_token_after_the_first(tiny_model, tokenizer):
    import torch

    from cpt_utils.models.conversation import ChatModel

    texts = ["A short one.", "", "Another text, which is a good deal longer than the first."]
    losses = []
    for text in filter(None, texts):
        ids = tokenizer(tokenizer.eos_token + text, return_tensors="pt")["input_ids"][0]
        logits = tiny_model(ids[None]).logits[0, :-1]
        losses += torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none").tolist()
    found = perplexity(ChatModel(tiny_model, tokenizer, "tiny"), texts)
    assert found == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)


def test_best_of_n_equals_all_subsets():
    rng = np.random.default_rng(0)
    scores, targets = rng.uniform(0, 100, (4, 5)), np.array([10, 50, 95, 95])
    for n in (1, 2, 5):
        subsets = [
            np.abs(scores[i, list(s)] - targets[i]).min() for i in range(4) for s in itertools.combinations(range(5), n)
        ]
        assert best_of_n(scores, targets, n) == pytest.approx(np.mean(subsets))


def test_repetition():
    assert repetition("one two three four five six") == 0
    assert repetition("a b c d a b c d a b c d") > 0.5
    assert repetition("") == 0


def test_unjudged_texts_are_left_out_and_counted():
    some = graded(lambda i, t: None if i % 4 == 0 else t["target"])
    found = steerability(some, resamples=5)
    assert found["unjudged"] == 12 and found["texts"] == 36 and found["accuracy"] == 1


def test_rounding_keeps_the_size_of_tiny_numbers():
    from cpt_utils.runtime.files import rounded

    assert rounded({1: [0.12345, 1.31e-6, 0.0, 7]}) == {"1": [0.1235, 1e-6, 0.0, 7]}
    odd = (float("nan"), np.float32(0.5), np.array([1, 2]), -math.inf)
    assert rounded(odd) == [None, 0.5, [1, 2], None] and json.dumps(rounded(odd), allow_nan=False)
