"""Three ways to steer, alike to ask: prompting, a steering vector, and the tuned model (CPT)."""

import random

import torch

from benchmarks.answers import base_model, tuned_model
from benchmarks.measured import committed
from benchmarks.steering import diff_means, steered
from benchmarks.trainings import FOLDER
from cpt_utils.models.conversation import ChatModel, chat
from cpt_utils.models.logps import weights_hash
from cpt_utils.prompts import load_responses
from cpt_utils.runtime import files

WAYS = ("prompting", "vector", "cpt")
ALONE = "base, steering vector"
"""The ablation's name of what steers here: a vector without a system prompt."""


def model_of(way: str) -> ChatModel:
    """Base, or tuned."""
    return tuned_model() if way == "cpt" else base_model()


def chosen_vector() -> dict:
    """{chosen: {layer, strength}, own: {rubric: score}}, as `make ablation` found them on training prompts."""
    return committed("ablation")["steering"][ALONE]


def kept_vectors(base: ChatModel, layer: int) -> dict[str, torch.Tensor]:
    """Each rubric's vector (width,) at this layer, read from all recorded texts once: units are processes."""
    from safetensors.torch import load_file, save

    texts = [[row["rubric"], row["target"], row["response"]] for row in load_responses(heldout=False)]
    key = files.json_hash([weights_hash(base.model), layer, texts], 12)
    place = FOLDER / f"vectors-{key}.safetensors"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(place, save({rubric: at[layer] for rubric, at in diff_means(base, (layer,)).items()}))
    return load_file(place)


class Vectors:
    """Each rubric's vector of one point of score, and the model's own score without any: what a target adds."""

    def __init__(self, base: ChatModel):
        found = chosen_vector()
        self.chosen, self.own = found["chosen"], found["own"]
        self.vectors = kept_vectors(base, self.chosen["layer"])

    def of(self, targets: dict[str, float]) -> torch.Tensor:
        """What asks for these targets, one for each rubric named: (width,)."""
        strength = self.chosen["strength"]
        return sum(strength * (t - self.own[name]) * self.vectors[name] for name, t in targets.items())

    def added(self, model, targets: dict[str, float]):
        """Inside, the model is steered towards the targets (steering.steered)."""
        return steered(model, self.chosen["layer"], self.of(targets))


def say(model: ChatModel, way: str, cases: list[dict], vectors: Vectors | None = None, seed: int = 42, **options):
    """One text to each case {turns, targets}; with a vector the system turn is left out, and targets are added.

    `targets` names a number for each rubric asked for; none asks for nothing. Cases that share them are written
    together, each group under a seed of its own, or equal prompts would draw the same tokens.
    """
    if way != "vector":
        return chat(model, [case["turns"] for case in cases], seed=seed, **options)
    groups: dict[tuple, list[int]] = {}
    for place, case in enumerate(cases):
        groups.setdefault(tuple(case["targets"].items()), []).append(place)
    texts = [""] * len(cases)
    for number, (targets, places) in enumerate(groups.items()):
        turns = [[turn for turn in cases[place]["turns"] if turn["role"] != "system"] for place in places]
        if targets:
            with vectors.added(model.model, dict(targets)):
                found = chat(model, turns, seed=100 * seed + number, **options)
        else:
            found = chat(model, turns, seed=100 * seed + number, **options)
        for place, text in zip(places, found):
            texts[place] = text
    return texts


def mistyped(text: str) -> str:
    """The text with two neighbouring letters changed in half of its longer words, always the same ones."""
    chance, words = random.Random(text), text.split(" ")
    for place, word in enumerate(words):
        if len(word) > 3 and word[:4].isalpha() and chance.random() < 0.5:
            at = chance.randrange(1, 3)
            words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
