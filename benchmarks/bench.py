"""Stock TRL and transformers against this series, same rows and settings, in one run: `make bench`.

Prints ratios, writes benchmarks/results/bench.json (and a figure of how cost grows), and ends with one line of JSON.
Absolute times mean little on a shared machine, so both sides take turns, and medians are compared.
"""

import argparse
import copy
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import neighbour
import torch
from datasets import Dataset
from measured import RESULTS, keep, peak_memory_gib
from peft import LoraConfig
from transformers import TrainerCallback, set_seed
from transformers.utils import logging as transformers_logging
from trl import DPOTrainer

from cpt_utils import runtime
from cpt_utils.commands.rates import product_rate
from cpt_utils.fast.decoding import generate
from cpt_utils.judging import embedded_judge
from cpt_utils.models.conversation import fit_rows
from cpt_utils.models.loading import load_chat_model, load_student
from cpt_utils.pairs import rows_for
from cpt_utils.prompts import load_prompts, load_responses, messages, system_prompt
from cpt_utils.runtime import files, machine
from cpt_utils.runtime.catalogue import find_model, linear_shapes
from cpt_utils.training import MirroredDPOTrainer, dpo_settings, in_training_order, prepare_trainer
from cpt_utils.widgets.studio import rubric_studio


class StockInOrder(DPOTrainer):
    """TRL's trainer, with only the order of rows taken from ours, so that losses can be compared step by step."""

    def __init__(self, args, train_dataset, **kwargs):
        ordered = in_training_order(train_dataset, args, args.per_device_train_batch_size)
        super().__init__(args=args, train_dataset=ordered, **kwargs)


SIDES = {"stock": StockInOrder, "ours": MirroredDPOTrainer}


class StepTimes(TrainerCallback):
    def __init__(self):
        self.times = []

    def on_step_begin(self, *args, **kwargs):
        self.started = time.perf_counter()

    def on_step_end(self, *args, **kwargs):
        self.times.append(time.perf_counter() - self.started)


def build(kind, profile, student, rows, **changes):
    set_seed(profile.seed)
    settings = dataclasses.replace(dpo_settings(profile, files.ROOT / "runs" / "bench"), **changes)
    settings.save_strategy = settings.eval_strategy = "no"
    lora = LoraConfig(
        r=profile.lora.r,
        lora_alpha=profile.lora.alpha,
        target_modules=profile.lora.modules,
        task_type="CAUSAL_LM",
    )
    trainer = prepare_trainer(
        kind(
            model=copy.deepcopy(student.model),
            args=settings,
            processing_class=student.tokenizer,
            peft_config=lora,
            train_dataset=Dataset.from_list(fit_rows(student.tokenizer, rows)),
        )
    )
    trainer.clock = StepTimes()
    trainer.add_callback(trainer.clock)
    return trainer


def reference_seconds(trainer, rows_per_batch: int) -> float:
    """Seconds for the reference log-probabilities of all rows (the trainer's own path, batch by batch)."""
    rows = [{k: v for k, v in row.items() if not k.startswith("ref_")} for row in trainer.train_dataset]
    batches = [rows[i : i + rows_per_batch] for i in range(0, len(rows), rows_per_batch)]
    started = time.perf_counter()
    for batch in batches:
        inputs = trainer._prepare_inputs(trainer.data_collator(batch))
        with trainer.compute_loss_context_manager():
            trainer.compute_ref_log_probs(trainer.model, inputs)
    return time.perf_counter() - started


def step_flops(trainer, rows_per_batch: int) -> float:
    """Matrix FLOPs that one packed step needs: forward and input gradients, LoRA's own small products left out."""
    shape = find_model("embedded")["shape"]
    linear = shape["layers"] * sum(i * o for i, o in linear_shapes(shape))
    total = []
    for start in range(0, len(trainer.train_dataset), rows_per_batch):
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(start, start + rows_per_batch)])
        tokens = int((batch["attention_mask"].any(-1)).sum())
        kept = int((batch["labels"] != -100).sum())
        total.append(4 * (tokens * linear + kept * shape["vocab"] * shape["hidden"]))
    return statistics.mean(total)


def peak_gib(name: str) -> float:
    """Peak memory of one side alone, in a process of its own: two steps of training."""
    told = subprocess.run([sys.executable, __file__, "--peak", name], check=True, capture_output=True, text=True)
    return json.loads(told.stdout.splitlines()[-1])


