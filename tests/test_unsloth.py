"""unsloth under the series: what is asked of it, and the whole path through its patched trainer on a processor."""

import copy
import json
import math
import os
import subprocess
import sys
import types

import pytest
import torch
from conftest import asks_for_gpu
from safetensors.torch import load_file, save_file

from benchmarks.gpu import students
from cpt_utils.blocks import training_order
from cpt_utils.models import loading
from cpt_utils.models.conversation import ChatModel, chat
from cpt_utils.models.logps import response_logps
from cpt_utils.runtime import files, machine, packages, profiles
from cpt_utils.runtime.errors import SetupError

PYTHON = files.ROOT / ".unsloth" / "bin" / "python"
SHAPE = {
    "layers": 1,
    "hidden": 32,
    "intermediate": 64,
    "heads": 2,
    "kv_heads": 1,
    "head_dim": 16,
    "vocab": 49152,
    "tied": True,
}
CHANGES = {
    "engine": "unsloth",
    "four_bit": False,
    "optimizer": "adamw_torch",
    "max_length": 64,
    "batches_per_step": 1,
    "max_steps": 3,
    "warmup": 0,
    "learning_rate": 0.03,
    "seed": 1,
}


def mirrored(question: str, systems: tuple, answers: tuple) -> list[dict]:
    def turn(role, text):
        return {"role": role, "content": text}

    return [
        {
            "prompt": [turn("system", system), turn("user", question)],
            "chosen": [turn("assistant", chosen)],
            "rejected": [turn("assistant", rejected)],
        }
        for system, chosen, rejected in zip(systems, answers, reversed(answers))
    ]


@pytest.mark.slow
def test_the_whole_path_through_unsloths_trainer(tmp_path, monkeypatch):
    """Load, reference, gradient, three steps, evaluation, save, load again, chat: a process of its own, in float32."""
    monkeypatch.setenv("CPT_PRECISION", "float32")  # what it is held against, too, on a processor with bf16
    python = os.environ.get("CPT_UNSLOTH_PYTHON") or PYTHON
    if not os.path.exists(python):
        pytest.skip(
            "unsloth has an environment of its own: make unsloth (or CPT_UNSLOTH_PYTHON names a Python with it)"
        )
    rows = mirrored("Write.", ("Low.", "High."), ("one two", "red"))
    rows += mirrored("Tell me.", ("Plain.", "Odd."), ("a b", "blue sky"))
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    students.save_random(tmp_path / "student", SHAPE)
    weights = load_file(tmp_path / "student" / "model.safetensors")
    larger = {name: weight * 8 if weight.dim() > 1 else weight for name, weight in weights.items()}
    save_file(larger, tmp_path / "student" / "model.safetensors", {"format": "pt"})  # its choices vary
    done = subprocess.run(
        [str(python), "-m", "benchmarks.gpu.emulation", str(tmp_path), json.dumps(CHANGES)],
        cwd=files.ROOT,
        env=os.environ | {"CPT_RUNS": str(tmp_path / "runs"), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])

    ours, its = ["PairedDPOTrainer", "CheckedDPOTrainer"], ["UnslothDPOTrainer", "_UnslothDPOTrainer", "_BaseTrainer"]
    assert found["classes"][:5] == ours + its
    assert found["collator"] == "DataCollatorForPreference"
    assert found["settings"] == ["sequential", False, False]
    assert found["adapters"] == ["default", "ref"]
    profile = profiles.load_profile("t4").replace(**CHANGES | {"student": str(tmp_path / "student")})
    plain = loading.load_student(profile.replace(engine="transformers"), dtype=torch.float32)
    order = training_order(len(rows), profile.rows_per_batch, 1.5, profile.seed)  # three steps of two
    expected = response_logps(plain, rows)
    for base in found["base"]:  # before there is a student and after its training
        assert base == [pytest.approx(row, rel=1e-4) for row in expected.tolist()]
    for side, ours in zip(found["reference"], expected.T):
        assert side == pytest.approx(ours[order].tolist(), rel=1e-4)
    assert found["gradient"] > 0 and found["steps"] == 3
    assert found["losses"][0] == pytest.approx(math.log(2), abs=1e-4) and found["losses"][-1] < found["losses"][0]
    assert 0 <= found["both_directions"] <= 1
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(found["files"])
    assert 0 < found["rounded"] < 0.1 * found["effect"], "the adapter is saved in bf16"
    assert found["again"] == [found["here"]] * 2 and all(found["here"])
    assert (tmp_path / "made" / "UnslothDPOTrainer.py").exists()


