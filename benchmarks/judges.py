"""What the offline judges are fitted from: the embeddings of the graded texts, and the model of word order.

`make judges`: again when responses.jsonl, corpus.jsonl or the embedding model change. Seconds.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from cpt_utils import judging, word_order
from cpt_utils.models.embedding import embedder
from cpt_utils.prompts import graded_texts
from cpt_utils.runtime.files import ROOT

DATA = ROOT / "cpt_utils" / "data"


def write(folder: Path = DATA) -> None:
    """Both files: embeddings (texts, 384) in the order of prompts.graded_texts, and the weights of word_order.fit."""
    texts = [row["response"] for row in graded_texts()]
    save_file({"embeddings": embedder()(texts).astype(np.float16)}, folder / judging.FEATURES)
    save_file(word_order.fit(texts), folder / word_order.FILE)
    print(f"{len(texts)} graded texts: {judging.FEATURES} and {word_order.FILE}")


if __name__ == "__main__":
    write()
