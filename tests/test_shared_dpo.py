"""The trainer for TRL that shares prompts: loss and gradients are TRL's, and it sees where it must not share."""

import ast
import copy
import logging
from importlib import metadata
from itertools import combinations

import pytest
import torch
from datasets import Dataset
from packaging.version import Version
from peft import LoraConfig
from transformers import AttentionInterface, AutoModelForCausalLM, GPTNeoXConfig, MambaConfig, MistralConfig
from trl import DPOConfig, DPOTrainer

from benchmarks import shared_dpo
from benchmarks.shared_dpo import SharedDPOTrainer, cheaper, mask_type, share
from cpt_utils.fast.packing import PackedCollator
from cpt_utils.fast.switch import small_model
from cpt_utils.runtime.files import ROOT

ONE, OTHER, LAST = [5, 6, 7, 8, 9, 10], [5, 6, 7, 8, 9, 11], [12, 13, 14]
A, B, C = [20, 21, 22], [23, 21, 24, 25, 26], [27]

ROUNDED = 1e-5
"""Of models whose norms compute in float32 whatever their weights are."""
EXACT = 1e-10 if Version(metadata.version("trl")) < Version("1.15") else ROUNDED
"""Of models in float64; from 1.15 on TRL's output layer rounds to float32."""


def row(prompt: list[int], chosen: list[int], rejected: list[int]) -> dict:
    return {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}


ROWS = {
    "mirrored": [row(ONE, A, B), row(OTHER, B, A)],
    "mirrored, three texts": [
        row(ONE, A, B),
        row(OTHER, B, A),
        row(ONE, A, C),
        row(LAST, C, A),
        row(OTHER, B, C),
        row(LAST, C, B),
    ],  # fmt: skip
    "one prompt, not mirrored": [row(ONE, A, B), row(ONE, A, C), row(ONE, B, C)],
    "one row": [row(ONE, A, B)],
    "prompts of one row each, padded": [row(ONE, A, B), row(ONE[:4], B, C), row(LAST, C, A)],
    "the same row twice, and two equal responses": [row(ONE, A, B), row(ONE, A, B), row(OTHER, A, A)],
    "responses that begin alike": [row(ONE, A, A[:2]), row(ONE, A[:1], [*A, 30])],
}
LOSSES = ["sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired"]
LOSSES += ["apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"]


def exact_model(seed: int):
    """A random model in float64 throughout: Llama's norms would round to float32."""
    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4
    )
    model = AutoModelForCausalLM.from_config(config).double()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(8)  # larger weights make its choices vary
    return model


def trainer(kind: type[DPOTrainer], tokenizer, folder, model, **options) -> DPOTrainer:
    """A trainer of a model in float64, none of whose rows are used."""
    text = {"prompt": "One", "chosen": " two", "rejected": " three"}
    settings = DPOConfig(
        str(folder), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", label_smoothing=0.1
    )
    return kind(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list([text]),
        processing_class=copy.deepcopy(tokenizer),
        **options,
    )


@pytest.fixture(scope="module")
def trainers(tokenizer, tmp_path_factory) -> list[DPOTrainer]:
    """TRL's trainer and the sharing one, with equal weights and an equal, different reference."""
    folder = tmp_path_factory.mktemp("shared")
    return [
        trainer(kind, tokenizer, folder, exact_model(0), ref_model=exact_model(1))
        for kind in (DPOTrainer, SharedDPOTrainer)
    ]


def done(which: DPOTrainer, rows: list[dict]) -> tuple[float, list[torch.Tensor], list[tuple[int, int]], dict]:
    """The loss of some rows, its gradients, the shapes that the policy was given, and TRL's metrics."""
    shapes = []
    layers = which.model.get_input_embeddings()
    hook = layers.register_forward_pre_hook(lambda module, args: shapes.append(tuple(args[0].shape)))
    which.model.train()
    which.model.zero_grad()
    which._metrics["train"].clear()
    try:
        loss = which.compute_loss(which.model, which.data_collator(rows))
    finally:
        hook.remove()
    loss.backward()
    gradients = [weight.grad.clone() for weight in which.model.parameters() if weight.requires_grad]
    return loss.item(), gradients, shapes, dict(which._metrics["train"])


