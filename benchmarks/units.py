"""The measurements of `make ablation`, one function each: every one returns a JSON-able dict."""

import random
import time
from itertools import chain, combinations

import numpy as np
import torch
import yaml
from datasets import Dataset
from second_judge import ngram_judge
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
    set_seed,
)

from cpt_utils.bestof import MISS
from cpt_utils.evaluation import answer_tasks, best_of_n, evaluation_tasks, side_effects, steerability
from cpt_utils.judging import degeneracy, embedded_judge, judge_rows
from cpt_utils.models.adapters import find_adapter, lora_config, save_adapter
from cpt_utils.models.conversation import chat, fit_rows, templated
from cpt_utils.models.loading import hub_name, load_chat_model, load_student
from cpt_utils.models.logps import perplexity
from cpt_utils.pairs import rows_for
from cpt_utils.prompts import load_prompts, load_responses, messages, system_prompt
from cpt_utils.rows import TARGETS, Response
from cpt_utils.runtime import files, profiles
from cpt_utils.runtime.profiles import Profile
from cpt_utils.training import MirroredDPOTrainer, dpo_gradient, dpo_settings, prepare_trainer

FOLDER = files.ROOT / "runs" / "ablation"
STEPS, ROWS, RATE = 24, 6, 1e-3  # every trained way sees 144 rows, none twice
WAYS = {  # loss, and whether mirrored rows share a step
    "SFT on the chosen": ({"sigmoid": 0.0, "sft": 1.0}, True),
    "DPO, rows shuffled": ({"sigmoid": 1.0, "sft": 0.0}, False),
    "DPO, mirrored batches": ({"sigmoid": 1.0, "sft": 0.0}, True),
    "DPO mirrored + SFT": ({"sigmoid": 1.0, "sft": 0.3}, True),
}
WORDS = yaml.safe_load((files.ROOT / "benchmarks" / "between.yaml").read_text("utf-8"))
PROMPTS = [p["prompt"] for p in load_prompts(heldout=True)]
RUBRICS = sorted(WORDS["between"])


class ShuffledDPOTrainer(MirroredDPOTrainer):
    """The same packed loss with rows shuffled one by one, as in the original release."""

    @staticmethod
    def rows_together(args) -> int:
        return 1


def settings(seed: int = 42) -> Profile:
    return profiles.load_profile("embedded").replace(seed=seed)


def options(profile: Profile) -> dict:
    return dict(profile.sampling, max_new_tokens=profile.max_new_tokens, seed=profile.seed)


def trainer_of(profile: Profile, rows: list[dict], watched: list[dict], kind=MirroredDPOTrainer, layers=None):
    """The trainer of a profile on some rows, without checkpoints."""
    set_seed(profile.seed)
    student = load_student(profile)
    arguments = dpo_settings(profile, FOLDER / "scratch")
    arguments.save_strategy = "no"
    arguments.per_device_eval_batch_size = arguments.precompute_ref_batch_size = ROWS
    return prepare_trainer(
        kind(
            model=student.model,
            args=arguments,
            processing_class=student.tokenizer,
            train_dataset=Dataset.from_list(fit_rows(student.tokenizer, rows)),
            eval_dataset=Dataset.from_list(fit_rows(student.tokenizer, watched)),
            peft_config=lora_config(profile, layers),
        )
    )


