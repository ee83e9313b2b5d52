"""Steering vectors: where they are added, what they are made of, and that nothing is chosen on held-out prompts."""

import pytest
import torch
from test_decoding import sharpened

from benchmarks import ablation, steering
from cpt_utils.fast.decoding import generate
from cpt_utils.models.conversation import ChatModel
from cpt_utils.prompts import load_prompts, messages
from cpt_utils.rows import TARGETS

NEW = 12
TEXTS = ["One.", "Tell me more about rain, please, and do not stop.", "One.", "Why"]


@pytest.fixture
def model(tiny_model):
    return sharpened(tiny_model)


@pytest.fixture
def vector():
    return 30 * torch.randn(32, generator=torch.Generator().manual_seed(1))


def greedy(model, tokenizer, texts, layer=1, vector=None):
    """Greedy tokens (texts, NEW) by the series' own generation."""
    tokenizer.padding_side = "left"
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    with steering.steered(model, layer, torch.zeros(32) if vector is None else vector):
        return generate(model, batch, max_new_tokens=NEW, ends=[-1], pad_token_id=2)


@torch.no_grad()
def from_scratch(model, tokenizer, text, layer, vector):
    """The same for one text without a cache: whole passes, the vector added from the prompt's last token on."""
    ids = tokenizer(text)["input_ids"]
    last = len(ids) - 1
    for _ in range(NEW):

        def add(module, inputs, hidden):
            return torch.cat([hidden[:, :last], hidden[:, last:] + vector], 1)

        hook = model.model.layers[layer - 1].register_forward_hook(add)
        ids.append(model(torch.tensor([ids])).logits[0, -1].argmax().item())
        hook.remove()
    return ids[last + 1 :]


@pytest.mark.parametrize("layer", [1, 2])
def test_prefill_and_every_cached_token_are_steered_in_a_batch_as_alone(model, tokenizer, vector, layer):
    found = greedy(model, tokenizer, TEXTS, layer, vector).tolist()
    assert found == [from_scratch(model, tokenizer, text, layer, vector) for text in TEXTS]
    assert found[1] == greedy(model, tokenizer, [TEXTS[1]], layer, vector)[0].tolist()
    plain = greedy(model, tokenizer, TEXTS).tolist()
    assert all(one != other for one, other in zip(found, plain))


def test_strength_zero_changes_nothing(model, tokenizer):
    tokenizer.padding_side = "left"
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    plain = generate(model, batch, max_new_tokens=NEW, ends=[-1], pad_token_id=2)
    assert greedy(model, tokenizer, TEXTS).tolist() == plain.tolist()


@torch.no_grad()
def entering(model, layer, tokens=(5, 9, 7, 11)):
    """The states (tokens, width) that enter a layer, and the last token's logits."""
    states = []
    watch = model.model.layers[layer - 1].register_forward_pre_hook(lambda module, inputs: states.append(inputs[0][0]))
    logits = model(torch.tensor([tokens])).logits[0, -1]
    watch.remove()
    return states[0], logits


def test_only_the_newest_position_moves_after_the_layer_and_the_hook_goes(model, vector):
    first, second, logits = entering(model, 1)[0], *entering(model, 2)
    with pytest.raises(KeyboardInterrupt), steering.steered(model, 1, vector):
        moved_first, moved_second, moved_logits = entering(model, 1)[0], *entering(model, 2)
        raise KeyboardInterrupt
    assert torch.equal(first, moved_first) and torch.equal(second[:-1], moved_second[:-1])
    torch.testing.assert_close(moved_second[-1] - second[-1], vector)
    assert (moved_logits - logits).abs().max() > 0.1 and torch.equal(entering(model, 2)[1], logits)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_vector_is_what_lies_between_high_and_low_texts_for_each_point(model, tokenizer, monkeypatch):
    def row(target, response):
        return {"prompt": "Why?", "rubric": "rococo", "target": target, "response": response}

    recorded = [row(95, "Oh golden, gilded rain"), row(95, "Silk"), row(50, "Some rain"), row(10, "Rain. It rains.")]
    asked = []
    monkeypatch.setattr(steering, "load_responses", lambda heldout: asked.append(heldout) or recorded)
    monkeypatch.setattr(steering, "RUBRICS", ["rococo"])
    found = steering.diff_means(ChatModel(model, tokenizer, "tiny"), (1,))["rococo"][1]
    start = tokenizer.apply_chat_template(messages("Why?"), tokenize=False, add_generation_prompt=True)
    length, means = len(tokenizer(start)["input_ids"]), {}
    for one in recorded:
        with torch.no_grad():
            ids = tokenizer(start + one["response"], return_tensors="pt")["input_ids"]
            states = model(ids, output_hidden_states=True).hidden_states[1][0, length:]
        means.setdefault(one["target"], []).append(states.mean(0))
    high, low = (torch.stack(means[target]).mean(0) for target in (95, 10))
    torch.testing.assert_close(found, (high - low) / 85, atol=1e-5, rtol=1e-4)
    assert asked == [False]


