"""Sense: two numbers that a text of the right style and the wrong words does not get. No judge is asked.

*Topic*: is the own prompt the nearest of 26, by sentence embeddings? It needs prompts that differ, and it rises when a
text repeats its prompt (count `copied`). *Word-order gain* (`order_gain`): how much worse a language model predicts a
text whose words are shuffled. It is that model's view: what it never learned to predict gains little, and repetition
gains much.
"""

import random
from pathlib import Path

import numpy as np

from cpt_utils.measures import words_of
from cpt_utils.rows import Response
from cpt_utils.runtime import files, kept
from cpt_utils.word_order import shuffled

OTHERS = 25
"""Prompts that the own one stands among: the own is the nearest of 26 for 1 in 26 texts by chance."""
FILE = "order_gains.json"


def topic_ranks(rows: list[Response], prompts: list[str] | None = None, seed: int = 0) -> np.ndarray:
    """The place of each row's own prompt among it and 25 others, by nearness to the response: (rows,), 1 the nearest.

    The others are drawn from `prompts` (default: all that are shipped), the same for every response to a prompt.
    """
    from cpt_utils.models.embedding import embedder
    from cpt_utils.prompts import load_prompts

    prompts = prompts or [prompt["prompt"] for prompt in load_prompts()]
    embed, ranks = embedder(), []
    for row in rows:
        pool = sorted(set(prompts) - {row["prompt"]})
        # A random generator takes a text as its seed and hashes it in the same way everywhere.
        others = random.Random(f"{seed} {row['prompt']}").sample(pool, min(OTHERS, len(pool)))
        near = embed([row["prompt"], *others]) @ embed([row["response"]])[0]
        ranks.append(1 + int((near[1:] >= near[0]).sum()))
    return np.array(ranks, int)


def order_gains(chat_model, texts: list[str], folder: Path | None = None) -> np.ndarray:
    """Nats a word that the model loses when each text's words are shuffled: (texts,); nan for under 2 words.

    Costs two passes over the text. What the package or `folder` knows, under hashes of the weights and the text, is
    taken from there; what had to be computed is kept in `folder`.
    """
    from cpt_utils.models.logps import weights_hash

    model_key = weights_hash(chat_model.model)
    known = kept.known_numbers(FILE, folder, model_key)
    keys = [files.json_hash(text, 16, ascii=True) for text in texts]
    missing = {key: text for key, text in zip(keys, texts) if key not in known and len(text.split()) > 1}
    if missing:
        gains = measured_gains(chat_model, list(missing.values()))
        new = {key: round(float(gain), 4) for key, gain in zip(missing, gains)}
        known |= new
        if folder:
            kept.keep_numbers(folder / FILE, model_key, new)
    return np.array([known.get(key, np.nan) for key in keys])


def measured_gains(chat_model, texts: list[str]) -> np.ndarray:
    """`order_gains` of texts of 2 words or more, with nothing looked up or kept: for one text at a time."""
    from cpt_utils.models.logps import text_logps

    words = np.array([len(text.split()) for text in texts])
    sound, _ = text_logps(chat_model, texts)
    mixed, _ = text_logps(chat_model, [shuffled(text) for text in texts])
    return (sound - mixed) / words


def copied(texts: list[str], sources: list[str], length: int = 5) -> float:
    """Share of the texts' runs of `length` words that a source holds too."""

    def runs(text: str) -> list[tuple]:
        words = words_of(text)
        return [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]

    known = {run for source in sources for run in runs(source)}
    held = [run in known for text in texts for run in runs(text)]
    return float(np.mean(held)) if held else 0.0
