"""DPO on mirrored pairs: both rows of a pair in one step, every distinct sequence computed once."""

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler
from tqdm import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from trl import DPOTrainer

from cpt_utils.runtime import release_memory


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


class PackedCollator:
    """Packs rows so that each distinct prompt, and each distinct response to it, appears once.

    The six rows of one (prompt, rubric) hold 12 sequences but only 3 prompts (one per system prompt)
    and 9 (prompt, response) combinations. Each prompt becomes one line of tokens with all its responses
    behind it, and a mask hides the responses from each other.

    Returns `input_ids`, `position_ids` (lines, length), `attention_mask` (lines, 1, length, length) bool,
    `labels` and `segment` (lines, kept): for the columns that predict response tokens, the token (-100:
    none) and its response's number in the line (-2: none); `chosen`, `rejected` (rows,): flat indices
    of each row's two sequences in (lines, responses); `num_tokens`: what the rows hold unpacked.
    """

    def __init__(self, pad_token_id: int, max_length: int | None = None):
        self.pad_token_id, self.max_length = pad_token_id, max_length

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        lines: dict[tuple, list[tuple]] = {}
        places = {"chosen": [], "rejected": []}
        for row in rows:
            prompt = tuple(row["prompt_ids"])
            responses = lines.setdefault(prompt, [])
            for side, found in places.items():
                room = None if self.max_length is None else self.max_length - len(prompt)
                response = tuple(row[f"{side}_ids"][:room])
                if response not in responses:
                    responses.append(response)
                found.append((list(lines).index(prompt), responses.index(response)))
        width = max(len(responses) for responses in lines.values())
        batch = self._pack(lines)
        batch["num_tokens"] = torch.tensor(
            sum(2 * len(r["prompt_ids"]) + len(r["chosen_ids"]) + len(r["rejected_ids"]) for r in rows)
        )
        for side, found in places.items():
            batch[side] = torch.tensor([line * width + response for line, response in found])
            if f"ref_{side}_logps" in rows[0]:
                batch[f"ref_{side}_logps"] = torch.tensor([row[f"ref_{side}_logps"] for row in rows])
        return batch

    def _pack(self, lines: dict[tuple, list[tuple]]) -> dict[str, torch.Tensor]:
        longest = max(map(len, lines)) - 1
        ids, positions, segments, labels = [], [], [], []
        for prompt, responses in lines.items():
            # Every response starts from its own copy of the prompt's last token, so that each kept
            # column predicts one label; prompts end in the same column, so one slice keeps them all.
            gap, shared = longest - len(prompt) + 1, len(prompt) - 1
            ids.append([self.pad_token_id] * gap + list(prompt[:-1]))
            positions.append([0] * gap + list(range(shared)))
            segments.append([-2] * gap + [-1] * shared)
            labels.append([])
            for number, response in enumerate(responses):
                ids[-1] += [prompt[-1], *response[:-1]]
                positions[-1] += range(shared, shared + len(response))
                segments[-1] += [number] * len(response)
                labels[-1] += response
        stack = lambda lists, value: pad_sequence(  # noqa: E731
            [torch.tensor(numbers) for numbers in lists], batch_first=True, padding_value=value
        )
        segment = stack(segments, -2)
        queries, keys = segment[:, :, None], segment[:, None, :]
        visible = ((keys == -1) & (queries != -2)) | (queries == keys)
        return {
            "input_ids": stack(ids, self.pad_token_id),
            "position_ids": stack(positions, 0),
            "attention_mask": visible.tril()[:, None],
            "labels": stack(labels, -100),
            "segment": segment[:, longest:],
        }