def train_alone(name: str) -> None:
    profile = runtime.start("embedded", max_steps=2, logging_steps=1)
    build(SIDES[name], profile, load_student(profile), rows_for(profile, "train")[:12]).train()
    print(peak_memory_gib())


def logged(trainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def difference(losses: dict[str, list[float]]) -> float:
    """The largest relative difference of two sides' losses at any step."""
    return max(abs(a - b) / abs(a) for a, b in zip(losses["stock"], losses["ours"], strict=True))


def difference_in_float32(profile, student, rows) -> float:
    """The same where neither side rounds to half precision: what is left is a difference of what is computed."""
    losses = {}
    for name, kind in SIDES.items():
        trainer = build(kind, profile, student, rows, bf16=False)
        trainer.train()
        losses[name] = logged(trainer)
    return difference(losses)


def train_both(profile, student, rows, repeats: int) -> dict:
    times, losses, reference = {"stock": [], "ours": []}, {}, {"stock": [], "ours": []}
    for _ in range(repeats):
        for name, kind in SIDES.items():
            trainer = build(kind, profile, student, rows)
            reference[name].append(reference_seconds(trainer, profile.rows_per_batch))
            trainer.train()
            times[name] += trainer.clock.times[1:]  # the first step warms up
            losses[name] = logged(trainer)
            tokens = [e["num_tokens"] for e in trainer.state.log_history if "num_tokens" in e][-1]
            flops = step_flops(trainer, profile.rows_per_batch) if name == "ours" else None
    middle = {name: statistics.median(found) for name, found in times.items()}
    per_step = tokens / len(losses["ours"])
    return {
        "train_ratio": middle["stock"] / middle["ours"],
        "reference_ratio": min(reference["stock"]) / min(reference["ours"]),
        "tokens_per_second": {name: per_step / seconds for name, seconds in middle.items()},
        "seconds_per_step": middle,
        "max_loss_difference": difference(losses),
        "losses": losses,
        "matmul_share": flops / middle["ours"] / product_rate(machine.number_type()),
    }


def generate_both(dtype, repeats: int, count: int = 32, tokens: int = 64) -> dict:
    chat_model = load_chat_model("embedded", dtype=dtype)
    model, tokenizer = chat_model.model, chat_model.tokenizer
    asked = [messages(p["prompt"], system_prompt("rococo", q)) for p in load_prompts() for q in ("low", "high")][:count]
    texts = [tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) for turns in asked]
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    with torch.inference_mode():  # both sides once, unmeasured: what is set up at the first call counts for neither
        model.generate(**batch, max_new_tokens=2, pad_token_id=pad, eos_token_id=end, do_sample=False)
    generate(model, batch, max_new_tokens=2, ends=[end], pad_token_id=pad)
    seconds, same = {}, None
    for way, options in (("greedy", {}), ("sampling", {"temperature": 0.7, "top_p": 0.9})):
        found = {"plain": [], "ours": []}
        for _ in range(repeats):
            started = time.perf_counter()
            with torch.inference_mode():
                plain = model.generate(
                    **batch,
                    max_new_tokens=tokens,
                    pad_token_id=pad,
                    eos_token_id=end,
                    do_sample=bool(options),
                    top_k=0 if options else None,
                    **options,
                )
            found["plain"].append(time.perf_counter() - started)
            started = time.perf_counter()
            ours = generate(model, batch, max_new_tokens=tokens, ends=[end], pad_token_id=pad, **options)
            found["ours"].append(time.perf_counter() - started)
        seconds[way] = {name: statistics.median(each) for name, each in found.items()}
        if not options:
            plain = plain[:, batch["input_ids"].shape[1] :]
            same = float((plain == ours[:, : plain.shape[1]]).all(1).float().mean())
    return {
        "seconds": seconds,
        "same_greedy_rows": same,
        "ratio": {way: each["plain"] / each["ours"] for way, each in seconds.items()},
    }