@pytest.fixture
def asked_of_unsloth(monkeypatch, tiny_model, tokenizer):
    """What FastLanguageModel.from_pretrained is asked for; a stand-in answers."""
    asked = {}

    class FastLanguageModel:
        @staticmethod
        def from_pretrained(source, **options):
            asked.update(options, source=source)
            return tiny_model, tokenizer

    monkeypatch.setitem(sys.modules, "unsloth", types.SimpleNamespace(FastLanguageModel=FastLanguageModel))
    monkeypatch.setattr(machine, "engine", lambda profile: "unsloth")
    return asked


@pytest.mark.parametrize("number_type", ["float16", "bfloat16"])
def test_unsloth_loads_weights_in_the_type_that_is_trained_in(asked_of_unsloth, monkeypatch, number_type):
    """A GPU with bf16 emulates a T4 by CPT_PRECISION; unsloth's trainer refuses fp16 over weights in bf16."""
    monkeypatch.setattr(machine, "number_type", lambda: number_type)
    loading.load_student(profiles.load_profile("t4"))
    assert asked_of_unsloth["dtype"] == getattr(torch, number_type) and asked_of_unsloth["load_in_4bit"]


def test_options_reach_unsloth(asked_of_unsloth):
    loading.load_student(profiles.load_profile("t4"), dtype=torch.float32, device_map="cpu")
    assert asked_of_unsloth["dtype"] == torch.float32 and asked_of_unsloth["device_map"] == "cpu"


def test_unsloth_comes_before_what_it_patches(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "unsloth", raising=False)
    monkeypatch.setattr(packages, "PATCHED", ("json", "absent"))
    with pytest.raises(SetupError, match="before json, and this session has loaded that: restart the kernel"):
        packages.load_unsloth(profiles.load_profile("t4"))


def test_the_trainers_that_unsloth_writes_stay_in_the_runs_folder(monkeypatch, tmp_path):
    """It would write them where the notebook lies."""
    (tmp_path / "unsloth.py").write_text("import os\nPLACE = os.environ['UNSLOTH_COMPILE_LOCATION']\n")
    for name, value in {"CPT_RUNS": str(tmp_path / "runs"), "UNSLOTH_COMPILE_LOCATION": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UNSLOTH_COMPILE_LOCATION")
    monkeypatch.setattr(packages, "PATCHED", ())
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "unsloth", raising=False)
    packages.load_unsloth(profiles.load_profile("t4"))
    assert sys.modules.pop("unsloth").PLACE == str(tmp_path / "runs" / "t4" / "unsloth")


def test_reference_of_an_unsloth_model_needs_no_packed_masks(tiny_model, tokenizer):
    """Its attention need not see them: each sequence is computed by itself, with the same result."""
    rows = mirrored("Write.", ("Low.", "High."), ("one two", "red"))
    expected = response_logps(ChatModel(tiny_model.eval(), tokenizer, "tiny"), rows)
    seen = []
    tiny_model.for_inference = lambda: None
    tiny_model.register_forward_pre_hook(lambda model, args, options: seen.append(set(options)), with_kwargs=True)
    alone = response_logps(ChatModel(tiny_model, tokenizer, "tiny"), rows)
    assert alone.tolist() == [pytest.approx(row, rel=1e-4) for row in expected.tolist()]
    assert len(seen) == 4 and set.union(*seen) == {"input_ids"}


def test_answers_do_not_depend_on_the_side_that_the_tokenizer_pads(tiny_model, tokenizer):
    """unsloth's trainers turn it to the right, and the same tokenizer goes on to chat."""
    asked = [
        [{"role": "user", "content": text}] for text in ("Write.", "Write field notes on the pigeons in a station.")
    ]
    with torch.no_grad():
        for weight in tiny_model.parameters():
            weight.mul_(8 if weight.dim() > 1 else 1)  # its choices vary
    model, said = ChatModel(tiny_model.eval(), copy.deepcopy(tokenizer), "tiny"), {}
    for model.tokenizer.padding_side in ("left", "right"):
        said[model.tokenizer.padding_side] = chat(model, asked, max_new_tokens=8, temperature=0)
    assert said["left"] == said["right"] and all(said["left"])


def test_inference_goes_through_the_engine_of_the_profile(asked_of_unsloth):
    """A model that transformers loaded stops answering once unsloth has loaded another."""
    loading.load_chat_model(profiles.load_profile("t4"))
    assert asked_of_unsloth["load_in_4bit"]


@pytest.mark.parametrize(
    "marks, asked",
    [("gpu", True), ("gpu and not slow", True), ("slow or gpu", True), ("not gpu", False), ("not slow", False)],
)
def test_tests_asked_for_by_the_mark_gpu_see_it(marks, asked):
    assert asks_for_gpu(marks) == asked
