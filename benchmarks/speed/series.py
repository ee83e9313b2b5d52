"""The series' side: MirroredDPOTrainer and its own generation loop, asked as the libraries are (stock.py)."""

import copy
import dataclasses
import gc
import json
import statistics
import time
from pathlib import Path

from benchmarks.speed.orders import serve
from benchmarks.speed.trained import measured
from cpt_utils import runtime
from cpt_utils.models.adapters import lora_config
from cpt_utils.models.conversation import ChatModel, fit_rows
from cpt_utils.models.loading import load_chat_model, load_student
from cpt_utils.runtime import files, heap
from cpt_utils.runtime.catalogue import find_model, linear_shapes
from cpt_utils.runtime.profiles import Profile


class Series:
    """Does what the plan of a folder says."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.plan = json.loads((folder / "plan.json").read_text("utf-8"))
        self.profile = runtime.start("embedded", **self.plan["changes"])
        self.student = load_student(self.profile)
        self.writers = {}

    def versions(self) -> dict[str, str]:
        return files.versions()

    def train(self, **changes) -> dict:
        """A training by the plan's profile, with changes to TRL's settings; the model is fresh each time."""
        trainer = build(self.profile, self.student, self.plan["rows"], self.folder / "series", **changes)
        report = measured(trainer) | {"step_flops": step_flops(trainer)}
        del trainer
        gc.collect()
        heap.release_memory()  # while it waits, the other sides have the memory
        return report

    def write(self, number_type: str, **options) -> dict:
        """Seconds for the answers to the plan's texts, and their tokens; no options: greedy."""
        import torch

        if number_type not in self.writers:
            self.writers[number_type] = load_chat_model(self.profile, dtype=getattr(torch, number_type))
            self.generate(self.writers[number_type], 2)  # what the first call sets up is not counted
        started = time.perf_counter()
        tokens = self.generate(self.writers[number_type], self.plan["new_tokens"], **options)
        return {"seconds": time.perf_counter() - started, "tokens": tokens.tolist()}

    def generate(self, chat_model: ChatModel, new_tokens: int, **options):
        from cpt_utils.fast.decoding import generate

        tokenizer = chat_model.tokenizer
        batch = tokenizer(self.plan["texts"], return_tensors="pt", padding=True, add_special_tokens=False)
        ends, pad = [tokenizer.eos_token_id], tokenizer.pad_token_id
        return generate(chat_model.model, batch, max_new_tokens=new_tokens, ends=ends, pad_token_id=pad, **options)


def build(profile: Profile, student: ChatModel, rows: list[dict], folder: Path, **changes):
    """The series' trainer on a copy of the student; nothing is saved or evaluated on the way."""
    from datasets import Dataset
    from transformers import set_seed

    from cpt_utils.training import MirroredDPOTrainer, dpo_settings, prepare_trainer

    set_seed(profile.seed)
    settings = dpo_settings(profile, folder)
    return prepare_trainer(
        MirroredDPOTrainer(
            model=copy.deepcopy(student.model),
            args=dataclasses.replace(settings, save_strategy="no", eval_strategy="no", **changes),
            processing_class=student.tokenizer,
            peft_config=lora_config(profile),
            train_dataset=Dataset.from_list(fit_rows(student.tokenizer, rows)),
        )
    )


def step_flops(trainer) -> float:
    """Matrix FLOPs that one packed step needs: forward and input gradients, LoRA's own small products left out."""
    shape, size = find_model("embedded")["shape"], trainer.args.per_device_train_batch_size
    linear = shape["layers"] * sum(inner * outer for inner, outer in linear_shapes(shape))
    steps = []
    for start in range(0, len(trainer.train_dataset), size):
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(start, start + size)])
        tokens = int(batch["attention_mask"].any(-1).sum())
        kept = int((batch["labels"] != -100).sum())
        steps.append(4 * (tokens * linear + kept * shape["vocab"] * shape["hidden"]))
    return statistics.mean(steps)


if __name__ == "__main__":
    serve(Series)