def packed_logps(model, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed log-probabilities and token counts of each packed response: two (lines * responses,)."""
    labels, segment = batch["labels"], batch["segment"]
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        position_ids=batch["position_ids"],
        logits_to_keep=labels.shape[1],
        use_cache=False,
    ).logits
    exact = logits if logits.dtype == torch.float64 else logits.float()
    token_logps = -torch.nn.functional.cross_entropy(
        exact.flatten(0, 1), labels.flatten(), reduction="none"  # 0 where padded
    ).view(labels.shape)
    member = segment[:, :, None] == torch.arange(int(segment.max()) + 1, device=segment.device)
    sums = torch.where(member, token_logps[:, :, None], 0.0).sum(1)
    return sums.flatten(), member.sum(1).flatten()


class ShortLog(TrainerCallback):
    """A progress bar with the last loss, and one line for each evaluation."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="training")

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()

    def on_log(self, args, state, control, logs=None, **kwargs):
        release_memory()
        if logs and "loss/sigmoid" in logs:
            self.bar.set_postfix_str(f"DPO loss {logs['loss/sigmoid']:.3f}")

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        rows, pairs = (metrics.get(f"eval_rewards/{n}") for n in ("accuracies", "both_directions"))
        if rows is not None:
            tqdm.write(f"step {state.global_step}: held-out rows right {rows:.2f}, both directions {pairs:.2f}")

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


class MirroredDPOTrainer(DPOTrainer):
    """TRL's DPOTrainer for mirrored rows: the same loss, from packed lines (see PackedCollator).

    Rows 2k and 2k+1 of every data set are one mirrored pair, and the batch size is even, so that the
    two always share a step. Losses: "sigmoid" (Rafailov et al. 2023, eq. 7) and "sft", weighted.
    """

    def __init__(self, model, args, train_dataset, processing_class, **kwargs):
        if args.per_device_train_batch_size % 2 or args.per_device_eval_batch_size % 2:
            raise ValueError("Mirrored pairs need even batch sizes: set both to a multiple of 2.")
        if not set(args.loss_type) <= {"sigmoid", "sft"}:
            raise ValueError(f"loss_type is {args.loss_type}; only 'sigmoid' and 'sft' are packed.")
        args.remove_unused_columns = False
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            processing_class=processing_class,
            data_collator=PackedCollator(processing_class.pad_token_id, args.max_length),
            **kwargs,
        )
        for shown in (PrinterCallback, ProgressCallback):
            self.remove_callback(shown)
        self.add_callback(ShortLog())
        if len(self.train_dataset) != len(train_dataset):
            raise ValueError(
                f"{len(train_dataset) - len(self.train_dataset)} rows have prompts longer than "
                f"max_length={args.max_length}, which would tear their pairs apart: raise max_length."
            )

    def _get_train_sampler(self, dataset=None):
        rows = len(self.train_dataset if dataset is None else dataset)
        return BlockSampler(rows, self.args.per_device_train_batch_size, self.args.seed)

    def compute_ref_log_probs(self, model, inputs):
        with torch.no_grad(), self.accelerator.autocast(), model.disable_adapter():
            logps, _ = packed_logps(model, inputs)
        return logps[inputs["chosen"]], logps[inputs["rejected"]]

    def _compute_loss(self, model, inputs, return_outputs):
        logps, lengths = packed_logps(model, inputs)
        chosen, rejected = logps[inputs["chosen"]], logps[inputs["rejected"]]
        chosen_rewards = self.beta * (chosen - inputs["ref_chosen_logps"])
        rejected_rewards = self.beta * (rejected - inputs["ref_rejected_logps"])
        margins = chosen_rewards - rejected_rewards
        losses = {
            "sigmoid": -torch.nn.functional.logsigmoid(margins).mean(),
            "sft": -chosen.sum() / lengths[inputs["chosen"]].sum(),
        }
        loss = sum(w * losses[name] for name, w in zip(self.loss_types, self.loss_weights))

        right = (margins > 0).float()
        metrics = {f"loss/{name}": losses[name] for name in self.loss_types} | {
            "rewards/chosen": chosen_rewards.mean(),
            "rewards/rejected": rejected_rewards.mean(),
            "rewards/margins": margins.mean(),
            "rewards/accuracies": right.mean(),
            "rewards/both_directions": (right[0::2] * right[1::2]).mean(),
        }
        mode = "train" if self.model.training else "eval"
        for name, value in metrics.items():
            gathered = self.accelerator.gather(value.detach().reshape(1))
            self._metrics[mode][name].append(gathered.mean().item())
        if mode == "train":
            self._total_train_tokens += self.accelerator.gather(inputs["num_tokens"].reshape(1)).sum().item()
            self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        return (loss, None) if return_outputs else loss


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