def same(one: DPOTrainer, other: DPOTrainer, rows: list[dict], tolerance: float = EXACT) -> list[tuple[int, int]]:
    """Both give the same loss, gradients and metrics; the shapes that the second one computed."""
    expected, found = done(one, rows), done(other, rows)
    assert found[0] == pytest.approx(expected[0], rel=tolerance) and abs(expected[0]) > 1e-3
    largest = max(gradient.abs().max().item() for gradient in expected[1])
    assert largest > 1e-3
    for mine, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance * largest)
    assert found[3].keys() == expected[3].keys()
    for name, values in expected[3].items():
        if name != "num_tokens":  # counted on over all batches
            assert found[3][name] == pytest.approx(values, rel=max(tolerance, 1e-6), abs=tolerance), name
    return found[2]


@pytest.fixture
def always(monkeypatch):
    """Rows are shared, even where that is more."""
    monkeypatch.setattr(shared_dpo, "cheaper", lambda *args: True)


@pytest.mark.parametrize("name", ROWS)
def test_loss_gradients_and_metrics_are_those_of_trl_in_float64(trainers, always, name):
    rows = ROWS[name]
    (shape,) = same(*trainers, rows)[-1:]
    packed = PackedCollator(0)(rows)["input_ids"].shape
    prompts, longest = {tuple(r["prompt_ids"]) for r in rows}, max(len(r["prompt_ids"]) for r in rows)
    assert shape[0] == packed[0] == len(prompts), "a line for each distinct prompt"
    if all(len(prompt) == longest for prompt in prompts):
        assert shape[1] == packed[1] + 1, "as wide as the series' own lines, and a column of padding"


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_of_trl_is_the_same(trainers, always, monkeypatch, loss):
    for one in trainers:
        monkeypatch.setattr(one, "loss_types", [loss])
    same(*trainers, ROWS["mirrored, three texts"])


@pytest.mark.parametrize(
    "changes",
    [
        {"loss_types": ["sigmoid", "sft"], "loss_weights": [1.0, 0.3]},
        {"ld_alpha": 0.5},
        {"use_weighting": True},
        {"f_divergence_type": "forward_kl"},
        {"f_divergence_type": "js_divergence"},
    ],
)
def test_what_trl_adds_to_a_loss_is_the_same(trainers, always, monkeypatch, changes):
    for one in trainers:
        for name, value in changes.items():
            monkeypatch.setattr(one, name, value)
    same(*trainers, ROWS["one prompt, not mirrored"])


def test_a_reference_that_is_computed_before_training_is_the_same(trainers, always):
    stock, ours = trainers
    for rows in ROWS.values():
        batch = stock.data_collator(rows)
        found, expected = (one.compute_ref_log_probs(one.ref_model, batch) for one in (ours, stock))
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_with_an_adapter_and_checkpointing_and_with_attention_that_adds_its_mask(tokenizer, tmp_path, always):
    """The reference is the model without its adapter; "eager" takes numbers where SDPA takes yes and no."""
    both = []
    for kind in (DPOTrainer, SharedDPOTrainer):
        model = small_model(0).double()
        model.set_attn_implementation("eager")
        torch.manual_seed(3)
        lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
        both.append(trainer(kind, tokenizer, tmp_path, model, peft_config=lora))
        both[-1].model.double().gradient_checkpointing_enable()
    shapes = same(*both, ROWS["mirrored"], ROUNDED)
    assert shapes[-1] == (2, 14) and set(both[1]._mask_types.values()) == {"additive"}


def test_the_logits_that_an_evaluation_asks_for_are_those_of_trl(trainers, always):
    batch = trainers[0].data_collator(ROWS["mirrored"])
    real = batch["completion_mask"][:, 1:].bool()
    logits = [
        one.prediction_step(one.model, dict(batch), prediction_loss_only=False)[1][:, :-1][real] for one in trainers
    ]
    torch.testing.assert_close(*logits, rtol=1e-9, atol=1e-9)


def test_rows_of_which_lines_would_cost_more_go_trls_way(trainers):
    first, second = ([7 + place % 3 + place % step for place in range(30)] for step in (7, 11))
    rows = [row([5], first, second), row([6], second, first)]
    assert same(*trainers, rows)[-1] == (4, 31)
    assert cheaper(torch.empty(3, 200), torch.empty(12, 100), 32) and not cheaper(
        torch.empty(3, 900), torch.empty(12, 400), 32
    ), "long lines attend to themselves"


def test_batches_that_are_not_prompt_response_padding_are_left_alone(trainers):
    batch = trainers[0].data_collator(ROWS["mirrored, three texts"])
    assert share(batch) is not None
    turned = {name: tensor.flip(1) for name, tensor in batch.items()}
    holed = batch | {"completion_mask": batch["completion_mask"] * (batch["input_ids"] != 21)}
    cut = {name: tensor[:, 7:] for name, tensor in batch.items()}  # some lose all of their prompt
    assert share(turned) is share(holed) is share(cut) is None


