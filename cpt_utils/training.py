"""DPO on mirrored pairs: both rows of a pair in one step."""

from contextlib import contextmanager
from pathlib import Path

import torch
from datasets import Dataset
from peft.helpers import disable_input_dtype_casting
from trl import DPOConfig, DPOTrainer

from cpt_utils.blocks import training_order
from cpt_utils.checkpoints import check_settings
from cpt_utils.dpo import dpo_loss, implicit_reward, pair_metrics
from cpt_utils.fast.output_layer import logits_logps
from cpt_utils.fast.packing import PackedCollator, packed_logps
from cpt_utils.fast.weights import cast_weights
from cpt_utils.models.logps import row_tokens
from cpt_utils.pace import Pace, log_shortly
from cpt_utils.runtime import machine
from cpt_utils.runtime.errors import SettingsError
from cpt_utils.runtime.profiles import Profile


def in_training_order(rows: Dataset, args: DPOConfig, block: int) -> Dataset:
    """The rows of all epochs as they are trained on (blocks.training_order); `args` are set to read them so."""
    epochs = args.num_train_epochs
    if args.max_steps > 0:
        epochs = args.max_steps * args.per_device_train_batch_size * args.gradient_accumulation_steps / len(rows)
    args.train_sampling_strategy, args.num_train_epochs = "sequential", 1
    return rows.select(training_order(len(rows), block, epochs, args.seed))


class CheckedDPOTrainer(DPOTrainer):
    """TRL's DPOTrainer, which says in one sentence that the settings were made anew after it."""

    def train(self, *args, **kwargs):
        check_settings(self)
        return super().train(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        check_settings(self)
        return super().evaluate(*args, **kwargs)


class PairedDPOTrainer(CheckedDPOTrainer):
    """TRL's DPOTrainer with both rows of a mirrored pair in the same step; loss and collator are TRL's.

    Rows 2k and 2k+1 of every data set are one mirrored pair, and the batch size is even. For engines
    that bring their own attention (unsloth), which would not see the masks of packed rows.
    """

    def __init__(self, model, args, train_dataset, processing_class, **kwargs):
        if args.per_device_train_batch_size % 2 or args.per_device_eval_batch_size % 2:
            raise SettingsError("Mirrored pairs need even batch sizes: set both to a multiple of 2.")
        ordered = in_training_order(train_dataset, args, self.rows_together(args))
        super().__init__(model=model, args=args, train_dataset=ordered, processing_class=processing_class, **kwargs)
        if dropped := len(ordered) - len(self.train_dataset):
            raise SettingsError(
                f"{dropped} rows have prompts longer than max_length={args.max_length}, which would tear their "
                "pairs apart: raise max_length."
            )

    @staticmethod
    def rows_together(args: DPOConfig) -> int:
        """Neighbours that shuffling keeps together: the rows of a batch."""
        return args.per_device_train_batch_size

    def log(self, logs, start_time=None):
        metrics = self._metrics["eval"]
        if not self.model.training and self.args.per_device_eval_batch_size == 2:
            # A batch is one pair here, so a mean of 1 says that both of its rows are right.
            # There are none in the line that ends a training, which comes behind its last evaluation.
            if pairs := [float(share > 0.75) for share in metrics.get("rewards/accuracies", [])]:
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
        self.tokens_seen = 0
        collator = PackedCollator(processing_class.pad_token_id, args.max_length)
        super().__init__(model, args, train_dataset, processing_class, data_collator=collator, **kwargs)

    def train(self, *args, **kwargs):
        with cast_once(self.model, self.args):
            return super().train(*args, **kwargs)

    def compute_ref_log_probs(self, model, inputs):
        if "ref_chosen_logps" in inputs:
            return inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        with torch.no_grad(), self.accelerator.autocast(), self.accelerator.unwrap_model(model).disable_adapter():
            return pair_logps(model, inputs)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        logps, lengths = packed_logps(model, inputs)
        chosen, rejected = logps[inputs["chosen"]], logps[inputs["rejected"]]
        ref_chosen, ref_rejected = self.compute_ref_log_probs(model, inputs)
        losses = {
            "sigmoid": dpo_loss(chosen, rejected, ref_chosen, ref_rejected, self.args.beta),
            "sft": -chosen.sum() / lengths[inputs["chosen"]].sum(),
        }
        used = dict(zip(self.args.loss_type, self.args.loss_weights or [1.0] * len(self.args.loss_type)))
        loss = sum(weight * losses[name] for name, weight in used.items())

        rewards = (
            implicit_reward(chosen.detach(), ref_chosen, self.args.beta),
            implicit_reward(rejected.detach(), ref_rejected, self.args.beta),
        )
        metrics = {f"loss/{name}": losses[name].detach() for name in used} | pair_metrics(*rewards)
        self.keep_metrics(metrics, inputs["num_tokens"])
        return (loss, None) if return_outputs else loss

    def keep_metrics(self, metrics: dict[str, torch.Tensor], num_tokens: torch.Tensor) -> None:
        """Hand a batch's metrics to TRL's log, which shows their means over the batches since the last line."""
        batches = self._metrics["train" if self.model.training else "eval"]
        for name, value in metrics.items():
            batches[name].append(self.accelerator.gather(value.reshape(1)).mean().item())
        if self.model.training:
            self.tokens_seen += self.accelerator.gather(num_tokens.reshape(1)).sum().item()
            batches["num_tokens"] = [self.tokens_seen]


@contextmanager
def cast_once(model, args: DPOConfig):
    """Inside, frozen weights have the number type to which autocast would cast them at every product."""
    if not args.bf16:
        yield
        return
    # PEFT would cast every input up to the adapter's float32, and autocast down again.
    with cast_weights(model, torch.bfloat16), disable_input_dtype_casting(model):
        yield


def prepare_trainer(trainer: DPOTrainer) -> DPOTrainer:
    """A short log in place of the Trainer's own, the minutes to come, and float32 adapters; returns the trainer.

    TRL casts the adapters of 4-bit models to bf16. On a GPU without bf16 the gradient scaler of fp16
    cannot handle them, and elsewhere they round small updates away.
    """
    log_shortly(trainer).add_callback(Pace())
    for weight in trainer.model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    trainer.model.unfinished = True  # adapters.save_adapter asks: what is not trained must not take a place
    return trainer


def trainer_for(profile: Profile) -> type[DPOTrainer]:
    """The trainer of a profile: packed mirrored rows, mirrored rows without packing, or TRL's."""
    if not profile.mirrored:
        return CheckedDPOTrainer
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
        save_total_limit=2,  # the one before the last, should that be damaged
        logging_steps=profile.logging_steps,
        logging_nan_inf_filter=False,  # a loss that is no number must show (ShortLog stops there)
        report_to="none",
        disable_tqdm=True,  # ShortLog shows a bar of its own
    )


