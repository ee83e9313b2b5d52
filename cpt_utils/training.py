"""DPO on mirrored pairs: both rows of a pair in one step."""

import hashlib
import json
import math
import shutil
import sys
from pathlib import Path

import torch
from peft.helpers import disable_input_dtype_casting
from torch.utils.data import Sampler
from tqdm import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from trl import DPOConfig, DPOTrainer

from cpt_utils.dpo import dpo_loss, implicit_reward, pair_metrics
from cpt_utils.fast.packing import PackedCollator, packed_logps
from cpt_utils.fast.weights import cast_weights
from cpt_utils.runtime import machine
from cpt_utils.runtime.errors import SettingsError, TrainingError
from cpt_utils.runtime.profiles import Profile


class BlockSampler(Sampler):
    """Shuffles blocks of consecutive rows and keeps each block's rows together, in order."""

    def __init__(self, rows: int, block: int, seed: int):
        self.rows, self.block, self.seed, self.epoch = rows, block, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        starts = torch.arange(0, self.rows, self.block)
        for start in starts[torch.randperm(len(starts), generator=generator)].tolist():
            yield from range(start, min(start + self.block, self.rows))


class ShortLog(TrainerCallback):
    """A progress bar with the last loss, and one line for each evaluation."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="training")

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingError(
                f"The loss is {logs['loss']} at step {state.global_step}: lower learning_rate, or train in bf16 "
                "instead of fp16; the last checkpoint is kept."
            )
        if logs and "loss/sigmoid" in logs:
            self.bar.set_postfix_str(f"DPO loss {logs['loss/sigmoid']:.3f}")

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        machine.release_memory()
        rows, pairs = (metrics.get(f"eval_rewards/{n}") for n in ("accuracies", "both_directions"))
        if rows is not None:
            told = f"step {state.global_step}: held-out rows right {rows:.2f}, both directions {pairs:.2f}"
            tqdm.write(told, file=sys.stderr)  # the stream of the bar, so that neither cuts into the other

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


class PairedDPOTrainer(DPOTrainer):
    """TRL's DPOTrainer with both rows of a mirrored pair in the same step; loss and collator are TRL's.

    Rows 2k and 2k+1 of every data set are one mirrored pair, and the batch size is even. For engines
    that bring their own attention (unsloth), which would not see the masks of packed rows.
    """

    def __init__(self, model, args, train_dataset, processing_class, **kwargs):
        if args.per_device_train_batch_size % 2 or args.per_device_eval_batch_size % 2:
            raise SettingsError("Mirrored pairs need even batch sizes: set both to a multiple of 2.")
        super().__init__(
            model=model, args=args, train_dataset=train_dataset, processing_class=processing_class, **kwargs
        )
        if len(self.train_dataset) != len(train_dataset):
            raise SettingsError(
                f"{len(train_dataset) - len(self.train_dataset)} rows have prompts longer than "
                f"max_length={args.max_length}, which would tear their pairs apart: raise max_length."
            )

    def _get_train_sampler(self, dataset=None):
        rows = len(self.train_dataset if dataset is None else dataset)
        return BlockSampler(rows, self.args.per_device_train_batch_size, self.args.seed)

    def log(self, logs, start_time=None):
        metrics = self._metrics["eval"]
        if not self.model.training and self.args.per_device_eval_batch_size == 2:
            # A batch is one pair here, so a mean of 1 says that both of its rows are right.
            pairs = [float(share > 0.75) for share in metrics.get("rewards/accuracies", [])]
            metrics.setdefault("rewards/both_directions", pairs)
        super().log(logs, start_time)


class MirroredDPOTrainer(PairedDPOTrainer):
    """The same loss as PairedDPOTrainer, from packed lines (packing.PackedCollator): less work a step.

    Losses: "sigmoid" (dpo.dpo_loss) and "sft", weighted. Where the training rows bring
    `ref_chosen_logps` and `ref_rejected_logps` (logps.with_reference), no reference is computed.
    """

    def __init__(self, model, args, train_dataset, processing_class, **kwargs):
        if not set(args.loss_type) <= {"sigmoid", "sft"}:
            raise SettingsError(f"loss_type is {args.loss_type}; only 'sigmoid' and 'sft' are packed.")
        args.remove_unused_columns = False
        if "ref_chosen_logps" in train_dataset.column_names:  # logps.with_reference: nothing is left to compute
            args.precompute_ref_log_probs = False
        collator = PackedCollator(processing_class.pad_token_id, args.max_length)
        super().__init__(model, args, train_dataset, processing_class, data_collator=collator, **kwargs)

    def train(self, *args, **kwargs):
        if not self.args.bf16:
            return super().train(*args, **kwargs)
        # PEFT would cast every input up to the adapter's float32, and autocast down again.
        with cast_weights(self.model, torch.bfloat16), disable_input_dtype_casting(self.model):
            return super().train(*args, **kwargs)

    def compute_ref_log_probs(self, model, inputs):
        with torch.no_grad(), self.accelerator.autocast(), self.accelerator.unwrap_model(model).disable_adapter():
            logps, _ = packed_logps(model, inputs)
        return logps[inputs["chosen"]], logps[inputs["rejected"]]

    def _compute_loss(self, model, inputs, return_outputs):
        logps, lengths = packed_logps(model, inputs)
        chosen, rejected = logps[inputs["chosen"]], logps[inputs["rejected"]]
        if "ref_chosen_logps" in inputs:
            ref_chosen, ref_rejected = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        else:
            ref_chosen, ref_rejected = self.compute_ref_log_probs(model, inputs)
        losses = {
            "sigmoid": dpo_loss(chosen, rejected, ref_chosen, ref_rejected, self.beta),
            "sft": -chosen.sum() / lengths[inputs["chosen"]].sum(),
        }
        loss = sum(w * losses[name] for name, w in zip(self.loss_types, self.loss_weights))

        rewards = (
            implicit_reward(chosen.detach(), ref_chosen, self.beta),
            implicit_reward(rejected.detach(), ref_rejected, self.beta),
        )
        metrics = {f"loss/{name}": losses[name] for name in self.loss_types} | pair_metrics(*rewards)
        mode = "train" if self.model.training else "eval"
        for name, value in metrics.items():
            gathered = self.accelerator.gather(value.detach().reshape(1))
            self._metrics[mode][name].append(gathered.mean().item())
        if mode == "train":
            self._total_train_tokens += self.accelerator.gather(inputs["num_tokens"].reshape(1)).sum().item()
            self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        return (loss, None) if return_outputs else loss


def prepare_trainer(trainer: DPOTrainer) -> DPOTrainer:
    """A short log in place of the Trainer's own, and float32 adapters; returns the trainer.

    TRL casts the adapters of 4-bit models to bf16. On a GPU without bf16 the gradient scaler of fp16
    cannot handle them, and elsewhere they round small updates away.
    """
    for shown in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(shown)
    trainer.add_callback(ShortLog())
    for weight in trainer.model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return trainer


def trainer_for(profile: Profile) -> type[DPOTrainer]:
    """The trainer of a profile: packed mirrored rows, mirrored rows without packing, or stock TRL."""
    if not profile.mirrored:
        return DPOTrainer
    return PairedDPOTrainer if machine.engine(profile) == "unsloth" else MirroredDPOTrainer


def dpo_settings(profile: Profile, folder: Path) -> DPOConfig:
    """TRL's settings for a profile: everything but the data; checkpoints go to `folder`."""
    return DPOConfig(
        output_dir=str(folder),
        seed=profile.seed,
        **machine.training_arguments(),  # half precision under autocast; the trained weights stay float32
        per_device_train_batch_size=profile.rows_per_batch,
        per_device_eval_batch_size=profile.rows_per_batch,
        gradient_accumulation_steps=profile.batches_per_step,
        num_train_epochs=profile.epochs,
        max_steps=profile.max_steps,
        learning_rate=profile.learning_rate,
        lr_scheduler_type=profile.scheduler,
        warmup_steps=profile.warmup,
        optim=profile.optimizer,
        beta=profile.beta,
        loss_type=list(profile.loss),
        loss_weights=list(profile.loss.values()),
        max_length=profile.max_length,
        precompute_ref_log_probs=True,  # once, before training: the reference never changes
        gradient_checkpointing=profile.gradient_checkpointing,
        eval_strategy="steps",
        eval_steps=profile.eval_steps,
        save_strategy="steps",
        save_steps=profile.save_steps,
        save_total_limit=1,
        logging_steps=profile.logging_steps,
        logging_nan_inf_filter=False,  # a loss that is no number must show (ShortLog stops there)
        report_to="none",
        disable_tqdm=True,  # ShortLog shows a bar of its own
    )