def test_a_call_that_holds_more_than_tokens_is_left_alone(trainers, always):
    ours = trainers[1]
    batch = ours.data_collator(ROWS["mirrored"])
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with ours.sharing(batch), torch.no_grad():
        plain = ours.model(**given, output_hidden_states=True)
        assert plain.hidden_states[0].shape[:2] == batch["input_ids"].shape
        other = ours.model(input_ids=batch["input_ids"][:1])
        assert other.logits.shape[:2] == batch["input_ids"][:1].shape
    assert not ours.model._forward_hooks and not ours.model._forward_pre_hooks


def blind(module, query, key, value, attention_mask, **kwargs):
    """Attention that minds no mask, as FlashAttention does not mind one of four dimensions."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2), None


def test_a_model_that_does_not_mind_the_mask_is_found_and_computed_trls_way(tokenizer, tmp_path, caplog):
    AttentionInterface.register("blind", blind)
    both = []
    for kind in (DPOTrainer, SharedDPOTrainer):
        models = [small_model(seed).double() for seed in (0, 1)]
        for model in models:
            model.set_attn_implementation("blind")
        both.append(trainer(kind, tokenizer, tmp_path, models[0], ref_model=models[1]))
    with caplog.at_level(logging.WARNING):
        assert same(*both, ROWS["one row"], ROUNDED)[-1] == (2, 11)
    assert "does not take a 4-D attention mask (its results differ)" in caplog.text


def test_layers_without_attention_are_found(caplog):
    config = MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, state_size=4)
    with caplog.at_level(logging.WARNING):
        assert mask_type(AutoModelForCausalLM.from_config(config).eval(), half=False) == ""
    assert "Prompts are not shared" in caplog.text


def test_sequences_longer_than_a_sliding_window_go_trls_way(tokenizer, tmp_path, always):
    shape = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    for window, expected in ((12, (1, 14)), (8, (2, 11))):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(MistralConfig(sliding_window=window, **shape, **heads)).double()
        both = [
            trainer(kind, tokenizer, tmp_path, copy.deepcopy(model), ref_model=copy.deepcopy(model))
            for kind in (DPOTrainer, SharedDPOTrainer)
        ]
        for one in both:
            with torch.no_grad():
                one.ref_model.lm_head.weight.mul_(1.5)
        assert same(*both, ROWS["one row"], ROUNDED)[-1] == expected, window


def test_it_trains_and_evaluates_as_trl_does(tokenizer, tiny_model, tmp_path):
    """From texts to the end, with a reference computed before: the log is TRL's."""
    prompts = [f"Name three colours that one finds in a garden at {hour}, and say where:" for hour in ("noon", "night")]
    texts = [" red", " a blue one", " green and grey"]
    # All in one order: the gradients of mirrored rows would leave nothing but rounding before the first step.
    rows = [{"prompt": prompt, "chosen": a, "rejected": b} for prompt in prompts for a, b in combinations(texts, 2)]
    logs = []
    for kind in (DPOTrainer, SharedDPOTrainer):
        settings = DPOConfig(
            str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_steps=2, logging_steps=1, seed=1,
            per_device_train_batch_size=3, per_device_eval_batch_size=3, precompute_ref_log_probs=True,
            eval_strategy="steps", eval_steps=2, save_strategy="no", learning_rate=1e-2, disable_tqdm=True,
        )  # fmt: skip
        data = Dataset.from_list(rows)
        model = copy.deepcopy(tiny_model)
        one = kind(
            model=model, args=settings, train_dataset=data, eval_dataset=data, processing_class=copy.deepcopy(tokenizer)
        )
        one.train()
        logs.append(one.state.log_history)
    times = {name for line in logs[0] for name in line if "runtime" in name or "per_second" in name or "flos" in name}
    for expected, found in zip(*logs, strict=True):
        assert found.keys() == expected.keys()
        for name in expected.keys() - times:
            assert found[name] == pytest.approx(expected[name], rel=2e-3, abs=1e-5), name
    assert logs[0][1]["loss"] < logs[0][0]["loss"]


def test_the_file_stands_alone_and_is_short():
    text = (ROOT / "benchmarks" / "shared_dpo.py").read_text("utf-8")
    tops = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {(getattr(node, "module", None) or node.names[0].name).split(".")[0] for node in tops}
    assert names == {"logging", "contextlib", "torch", "trl"} and len(text.splitlines()) <= 250
    private = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    assert {name for name in private if name.startswith("_")} <= {"_mask_types", "__name__"}
