"""What only a GPU can show: `pytest -m gpu`. Skipped, and said so in the README, where CUDA is absent.

`DRY=1 pytest -m gpu` rehearses them on a processor. How much memory a 4-billion model takes, and what unsloth does
in the notebooks' steps, are stages of `make gpu`.
"""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch

from benchmarks.gpu import students, trials
from cpt_utils.fast.decoding import generate
from cpt_utils.models import adapters, loading
from cpt_utils.runtime import files, machine, profiles

REHEARSED = bool(os.environ.get("DRY"))
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (torch.cuda.is_available() or REHEARSED), reason="no CUDA GPU"),
]
SHAPE = {
    "layers": 4,
    "hidden": 256,
    "intermediate": 512,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 64,
    "vocab": 49152,
    "tied": True,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return students.save_random(tmp_path_factory.mktemp("students") / "small", SHAPE)


def profile_of(folder, **changes):
    optimizer = {"optimizer": "adamw_torch"} if REHEARSED else {}  # the 8-bit one is for GPUs
    short = {"max_steps": 4, "learning_rate": 1e-4, "seed": 1, "engine": "transformers"}
    return profiles.load_profile("t4").replace(student=str(folder), **short | optimizer | changes)


def train(profile, rows, folder, kind=None):
    trainer = trials.build(profile, rows, folder, kind=kind)
    trainer.train()
    return trainer, trials.losses(trainer)


@pytest.fixture(params=["float16", "bfloat16"])
def half(request, monkeypatch):
    """float16 is what a T4 trains in."""
    if request.param == "float16" and machine.device() == "cpu":
        pytest.skip("a processor cannot train in float16")
    monkeypatch.setenv("CPT_PRECISION", request.param)
    return request.param


def test_four_bit_training_in_either_half_precision(small, rows, tmp_path, half):
    """In float16 the gradient scaler must accept the adapters."""
    trainer, losses = train(profile_of(small), rows[:16], tmp_path)
    assert trials.half_precision(trainer) == half
    assert losses[0] == pytest.approx(0.6931, abs=0.02) and all(map(torch.isfinite, map(torch.tensor, losses)))
    assert {p.dtype for p in trainer.model.parameters() if p.requires_grad} == {torch.float32}
    assert [m for m in trainer.model.modules() if type(m).__name__ == "Linear4bit"]
    scaler = trainer.accelerator.scaler
    assert scaler is None or scaler.get_scale() > 1, "too many steps overflowed"


@pytest.mark.parametrize("four_bit", [False, True], ids=["whole", "nf4"])
def test_packed_and_unpacked_have_the_same_losses(small, rows, tmp_path, half, four_bit):
    from cpt_utils.training import MirroredDPOTrainer, PairedDPOTrainer

    profile = profile_of(small, four_bit=four_bit, learning_rate=1e-3)
    packed, plain = (train(profile, rows[:16], tmp_path, kind)[1] for kind in (MirroredDPOTrainer, PairedDPOTrainer))
    assert packed == pytest.approx(plain, abs=0.06)
    assert packed[-1] < packed[0]


def answers(chat_model, temperature, **options):
    """New tokens for two left-padded prompts, as chat writes them and from model.generate."""
    texts = ["The pigeons", "Write field notes on the pigeons in a railway station."]
    batch = chat_model.tokenizer(texts, return_tensors="pt", padding=True).to(chat_model.model.device)
    ours = generate(
        chat_model.model, batch, max_new_tokens=40, ends=[2], pad_token_id=2, temperature=temperature, **options
    )
    with torch.inference_mode():
        whole = chat_model.model.generate(
            **batch, max_new_tokens=40, eos_token_id=2, pad_token_id=2, do_sample=temperature > 0, **options
        )
    return ours, whole[:, batch["input_ids"].shape[1] :]


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_chat_writes_what_generate_writes(small, penalty):
    """In float32, where ties are rare, every greedy token is the same, in a rehearsal from our own loop."""
    chat_model = loading.load_student(profile_of(small, four_bit=False), dtype=torch.float32)
    with torch.no_grad():
        for weight in chat_model.model.parameters():
            if weight.dim() > 1:
                weight.mul_(8)  # larger weights make its choices vary
    ours, library = answers(chat_model, 0.0, repetition_penalty=penalty)
    assert torch.equal(ours, library[:, : ours.shape[1]]) and len(ours.unique()) > 10


def test_sampling_from_four_bits_stays_in_the_vocabulary(small, half):
    chat_model = loading.load_chat_model(profile_of(small))
    ours, library = answers(chat_model, 0.7)
    assert ours.shape == library.shape == (2, 40) and ours.device.type == machine.device()
    assert 0 <= int(ours.min()) and int(ours.max()) < SHAPE["vocab"] and len(ours.unique()) > 20


def test_an_adapter_trained_here_answers_on_the_processor(small, rows, tmp_path, monkeypatch):
    trainer, _ = train(profile_of(small, four_bit=False), rows[:16], tmp_path)
    adapters.save_adapter(trainer.model, tmp_path / "adapter", "x/y")
    monkeypatch.setenv("CPT_DEVICE", "cpu")
    tuned = loading.load_chat_model(profile_of(small, four_bit=False), tmp_path / "adapter")
    assert tuned.model.device.type == "cpu"
    ids = torch.tensor([trainer.train_dataset[0]["prompt_ids"]])
    with torch.no_grad():
        here = tuned.model(ids).logits.float()
        there = trainer.model.eval()(ids.to(trainer.model.device)).logits.float().cpu()
    torch.testing.assert_close(here, there, rtol=0.1, atol=0.05)


def test_unsloth_path_agrees_with_the_plain_one(small, rows, tmp_path):
    """unsloth changes the libraries that it is imported with, so it trains in a process of its own."""
    if not torch.cuda.is_available() or not importlib.util.find_spec("unsloth"):
        pytest.skip("needs unsloth and a GPU")
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(rows[:16]))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu.trials", small, str(data)],
        cwd=files.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    _, losses = train(profile_of(small), rows[:16], tmp_path)
    assert told["engine"] == "unsloth" and told["losses"] == pytest.approx(losses, abs=0.05)