def test_a_target_moves_by_its_distance_from_what_the_model_scores_itself(model, tokenizer, monkeypatch):
    seen = []

    def answers(chat_model, tasks, profile):
        seen.append(
            (
                entering(chat_model.model, 2)[0][-1],
                profile.seed,
                {(task["rubric"], task["target"]) for task in tasks},
                len(tasks),
            )
        )
        return tasks

    monkeypatch.setattr(steering, "answers", answers)
    base = ChatModel(model, tokenizer, "tiny")
    vectors = {rubric: {1: torch.full((32,), 1.0 + i)} for i, rubric in enumerate(steering.RUBRICS)}
    own = {rubric: 50.0 for rubric in steering.RUBRICS}
    tasks = steering.tasks_of(["One?", "Two?"], prompted=False)
    assert len(steering.steered_answers(base, vectors, own, tasks, layer=1, strength=2.0, seed=7)) == len(tasks) == 24
    cells = [(rubric, target) for rubric in steering.RUBRICS for target in TARGETS.values()]
    assert [found[2:] for found in seen] == [({cell}, 2) for cell in cells]
    assert len({seed for _, seed, *_ in seen}) == 12 and all("system" not in t or not t["system"] for t in tasks)
    plain = seen[1][0]  # the target is 50, as the model's own score: nothing is added
    for (states, *_), (rubric, target) in zip(seen, cells):
        torch.testing.assert_close(states - plain, 2 * (target - 50) * vectors[rubric][1], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("prompted", [False, True])
def test_layer_and_strength_are_chosen_on_training_prompts_and_measured_once(prompted, monkeypatch):
    held = {prompt["prompt"] for prompt in load_prompts(heldout=True)}
    assert len(steering.CHOOSING) == 4 and set(steering.PROMPTS) <= held and not held & set(steering.CHOOSING)
    calls = []

    def steered_answers(base, vectors, own, tasks, layer, strength, seed):
        calls.append(({task["prompt"] for task in tasks}, layer, strength, seed))
        assert all(bool(task["system"]) == prompted for task in tasks)
        return [{"score": 20.0, "overall": 2 - abs(layer - 14) / 20 - abs(strength - 2) / 9}]

    def answers(base, tasks, profile):
        assert {task["prompt"] for task in tasks} == set(steering.CHOOSING)
        return [{"rubric": rubric, "score": score} for rubric in steering.RUBRICS for score in (20.0, None, 40.0)]

    monkeypatch.setattr(steering, "base_model", lambda: None)
    monkeypatch.setattr(steering, "diff_means", lambda base, layers: {})
    monkeypatch.setattr(steering, "steered_answers", steered_answers)
    monkeypatch.setattr(steering, "answers", answers)
    monkeypatch.setattr(steering, "rank_metrics", lambda rows: {"accuracy": 0.5})
    monkeypatch.setattr(steering, "with_sense", lambda rows, base: rows)
    monkeypatch.setattr(steering, "scored", lambda rows, base: {"accuracy": 0.5})
    found = steering.steering(prompted)
    points = len(steering.LAYERS) * len(steering.STRENGTHS)
    assert found["chosen"] == {"layer": 14, "strength": 2.0} and len(found["grid"]) == points
    assert found["own"] == dict.fromkeys(steering.RUBRICS, 30.0)  # what the judge could not read has no say
    assert {frozenset(prompts) for prompts, *_ in calls[:points]} == {frozenset(steering.CHOOSING)}
    assert calls[points:] == [(set(steering.PROMPTS), 14, 2.0, seed) for seed in ablation.SEEDS]
    assert found["runs"] == [{"accuracy": 0.5}] * len(ablation.SEEDS)


def test_texts_that_the_judge_cannot_read_do_not_win_the_choice(monkeypatch):
    row = {"rubric": "rococo", "target": 95, "degenerate": False, "topic_rank": 1, "order_gain": 2.0}
    row |= dict.fromkeys(("follows", "subject", "language"), 2.0)
    read, unread = row | {"score": 90.0, "overall": 1.8}, row | {"score": None, "overall": None}
    monkeypatch.setattr(steering, "with_sense", lambda rows, base: rows)
    for rows, overall in (([read, unread, unread], 0.6), ([unread], 0.0)):
        monkeypatch.setattr(steering, "steered_answers", lambda *arguments, rows=rows: rows)
        point = steering.grid_point(None, {}, {}, False, 6, 3.0)
        assert point["overall"] == pytest.approx(overall)
        assert point["unjudged"] == len(rows) - rows.count(read) and ("accuracy" in point) == (read in rows)


def test_steered_ways_are_units_and_stand_among_the_methods(monkeypatch):
    from benchmarks.units import UNITS

    ways = {name: planned for name, planned in ablation.units().items() if planned[0] == "steering"}
    assert ways == {"steering alone": ("steering", False), "steering prompted": ("steering", True)}
    assert UNITS["steering"] is steering.steering
    ranks = {name: 0.5 for name in (*ablation.METRICS, *ablation.SENSE)}
    run = ranks | {"second_judge": ranks, "side_effects": {"mean_words": 90.0}}
    units = {f"untrained {seed}": {"base": run, "base, 3 examples": run} for seed in ablation.SEEDS}
    units |= {f"best base {seed}": {"picked": {"4": run}} for seed in ablation.SEEDS}
    units[f"best base {ablation.SEEDS[0]}"]["picked"]["16"] = run  # of the first seed alone
    for number, name in enumerate(ways):
        runs = [run | {"spearman_rho": 0.1 * number + 0.01 * seed, "overall": 0.3} for seed in (1, 2, 3)]
        units[name] = {"chosen": {"layer": 14, "strength": 2.0}, "grid": [], "own": {}, "runs": runs}
    monkeypatch.setattr(ablation, "kept", units.get)
    monkeypatch.setattr(ablation, "full_recipe", lambda: [run])
    methods = ablation.all_methods({})
    assert methods["base, steering vector"]["spearman_rho"] == pytest.approx([0.02, 0.01])
    assert methods["base, steering + system"]["spearman_rho"] == pytest.approx([0.12, 0.01])
    assert methods["base, steering vector"]["overall"] == pytest.approx([0.3, 0.0])
    assert [methods[f"base, best of {n}"]["runs"] for n in (4, 16)] == [len(ablation.SEEDS), 1]
    assert set(ablation.chosen_of(units["steering alone"])) == {"chosen", "grid", "own"}
    assert max(map(len, methods)) <= 26  # the table's first column