def some_rows(profile: Profile, count: int, rubrics: list[str] | None = None) -> list[dict]:
    """So many training rows: those of a prompt and rubric together, drawn by the profile's seed."""
    rows = [row for row in rows_for(profile, "train") if rubrics is None or row["rubric"] in rubrics]
    blocks = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    return list(chain.from_iterable(random.Random(profile.seed).sample(blocks, count // ROWS)))


def build(
    way: str,
    seed: int,
    rows_a_step: int = ROWS,
    rubrics: list[str] | None = None,
    steps: int | None = None,
    rate: float | None = None,
):
    """The trainer of one way on 144 rows (24 prompts and rubrics), watching held-out pairs of two prompts."""
    loss, mirrored = WAYS[way]
    steps = steps or STEPS * ROWS // rows_a_step
    profile = settings(seed).replace(
        loss=loss,
        rows_per_batch=rows_a_step,
        warmup=0.1,
        logging_steps=10,
        learning_rate=rate or RATE,
        max_steps=steps,
        eval_steps=steps // 3 if way.startswith("DPO,") else steps,
    )
    rows = some_rows(profile, steps * rows_a_step, rubrics)
    held = [r for r in rows_for(profile, "heldout") if r["prompt"][-1]["content"] in PROMPTS[:2]]
    return trainer_of(profile, rows, held, MirroredDPOTrainer if mirrored else ShuffledDPOTrainer)


def train(*arguments, **changes):
    """The trained trainer and {curve, seconds}."""
    trainer = build(*arguments, **changes)
    started = time.time()
    trainer.train()
    evals = [e for e in trainer.state.log_history if "eval_rewards/both_directions" in e]
    taken, rows_a_step = time.time() - started, trainer.args.per_device_train_batch_size
    return trainer, {
        "seconds": taken - sum(e["eval_runtime"] for e in evals),
        "rows_a_step": rows_a_step,
        "curve": [
            {
                "rows": e["step"] * rows_a_step,
                "accuracy": e["eval_rewards/accuracies"],
                "both_directions": e["eval_rewards/both_directions"],
            }
            for e in evals
        ],
    }


def scored(rows: list[Response], base) -> dict:
    """Steerability under both judges, and side effects."""
    return steerability(rows) | {
        "second_judge": steerability(judge_rows(ngram_judge(), rows), resamples=0),
        "side_effects": side_effects([row["response"] for row in rows], base),
    }


def tuned_model(adapter=None):
    profile = settings()
    return load_chat_model(profile, adapter=adapter or find_adapter(profile)[0], dtype=profile.generation_dtype)


def base_model():
    return load_chat_model(settings(), dtype=settings().generation_dtype)


def answers(model, tasks, profile, samples: int = 1) -> list[Response]:
    return answer_tasks(model, tasks, embedded_judge(), samples, **options(profile))


def written(trainer, name: str, rubrics: list[str], seed: int, samples: int = 1) -> list[Response]:
    """What the trained model writes on the held-out prompts, after its adapter is saved under `name`."""
    place = FOLDER / name.replace(" ", "_").replace(",", "")
    save_adapter(trainer.model, place, hub_name(settings()))
    return answers(tuned_model(place), evaluation_tasks(PROMPTS, rubrics), settings(seed), samples)


def method(way: str, seed: int) -> dict:
    """A trained way: its curve, what it writes on the held-out prompts, what that costs."""
    trainer, found = train(way, seed)
    return found | scored(written(trainer, f"{way}-{seed}", RUBRICS, seed), base_model())


def curve(way: str, rows_a_step: int, seed: int, rate: float | None = None) -> dict:
    return train(way, seed, rows_a_step, rate=rate)[1]


def untrained(seed: int) -> dict:
    """The base model with the system prompt, and with three recorded examples of the target in its context."""
    base, profile, tasks = base_model(), settings(seed), evaluation_tasks(PROMPTS, RUBRICS)
    shown = np.random.default_rng(seed)
    recorded, conversations = load_responses(heldout=False), []
    for task in tasks:
        mine = [r for r in recorded if (r["rubric"], r["target"]) == (task["rubric"], task["target"])]
        turns = messages(task["prompt"], task["system"])
        for i in shown.choice(len(mine), 3, replace=False):
            turns[1:1] = [
                {"role": "user", "content": mine[i]["prompt"]},
                {"role": "assistant", "content": mine[i]["response"]},
            ]
        conversations.append(turns)
    rows = answers(base, tasks, profile)
    texts = chat(base, conversations, **options(profile) | {"batch_size": 24})
    taught = judge_rows(embedded_judge(), [{**t, "response": text} for t, text in zip(tasks, texts)])
    return {"base": scored(rows, base), "base, 3 examples": scored(taught, base)}


def best(which: str, seed: int, samples: int = 16) -> dict:
    """Best-of-N (arXiv 2506.11702, section 4): distance to the target of the best of N, and what the best score."""
    model = base_model() if which == "base" else tuned_model()
    rows = answers(model, evaluation_tasks(PROMPTS, RUBRICS), settings(seed), samples)
    groups: dict[tuple, list[Response]] = {}
    for row in rows:
        groups.setdefault((row["prompt"], row["rubric"], row["target"]), []).append(row)

    def miss(row):
        return MISS if row["degenerate"] else abs(row["score"] - row["target"])

    counts, found = (1, 2, 4, 8, 16), {"curve": {}}
    for rubric in ("all", *RUBRICS):
        mine = [g for key, g in groups.items() if rubric in ("all", key[1])]
        distances, zero = np.array([[miss(row) for row in group] for group in mine]), np.zeros(len(mine))
        owners = np.array([PROMPTS.index(group[0]["prompt"]) for group in mine])
        rng = np.random.default_rng(0)
        found["curve"][rubric] = {}
        for n in counts:
            each = np.array([best_of_n(distances[[i]], zero[[i]], n) for i in range(len(mine))])
            draws = [
                np.concatenate([each[owners == p] for p in rng.integers(len(PROMPTS), size=len(PROMPTS))]).mean()
                for _ in range(1000)
            ]
            found["curve"][rubric][n] = [each.mean(), *np.percentile(draws, [2.5, 97.5])]
    base = base_model()
    found["picked"] = {n: scored([min(group[:n], key=miss) for group in groups.values()], base) for n in (4, 16)}
    return found


def left_out(rubric: str) -> dict:
    """Train mirrored + SFT on the other three rubrics, and write under this one."""
    trainer, _ = train("DPO mirrored + SFT", 42, rubrics=[r for r in RUBRICS if r != rubric])
    return {"left out": steerability(written(trainer, f"without-{rubric}", [rubric], 42, 4))}


def generalisation() -> dict:
    """Training prompts, unseen prompts, paraphrases, targets in between, and two rubrics in one system prompt."""
    model, profile, judge = tuned_model(), settings(), embedded_judge()
    seen = [p["prompt"] for p in load_prompts(heldout=False)][::4][:6]

    def say(rubric, target):
        return system_prompt(rubric, target, paraphrase=True)

    found = {
        "training prompts": steerability(answers(model, evaluation_tasks(seen, RUBRICS), profile, 2)),
        "unseen prompts": steerability(answers(model, evaluation_tasks(PROMPTS, RUBRICS), profile, 2)),
        "paraphrased": steerability(answers(model, evaluation_tasks(PROMPTS, RUBRICS, say), profile, 2)),
    }
    between = [
        {"prompt": p, "rubric": r, "target": t, "system": words}
        for p in PROMPTS
        for r in RUBRICS
        for t, words in wordings(r)
    ]
    rows = answers(model, between, profile, 2)
    found["between"] = {
        r: {
            t: by_prompt(*zip(*[(x["score"], x["prompt"]) for x in rows if (x["rubric"], x["target"]) == (r, t)]))
            for t in (10, 25, 50, 75, 95)
        }
        for r in RUBRICS
    }
    blends = [
        {
            "prompt": p,
            "rubric": a,
            "other": b,
            "system": WORDS["blend"].format(one=system_prompt(a, "high"), two=system_prompt(b, "high")),
        }
        for p in PROMPTS
        for a, b in combinations(RUBRICS, 2)
    ]
    alone = [
        {"prompt": p, "rubric": a, "other": "", "system": system_prompt(a, "high")} for p in PROMPTS for a in RUBRICS
    ]
    rows = answers(model, blends + alone, profile, 2)

    def score(one: str, other: str, rubric: str) -> list[float]:
        mine = [x for x in rows if (x["rubric"], x["other"]) == (one, other)]
        return by_prompt(
            [judge.score(rubric, x["prompt"], x["response"]).score for x in mine], [x["prompt"] for x in mine]
        )

    return found | {
        "pure": {a: {r: score(a, "", r) for r in RUBRICS} for a in RUBRICS},
        "blends": {f"{a} + {b}": {r: score(a, b, r) for r in (a, b)} for a, b in combinations(RUBRICS, 2)},
    }


def wordings(rubric: str) -> list[tuple[int, str]]:
    """(target, system prompt) of a rubric, by target: the three that are trained and those in between."""
    trained = [(target, system_prompt(rubric, target)) for target in TARGETS.values()]
    return sorted(trained + list(WORDS["between"][rubric].items()))


def by_prompt(scores: list[float], prompts: list[str]) -> list[float]:
    """Mean, and its standard error over prompts: texts about one prompt resemble each other."""
    means = [np.mean([s for s, p in zip(scores, prompts) if p == prompt]) for prompt in sorted(set(prompts))]
    return _mean(means)


def _mean(values: list[float]) -> list[float]:
    """Mean and its standard error."""
    return [float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)]


class Guidance(UnbatchedClassifierFreeGuidanceLogitsProcessor):
    """transformers' guidance, moved back to the scale of logits, so that a repetition penalty acts as it always does.

    Its log-probabilities are all negative, and on those the penalty does next to nothing.
    """

    def __call__(self, input_ids, scores):
        return super().__call__(input_ids, scores) + scores.logsumexp(-1, keepdim=True)


def dial(which: str) -> dict:
    """Classifier-free guidance between the low and the high system prompt, sampled as everywhere else."""
    chat_model, judge = base_model() if which == "base" else tuned_model(), embedded_judge()
    base = chat_model if which == "base" else base_model()
    model, tokenizer, how = chat_model.model, chat_model.tokenizer, settings().sampling
    pairs = [(p, r) for p in PROMPTS for r in RUBRICS]
    texts = {
        q: [
            templated(tokenizer, messages(p, system_prompt(r, q)), tokenize=False, add_generation_prompt=True)
            for p, r in pairs
        ]
        for q in ("low", "high")
    }
    low, high = (tokenizer(texts[q], return_tensors="pt", padding=True, add_special_tokens=False) for q in texts)
    found = {}
    for position in (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5):
        torch.manual_seed(0)
        processors = [
            Guidance(position, model, low["input_ids"], low["attention_mask"]),
            RepetitionPenaltyLogitsProcessor(how.repetition_penalty),
        ]
        with torch.inference_mode():
            out = model.generate(
                **high,
                logits_processor=LogitsProcessorList(processors),
                max_new_tokens=90,
                do_sample=True,
                temperature=how.temperature,
                top_p=how.top_p,
                top_k=0,
                pad_token_id=tokenizer.pad_token_id,
            )
        written = tokenizer.batch_decode(out[:, high["input_ids"].shape[1] :], skip_special_tokens=True)
        scores = [judge.score(r, p, text).score for (p, r), text in zip(pairs, written)]
        found[position] = {
            "score": by_prompt(scores, [p for p, _ in pairs]),
            "perplexity": perplexity(base, written),
            "degenerate": float(np.mean([bool(degeneracy(text)) for text in written])),
        }
    return found


def gradients() -> dict:
    """Do mirrored rows pull against each other, and does a step's gradient point where all pairs together do?"""
    found = {}
    for steps in (0, STEPS):  # at the start, and at the end of a training
        trainer = build("DPO, mirrored batches", 42, steps=STEPS)
        if steps:
            trainer.train()
        rows = [dpo_gradient(trainer, [row]) for row in some_rows(settings(), STEPS * ROWS)]
        found[steps] = alignment(torch.stack(rows).unflatten(0, (-1, ROWS // 2, 2)))
        del trainer
    return found


def alignment(each: torch.Tensor, draws: int = 200) -> dict:
    """From gradients (blocks, pairs, 2, weights): what the rows of a pair share, and the aim of a step.

    A mirrored step takes one block, as in training; a shuffled one as many rows, wherever they come from. The
    aim is the cosine between the step and the mean of all pairs of which the step holds no row.
    """
    pairs = each.flatten(0, 1)
    one, other = pairs.unbind(1)
    sums = one.square().sum(-1) + other.square().sum(-1)
    unconditional = (one - other).square().sum(-1) / (2 * sums)  # the part that wants one text whatever s says
    chance, aims = torch.Generator().manual_seed(0), {"mirrored": [], "shuffled": []}
    count, total = each.shape[1], pairs.mean(1).sum(0)
    for block in range(len(each)):
        aims["mirrored"].append((list(range(block * count, (block + 1) * count)), each[block].mean((0, 1))))
    for _ in range(draws):
        rows = torch.randperm(2 * len(pairs), generator=chance)[: 2 * count]
        aims["shuffled"].append(((rows // 2).unique().tolist(), pairs.flatten(0, 1)[rows].mean(0)))

    def cosine(used, step):
        return torch.cosine_similarity(step, total - pairs[used].mean(1).sum(0), dim=0).item()

    return {
        "pairs": len(pairs),
        "cosine": _mean(torch.cosine_similarity(one, other, dim=-1).tolist()),
        "unconditional_share": _mean(unconditional.tolist()),
        "aim": {name: _mean([cosine(*step) for step in steps]) for name, steps in aims.items()},
    }
