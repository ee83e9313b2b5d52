"""Shared fixtures. The network is refused in every test: only addresses of this machine may be reached."""

import os
import re
import socket
import threading
import time

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
WORK = "cpt-work"  # the threads of widgets.work; not imported, as conftest is to be light
LOCAL = {"127.0.0.1", "::1", "localhost"}


def asks_for_gpu(marks: str) -> bool:
    """Whether an expression of pytest's -m takes the tests marked `gpu`: "gpu and not slow", but not "not gpu"."""
    return re.search(r"(?<!\bnot )\bgpu\b", marks) is not None


def pytest_configure(config):
    """Tests see the GPU where they are asked for by their mark; everything else runs on the CPU everywhere."""
    if not asks_for_gpu(config.getoption("markexpr")):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def pytest_collection_modifyitems(items):
    """The longest file first: `make test` runs two at a time, and at the end would wait for it."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL:
            raise OSError(f"the network is refused in tests: {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def nothing_started(monkeypatch):
    """Each test begins as a process does in which no profile was started."""
    from cpt_utils.runtime import profiles

    monkeypatch.setattr(profiles, "_started", [])


@pytest.fixture(autouse=True)
def nothing_at_work(monkeypatch):
    """A studio's thread ends with its test: it would meet the next one's patches, or the interpreter's end."""
    yield
    deadline = time.monotonic() + 60  # for all of them: one may begin another as its last act
    while left := [thread for thread in threading.enumerate() if thread.name == WORK]:
        left[0].join(max(0.0, deadline - time.monotonic()))
        assert not left[0].is_alive(), "a test left a studio's work going that does not end by itself"


@pytest.fixture
def own_runs(monkeypatch, tmp_path):
    """The runs are the test's own, so that studios keep there what is one person's (widgets.apart)."""
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))


@pytest.fixture(scope="session")
def tokenizer():
    from transformers import AutoTokenizer

    from cpt_utils.models.embedded import embedded_model_path

    return AutoTokenizer.from_pretrained(embedded_model_path())


@pytest.fixture
def tiny_model(tokenizer):
    """A random two-layer Llama over the real vocabulary, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return AutoModelForCausalLM.from_config(config)


@pytest.fixture(scope="session")
def whole_rows():
    """Mirrored rows of two training prompts, for two rubrics (24 rows)."""
    from cpt_utils.pairs import build_mirrored_pairs
    from cpt_utils.prompts import load_prompts, load_responses

    prompts = [p["prompt"] for p in load_prompts(heldout=False)][:2]
    return build_mirrored_pairs(
        [r for r in load_responses(False) if r["prompt"] in prompts and r["rubric"] in ("rococo", "chaos_cinema")]
    )


@pytest.fixture(scope="session")
def rows(whole_rows):
    return whole_rows


@pytest.fixture(scope="session")
def begun_rows(whole_rows):
    """The same with the first 30 words of each text, spaces as they are, for what does not depend on its length.

    The tiny model has the real vocabulary, and its steps take as long as there are words to predict.
    """

    def begun(turns):
        return [turn | {"content": re.match(r"\s*(?:\S+\s+){0,29}\S+", turn["content"])[0]} for turn in turns]

    return [row | {side: begun(row[side]) for side in ("chosen", "rejected")} for row in whole_rows]
