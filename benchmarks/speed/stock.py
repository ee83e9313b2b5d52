"""The libraries' side: TRL's own DPOTrainer and transformers' own generate, in whatever versions this Python has.

`python -m benchmarks.speed.stock FOLDER` reads FOLDER/plan.json (plan.py) and waits for orders (orders.py).
"""

import copy
import gc
import json
import time
from importlib import metadata
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl import DPOConfig, DPOTrainer

from benchmarks.speed.orders import serve
from benchmarks.speed.trained import measured

LIBRARIES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")


class Stock:
    """Does what the plan of a folder says."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.plan = json.loads((folder / "plan.json").read_text("utf-8"))
        self.tokenizer = AutoTokenizer.from_pretrained(self.plan["model"], padding_side="left")
        self.student = self.load("float32")
        self.writers = {}

    def load(self, number_type: str):
        return AutoModelForCausalLM.from_pretrained(self.plan["model"], dtype=getattr(torch, number_type)).eval()

    def versions(self) -> dict[str, str]:
        return {name: metadata.version(name) for name in LIBRARIES}

    def train(self, **changes) -> dict:
        """A training by the plan's settings and these; the model is fresh each time."""
        settings = self.plan["settings"] | {"train_sampling_strategy": "sequential"} | changes
        set_seed(settings["seed"])
        trainer = DPOTrainer(
            model=copy.deepcopy(self.student),
            args=DPOConfig(output_dir=str(self.folder / "stock"), **settings),
            processing_class=self.tokenizer,
            peft_config=LoraConfig(**self.plan["lora"]),
            train_dataset=Dataset.from_list([self.plan["rows"][i] for i in self.plan["order"]]),
        )
        report = measured(trainer)
        del trainer
        gc.collect()  # while it waits, the other sides have the memory
        return report

    def write(self, number_type: str, **options) -> dict:
        """Seconds for the answers to the plan's texts, and their tokens; no options: greedy."""
        if number_type not in self.writers:
            self.writers[number_type] = self.load(number_type)
            self.generate(self.writers[number_type], 2)  # what the first call sets up is not counted
        started = time.perf_counter()
        tokens = self.generate(self.writers[number_type], self.plan["new_tokens"], **options)
        return {"seconds": time.perf_counter() - started, "tokens": tokens.tolist()}

    def generate(self, model, new_tokens: int, **options):
        batch = self.tokenizer(self.plan["texts"], return_tensors="pt", padding=True, add_special_tokens=False)
        if options:
            options |= {"do_sample": True, "top_k": 0}
        else:
            options["do_sample"] = False
        with torch.inference_mode():
            tokens = model.generate(
                **batch,
                max_new_tokens=new_tokens,
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=self.tokenizer.eos_token_id,
                **options,
            )
        return tokens[:, batch["input_ids"].shape[1] :]


if __name__ == "__main__":
    serve(Stock)
