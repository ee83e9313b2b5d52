"""The work in each notebook, counted from a profile: operations of matrix products, by kind.

"training" is the steps of a training and all reading of whole texts (log-probabilities, perplexities, prompts);
"writing" is the making of new tokens, a few rows at a time, which reaches a much smaller share of a machine's rate.
"""

import json
from importlib import resources
from pathlib import Path

from cpt_utils.pairs import rows_for
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.rows import TARGETS
from cpt_utils.rubrics import shipped_rubrics
from cpt_utils.runtime import machine
from cpt_utils.runtime.catalogue import find_model, parameters
from cpt_utils.runtime.profiles import Profile, load_profile

TIMINGS = Path(str(resources.files("cpt_utils").joinpath("data/timings.json")))
HUB_ROWS = 900  # of vicgalle/creative-rubrics-preferences, which are not here to be counted
KINDS = ("training", "writing")


def recorded() -> dict:
    """data/timings.json: {"characters_per_token", "runs": one for each kind of machine}."""
    return json.loads(TIMINGS.read_text("utf-8"))


def prompt_of(row: dict) -> str:
    return "".join(turn["content"] for turn in row["prompt"])


def characters(profile: Profile, rows: list[dict]) -> float:
    """What one pass over rows reads, in characters; in packed batches each prompt and response is read once."""
    total, step = 0, profile.rows_per_batch
    packed = profile.mirrored and machine.engine(profile) == "transformers"
    room = profile.max_length * recorded()["characters_per_token"]  # of a prompt and a response
    for start in range(0, len(rows), step):
        batch = rows[start : start + step]
        prompts = [prompt_of(row) for row in batch for _ in range(2)]
        responses = [(prompt_of(row), row[side][0]["content"]) for row in batch for side in ("chosen", "rejected")]
        if packed:
            prompts, responses = set(prompts), set(responses)
        total += sum(map(len, prompts)) + sum(min(len(text), room - len(prompt)) for prompt, text in responses)
    return total


def pass_flops(profile: Profile, rows: list[dict]) -> float:
    """Operations of one training pass over rows: forwards, and backwards to the inputs of frozen weights."""
    return training_factor(profile) * weights(profile) * characters(profile, rows) / recorded()["characters_per_token"]


def training_factor(profile: Profile) -> int:
    """Operations for each weight and token: 2 forwards, 2 backwards, and 2 where blocks are computed again."""
    return 6 if profile.gradient_checkpointing else 4


def weights(profile: Profile) -> int:
    return parameters(find_model(profile.student)["shape"])


def part_tokens(profile: Profile, part: str) -> tuple[int, float]:
    """Rows of "train" or "heldout", and the tokens of one pass over them; for data of the Hub a guess at both."""
    if profile.data == "recorded":
        rows = rows_for(profile, part)
        return len(rows), characters(profile, rows) / recorded()["characters_per_token"]
    count = HUB_ROWS // 10 if part == "heldout" else HUB_ROWS - HUB_ROWS // 10
    return count, 2 * count * min(profile.max_length, prompt_tokens() + profile.max_new_tokens)


def prompt_tokens() -> float:
    """Mean tokens of a system prompt and a prompt."""
    rows = rows_for(load_profile("embedded"), "heldout")
    return sum(len(prompt_of(row)) for row in rows) / len(rows) / recorded()["characters_per_token"]


def response_tokens() -> float:
    """Mean tokens of a recorded response."""
    texts = [row["response"] for row in load_responses()]
    return sum(map(len, texts)) / len(texts) / recorded()["characters_per_token"]


def steps_of(profile: Profile, rows: int) -> float:
    """Optimizer steps of a training over so many rows."""
    per_step = profile.rows_per_batch * profile.batches_per_step
    return profile.max_steps if profile.max_steps > 0 else profile.epochs * rows / per_step


def work(profile: Profile) -> dict[str, dict[str, float]]:
    """{notebook: {"training", "writing"}}: operations that its models need."""
    counts = {
        "01": {},
        "02": generation(profile),
        "03": pairs(profile),
        "04": training(profile),
        "05": comparison(profile),
        "06": capstone(profile),
        "07": online(profile),
        "08": {},
        "09": {},  # one text
    }
    one = weights(profile)
    factors = {"reading": 2 * one, "training": training_factor(profile) * one, "writing": 2 * one}
    by_notebook = {}
    for number, tokens in counts.items():
        operations = {kind: factors[kind] * count for kind, count in tokens.items()}
        reading = operations.get("reading", 0) + operations.get("training", 0)
        by_notebook[number] = {"training": reading, "writing": operations.get("writing", 0)}
    return by_notebook


def generation(profile: Profile) -> dict[str, float]:
    """Notebook 02: one text for each rubric and target."""
    texts = len(shipped_rubrics()) * len(TARGETS)
    return {"reading": texts * prompt_tokens(), "writing": texts * profile.max_new_tokens}


def pairs(profile: Profile) -> dict[str, float]:
    """Notebook 03: half of the held-out rows, unless their log-probabilities are shipped."""
    return {"reading": 0.0 if shipped(profile) else part_tokens(profile, "heldout")[1] / 2}


def shipped(profile: Profile) -> bool:
    """Whether the log-probabilities of the profile's rows under its student come with the series (logps.py)."""
    return profile.data == "recorded" and profile.student == "embedded"


def training(profile: Profile) -> dict[str, float]:
    """Notebook 04: the steps, the evaluations, and log-probabilities of the reference where none are shipped."""
    rows, tokens = part_tokens(profile, "train")
    held = part_tokens(profile, "heldout")[1]
    steps = steps_of(profile, rows)
    passes = steps * profile.rows_per_batch * profile.batches_per_step / rows
    reference = 0.0 if shipped(profile) else tokens + held
    return {"training": passes * tokens, "reading": reference + held * (steps // profile.eval_steps)}


def comparison(profile: Profile) -> dict[str, float]:
    """Notebook 05: samples of both models, paraphrases of one, perplexities, word-order gains, half the rows twice."""
    prompts = len(load_prompts(heldout=True)[: profile.heldout_prompts])
    tasks = prompts * len(shipped_rubrics()) * len(TARGETS)
    texts = tasks * (2 * profile.samples_per_prompt + 1)
    read = 3 * tasks * (prompt_tokens() + response_tokens()) + part_tokens(profile, "heldout")[1]
    read += 2 * texts * response_tokens()  # as written, and with the words shuffled
    return {"reading": read, "writing": texts * profile.max_new_tokens}


def capstone(profile: Profile) -> dict[str, float]:
    """Notebook 06: tries of the teacher, a training on the best, samples of both models."""
    sizes, own = profile.for_capstone(), profile.capstone
    targets, new = len(TARGETS), sizes.max_new_tokens
    tries = own.candidates * (sizes.train_prompts + own.watch_prompts) * targets
    samples = 2 * sizes.heldout_prompts * targets * sizes.samples_per_prompt
    rows = sizes.train_prompts * targets * (targets - 1)
    steps = steps_of(sizes, rows)
    sequences = targets * targets  # a batch: each response under each system prompt
    return {
        "writing": (tries + samples) * new,
        "training": steps * sequences * (prompt_tokens() / targets + new),
        "reading": (tries + samples) * new,
    }


def online(profile: Profile) -> dict[str, float]:
    """Notebook 07: every step writes its texts and trains on them."""
    sizes = profile.online
    texts = sizes.steps * sizes.texts
    whole = texts * (prompt_tokens() + sizes.new_tokens)
    return {"writing": texts * sizes.new_tokens, "training": whole}