def run_checkpoints(folder: Path, profile: Profile, rows: list[dict]) -> tuple[Path, str | None]:
    """The checkpoint folder of exactly this training, and its last whole checkpoint (None: start afresh).

    The folder's name is a hash of rows and settings, so a checkpoint of another training is never resumed;
    such leftovers are removed. A checkpoint without its closing trainer_state.json was cut off in writing.
    """
    told = json.dumps([profile.model_dump(), rows], sort_keys=True, ensure_ascii=False)
    mine = folder / "checkpoints" / hashlib.sha256(told.encode()).hexdigest()[:12]
    mine.mkdir(parents=True, exist_ok=True)
    for other in mine.parent.iterdir():
        if other != mine:
            shutil.rmtree(other, ignore_errors=True)
    whole = [state.parent for state in mine.glob("checkpoint-*/trainer_state.json")]
    last = max(whole, key=lambda place: int(place.name.split("-")[1]), default=None)
    return mine, last and str(last)


def dpo_gradient(trainer: MirroredDPOTrainer, rows: list[int]) -> torch.Tensor:
    """Gradient of the DPO term alone on some training rows, all trainable weights in one vector."""
    weights, tokens = trainer.loss_weights, trainer._total_train_tokens
    trainer.loss_weights = [float(name == "sigmoid") for name in trainer.loss_types]
    batch = trainer._prepare_inputs(trainer.data_collator([trainer.train_dataset[i] for i in rows]))
    trainer.model.zero_grad()
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
    trainer.model.zero_grad()
    trainer.loss_weights, trainer._total_train_tokens = weights, tokens
    for metrics in trainer._metrics.values():
        metrics.clear()
    return gradient
