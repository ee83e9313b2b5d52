"""A small training beside a notebook's own, with one setting varied; the model is afterwards as it was before.

Two rows a step, of one rubric, with targets far apart and only the first tokens of their texts: such a step costs
a fifth of one with eight rows and longer texts, and the whole experiment about that of five.
"""

import time
from contextlib import contextmanager

import torch
from peft.tuners.lora import LoraLayer
from tqdm import tqdm

from cpt_utils.blocks import training_order
from cpt_utils.checkpoints import check_settings
from cpt_utils.dpo import dpo_loss
from cpt_utils.models.logps import SIDES, row_tokens
from cpt_utils.rows import TARGETS, PreferenceRow
from cpt_utils.runtime.errors import PairError
from cpt_utils.training import PairedDPOTrainer, cast_once, pair_logps

STEPS, TRAIN_PAIRS, HELD_PAIRS, TOKENS = 16, 12, 6, 16


def short_pairs(tokenizer, rows: list[PreferenceRow], rubric: str, pairs: int) -> list[dict]:
    """Tokens (logps.row_tokens) of a rubric's first pairs mirrored over a low and a high system prompt, two rows each.

    Of each text only the first TOKENS are kept.
    """
    ends, found = {TARGETS["low"], TARGETS["high"], None}, []  # None: rows of the release name no target
    for one, other in zip(rows[::2], rows[1::2]):
        mirrored = one["chosen"] == other["rejected"] and one["prompt"][-1] == other["prompt"][-1]
        far = {one["chosen_target"], one["rejected_target"]} <= ends
        if mirrored and far and one["rubric"] == rubric:
            found += [one, other]
    if not found:
        raise PairError(
            f"No pair of {rubric!r} is mirrored over a low and a high system prompt: run notebook 03 again."
        )
    tokens = [row_tokens(tokenizer, row) for row in found[: 2 * pairs]]
    return [row | {f"{side}_ids": row[f"{side}_ids"][:TOKENS] for side in SIDES} for row in tokens]


@contextmanager
def fresh_adapter(model, seed: int):
    """Inside, the LoRA weights, which it gives, are as before any training; afterwards they are what they were."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    kept, was_training = [weight.detach().clone() for weight in weights], model.training
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for layer in model.modules():
                if isinstance(layer, LoraLayer):
                    layer.reset_lora_parameters(model.active_adapter, True)
        yield weights
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, kept, strict=True):
                weight.copy_(value)
                weight.grad = None
        model.train(was_training)


def small_training(
    trainer: PairedDPOTrainer, rows: list[dict], held: list[dict], beta: float, rate: float, mirrored: bool
) -> dict:
    """Train a fresh adapter for STEPS steps of two rows, and ask it about other pairs.

    `rows`, `held`: short_pairs; `mirrored`: both rows of a pair share a step, else all rows are shuffled one by one.
    Returns the settings with `loss`, the mean DPO loss of the last quarter of the steps, `moved`, how many nats the
    chosen text has gained on the rejected one in held-out rows, `both_directions`, and `seconds`.
    """
    check_settings(trainer)
    model, began = trainer.model, time.perf_counter()

    def logps(some: list[dict]) -> torch.Tensor:
        """Of chosen and rejected responses: (2, rows)."""
        batch = {name: tensor.to(model.device) for name, tensor in trainer.data_collator(some).items()}
        with trainer.accelerator.autocast():
            return torch.stack(pair_logps(model, batch))

    def asked(some: list[dict]) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([logps(some[start : start + 6]) for start in range(0, len(some), 6)], 1)

    order = training_order(len(rows), 2 if mirrored else 1, 2 * STEPS / len(rows), trainer.args.seed)
    losses = []
    with fresh_adapter(model, trainer.args.seed) as weights, cast_once(model, trainer.args):
        model.eval()
        reference, held_reference = asked(rows), asked(held)  # before the first step the policy is the reference
        optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
        scaler = torch.amp.GradScaler(model.device.type, enabled=trainer.args.fp16)
        model.train()
        for step in tqdm(range(STEPS), desc="small training"):
            places = order[2 * step : 2 * step + 2]
            loss = dpo_loss(*logps([rows[place] for place in places]), *reference[:, places], beta)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            losses.append(loss.item())
        model.eval()
        chosen, rejected = asked(held) - held_reference
    gained = chosen - rejected
    last, right = losses[-(STEPS // 4) :], gained > 0
    return {
        "beta": beta,
        "rate": rate,
        "mirrored": mirrored,
        "loss": sum(last) / len(last),
        "moved": gained.mean().item(),
        "both_directions": (right[0::2] & right[1::2]).float().mean().item(),
        "seconds": time.perf_counter() - began,
    }


def experiment_table(tried: list[dict]) -> str:
    """One line for each small training, the newest last."""
    head = f"{'beta':>7} {'rate':>9} {'mirrored':>9} {'last loss':>10} {'nats moved':>11} {'both directions':>16} "
    head += f"{'seconds':>8}"
    lines = [
        f"{one['beta']:7.3g} {one['rate']:9.2g} {'yes' if one['mirrored'] else 'no':>9} {one['loss']:10.3f} "
        f"{one['moved']:11.1f} {one['both_directions']:16.2f} {one['seconds']:8.0f}"
        for one in tried
    ]
    return "\n".join([head, *lines])