def growth(profile, student) -> dict:
    """Seconds a step for 1, 2 and 4 times the rows and the lengths, and judging 10,000 texts."""
    rows, found = rows_for(profile, "train")[:24], {"rows": {}, "length": {}}
    for times in (1, 2, 4):
        trainer = build(MirroredDPOTrainer, profile.replace(rows_per_batch=6 * times, max_steps=3), student, rows)
        trainer.train()
        found["rows"][times] = statistics.median(trainer.clock.times[1:])
        long = [
            {
                **row,
                **{
                    side: [{**row[side][0], "content": " ".join([row[side][0]["content"]] * times)}]
                    for side in ("chosen", "rejected")
                },
            }
            for row in rows
        ]
        trainer = build(MirroredDPOTrainer, profile.replace(max_steps=3, max_length=2048), student, long)
        trainer.train()
        machine.release_memory()
        found["length"][times] = statistics.median(trainer.clock.times[1:])
    judge, texts = embedded_judge(), load_responses()
    started = time.perf_counter()
    for number in range(10_000):
        row = texts[number % len(texts)]
        judge.score(row["rubric"], row["prompt"], row["response"] + f" {number}")
    found["judge_10000_texts_seconds"] = time.perf_counter() - started
    return found


def slider_ms() -> float:
    """The slowest of ten moves of a weight slider in the rubric studio, until its ranking is redrawn."""
    with tempfile.TemporaryDirectory() as folder:
        studio, times = rubric_studio("rococo", Path(folder)), []
        slider = studio.weights.children[1].children[1]
        for value in range(30, 80, 5):
            started = time.perf_counter()
            slider.value = value
            times.append(1000 * (time.perf_counter() - started))
    return max(times)


def draw(found: dict) -> None:
    from cpt_utils.plotting import TUNED, figure

    fig, axes = figure(1, 2, width=8, height=3)
    for axis, name in zip(axes, ("rows", "length")):
        x, y = list(found[name]), list(found[name].values())
        axis.plot(x, y, "o-", color=TUNED, label="measured")
        axis.plot(x, [y[0] * i for i in x], "--", color="#7F7F7F", label="proportional")
        axis.set(xlabel=f"{name}, times the notebook's", ylabel="seconds a step", ylim=(0, None), xticks=x)
    axes[0].legend()
    four = {name: found[name][4] / found[name][1] for name in ("rows", "length")}
    fig.suptitle(
        f"Four times the rows cost {four['rows']:.1f} times as much, four times the length {four['length']:.1f}",
        x=0.01,
        ha="left",
        fontweight="bold",
    )
    fig.savefig(RESULTS / "growth.png", metadata={"Software": ""})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--peak", choices=SIDES, help="only train this side for two steps, and print the peak in GiB")
    options = parser.parse_args()
    transformers_logging.set_verbosity_error()
    if options.peak:
        return train_alone(options.peak)
    profile = runtime.start("embedded", max_steps=options.steps, logging_steps=1)
    report = {"peak_memory_gib": {name: peak_gib(name) for name in SIDES}}  # before this process holds a model
    report["busy_neighbour"] = neighbour.in_own_process()
    student, rows = load_student(profile), rows_for(profile, "train")[: 6 * options.steps]
    report |= train_both(profile, student, rows, options.repeats)
    report["max_loss_difference_float32"] = difference_in_float32(profile, student, rows)
    report["generation"] = {
        str(d).split(".")[1]: generate_both(d, options.repeats) for d in (torch.float32, torch.bfloat16)
    }
    report["slider_ms"] = slider_ms()
    keep("bench", report)  # what follows takes longest
    machine.release_memory()
    report["growth"] = growth(profile, student)
    draw(report["growth"])
    keep("bench", report)
    print(
        f"training {report['train_ratio']:.2f}x, peak memory "
        + " against ".join(f"{gib:.1f} GiB ({name})" for name, gib in report["peak_memory_gib"].items())
    )
    for name, values in report["generation"].items():
        print(
            f"generation, {name}: " + ", ".join(f"{way} {r:.2f}x" for way, r in values["ratio"].items()),
            f"| same greedy rows {values['same_greedy_rows']:.0%}",
        )
    told = report["busy_neighbour"]
    print(
        f"beside one busy program, on {told['threads']} threads: 20 tokens {told['generation']['ratio']:.2f}x as long, "
        f"a training step {told['training']['ratio']:.2f}x"
    )
    print(machine.hardware())
    last = {name: round(report[name], 4) for name in ("train_ratio", "reference_ratio")}
    last["busy_neighbour_ratio"] = round(max(told[kind]["ratio"] for kind in ("generation", "training")), 4)
    last["hardware"] = machine.hardware()
    last["generate_ratio"] = round(report["generation"]["float32"]["ratio"]["greedy"], 4)
    last |= {name: round(report[name], 5) for name in ("matmul_share", "max_loss_difference")}
    last["max_loss_difference_float32"] = report["max_loss_difference_float32"]
    print(json.dumps(last))


if __name__ == "__main__":
    main()