def held_out_shares(trainer: DPOTrainer) -> dict[str, float | None]:
    """Shares of held-out rows and pairs preferred rightly now: from the log where it ends in them, else measured."""
    evaluations = [line for line in trainer.state.log_history if "eval_rewards/accuracies" in line]
    if not evaluations or evaluations[-1]["step"] != trainer.state.global_step:
        evaluations = [trainer.evaluate()]
    names = {"accuracy": "accuracies", "both_directions": "both_directions"}
    return {name: evaluations[-1].get(f"eval_rewards/{logged}") for name, logged in names.items()}


def dpo_gradient(trainer: PairedDPOTrainer, rows: list[dict]) -> torch.Tensor:
    """Gradient of the DPO loss alone on some preference rows, all trainable weights in one vector."""
    check_settings(trainer)
    model, was_training = trainer.model, trainer.model.training
    tokens = [row | row_tokens(trainer.processing_class, row) for row in rows]
    batch = {name: tensor.to(model.device) for name, tensor in trainer.data_collator(tokens).items()}
    model.zero_grad()
    if trainer.args.gradient_checkpointing:  # as in a step: it works in training mode only
        model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    with trainer.compute_loss_context_manager():
        reference = trainer.compute_ref_log_probs(model, batch)
        loss = dpo_loss(*pair_logps(model.train(), batch), *reference, trainer.args.beta)
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    model.train(was_training)
    return gradient


def pair_logps(model, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed log-probabilities of chosen and rejected responses, two (rows,): of a packed batch, or of TRL's."""
    if "segment" in batch:
        logps, _ = packed_logps(model, batch)
        return logps[batch["chosen"]], logps[batch["rejected"]]
    # TRL's collator: the chosen sequences of all rows, then the rejected ones; each logit predicts the next token.
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
    predicted = batch["completion_mask"][:, 1:].bool()
    logps = logits.new_zeros(predicted.shape, dtype=torch.float32)
    logps[predicted] = logits_logps(logits[:, :-1][predicted], batch["input_ids"][:, 1:][predicted])
    return logps.sum(1).chunk(2)
