"""What the series takes a machine to be, and that it goes on where an ability is missing."""

import ctypes
import os
import re
import subprocess
import sys
import types

import psutil
import pytest
import torch

from cpt_utils import runtime
from cpt_utils.fast import attention, cache, decoding, output_layer, packing, switch, weights
from cpt_utils.runtime import files, heap, machine, needs, profiles
from cpt_utils.runtime.errors import SettingsError

OLDER_PROCESSOR = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


@pytest.fixture(autouse=True)
def asked_afresh(monkeypatch):
    for name in ("CPT_DEVICE", "CPT_PRECISION", "CPT_FAST_PATHS", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    switch.forget()
    yield
    switch.forget()


def broken(*args, **kwargs):
    raise NotImplementedError("not on this machine")


def wrong(layer):
    return lambda x: torch.nn.functional.linear(x, layer.weight, layer.bias) + 1


ABILITIES = {  # name: (object, attribute, what stands there instead)
    "oneDNN operators": (torch.ops, "mkldnn", types.SimpleNamespace()),
    "right oneDNN products": (weights, "onednn_product", wrong),
    "own attention": (attention, "_next_token", broken),
    "packed attention": (attention, "_packed_rows", broken),
    "a cache that grows": (cache.RoomyLayer, "update", broken),
    "fused log-probabilities": (output_layer.TokenLogps, "forward", broken),
}


def take_away(name, monkeypatch):
    """Make this a machine that lacks one ability, or all of them."""
    if name == "fast paths":
        monkeypatch.setenv("CPT_FAST_PATHS", "off")
    for ability, (place, attribute, instead) in ABILITIES.items():
        if name in (ability, "all of them"):
            monkeypatch.setattr(place, attribute, instead)
    switch.forget()


def greedy(model):
    ids = torch.tensor([[0, 0, 5, 9, 14], [7, 1, 30, 11, 8]])
    batch = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    return decoding.generate(model, batch, max_new_tokens=24, ends=[2], pad_token_id=0, repetition_penalty=1.1)


def logps_and_gradient(model):
    rows = [
        {"prompt_ids": [5, 6, 7], "chosen_ids": [8, 9, 10], "rejected_ids": [11, 12]},
        {"prompt_ids": [4, 6, 7], "chosen_ids": [11, 12], "rejected_ids": [8, 9, 10]},
    ]
    model.zero_grad()
    model.lm_head.requires_grad_(False)
    logps, _ = packing.packed_logps(model, packing.PackedCollator(0)(rows))
    logps.pow(2).sum().backward()
    return logps.detach(), model.model.layers[0].self_attn.q_proj.weight.grad


@pytest.mark.parametrize("ability", [*ABILITIES, "all of them", "fast paths"])
def test_the_same_texts_and_losses_without_each_ability(ability, monkeypatch):
    model = switch.small_model(seed=3)
    tokens, numbers = greedy(model), logps_and_gradient(model)
    take_away(ability, monkeypatch)
    torch.testing.assert_close(greedy(model), tokens)
    torch.testing.assert_close(logps_and_gradient(model), numbers, rtol=1e-4, atol=1e-5)
    assert any(switch.states().values()) or ability == "fast paths"
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    "mode",
    [
        torch.enable_grad,
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
    ],
    ids=["gradients", "no_grad", "inference_mode", "autocast"],
)
def test_the_answer_does_not_depend_on_who_asks_first(mode):
    """A base model is measured under inference_mode before anything is trained."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    with mode():
        decoding.loop_works(), output_layer.head_works(), weights.layout_works(torch.float32)
        attention.attention_works("packed"), attention.attention_works("one_token")
    assert len(switch.states()) == 5 and set(switch.states().values()) == {""}


def test_a_path_that_is_off_is_said_once(monkeypatch, capsys):
    monkeypatch.setattr(weights, "onednn_product", broken)
    for _ in range(3):
        assert not weights.layout_works(torch.float32)
    assert capsys.readouterr().out.count("note: oneDNN's layout of float32 weights is off here (NotImplemented") == 1


def test_asking_draws_nothing_from_the_global_generator():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert decoding.loop_works() and attention.attention_works("packed")
    torch.testing.assert_close(torch.rand(3), expected)


@pytest.mark.parametrize(
    "known, allowed, expected, number",
    [
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": True}, "AVX512", "AVX-512-BF16", "bfloat16"),
        ({"architecture": "x86_64", "avx512_f": True, "amx_bf16": True}, "AVX512", "AMX-BF16", "bfloat16"),
        ({"architecture": "x86_64", "avx512_f": True}, "AVX512", "AVX-512", "float32"),
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": True}, "AVX2", "AVX2", "float32"),
        ({"architecture": "x86_64", "avx2": True}, "AVX2", "AVX2", "float32"),
        ({"architecture": "arm64"}, "DEFAULT", "NEON", "float32"),
        ({"architecture": "aarch64", "bf16": True}, "SVE256", "NEON with bf16", "bfloat16"),
    ],
)
def test_bf16_only_where_the_processor_multiplies_it(monkeypatch, known, allowed, expected, number):
    monkeypatch.setattr(machine, "device", lambda: "cpu")
    monkeypatch.setattr(machine, "capabilities", lambda: known)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: allowed)
    assert machine.instruction_set() == expected and machine.number_type() == number
    assert machine.training_arguments() == {"use_cpu": True, "bf16": number == "bfloat16", "fp16": False}
    assert machine.hardware().endswith(f"{expected}: {number}")


def test_without_onednn_a_processor_has_no_use_for_bf16(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert machine.number_type() == "float32"


@pytest.mark.parametrize("native, number", [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_without_bf16_takes_fp16(monkeypatch, native, number):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)
    assert machine.device() == "cuda" and machine.number_type() == number
    assert machine.training_arguments() == {"use_cpu": False, "bf16": native, "fp16": not native}
    monkeypatch.setenv("CPT_DEVICE", "cpu")
    assert machine.device() == "cpu" and machine.training_arguments()["use_cpu"]


def test_an_apple_gpu_that_refuses_is_not_used(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)  # and yet it computes nothing here
    machine.mps_works.cache_clear()
    assert machine.device() == "cpu"
    machine.mps_works.cache_clear()


@pytest.mark.parametrize(
    "variables, said",
    [
        ({"CPT_DEVICE": "tpu"}, "CPT_DEVICE is 'tpu': set it to cpu, cuda or mps"),
        ({"CPT_DEVICE": "cuda"}, "PyTorch sees no CUDA GPU"),
        ({"CPT_DEVICE": "mps"}, "PyTorch cannot compute on an Apple GPU here"),
        ({"CPT_PRECISION": "int8"}, "CPT_PRECISION is 'int8': set it to float32"),
        ({"CPT_PRECISION": "fp16"}, "in which a processor cannot train"),
    ],
)
def test_overrides_that_cannot_work_say_so(monkeypatch, variables, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        machine.training_arguments()


@pytest.mark.parametrize("given, number", [("fp32", "float32"), ("BF16", "bfloat16"), ("auto", None)])
def test_precision_can_be_chosen(monkeypatch, given, number):
    expected = number or machine.number_type()
    monkeypatch.setenv("CPT_PRECISION", given)
    assert machine.number_type() == expected


def test_start_and_hardware_need_nothing_that_only_linux_has(monkeypatch, capsys):
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(heap.sys, "platform", "win32")
    monkeypatch.setattr(machine, "_cpuinfo", lambda field: "")
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    machine.capabilities.cache_clear()
    try:
        runtime.start("embedded")
        assert "GiB" in machine.hardware() and machine.hardware() in capsys.readouterr().out
        heap.keep_freed_memory(), heap.release_memory()
    finally:
        machine.capabilities.cache_clear()


@pytest.mark.parametrize("library", [OSError, types.SimpleNamespace])
def test_another_c_library_is_left_alone(monkeypatch, library):
    def load(name):
        if library is OSError:
            raise OSError(name)
        return library()  # musl: no mallopt

    monkeypatch.setattr(ctypes, "CDLL", load)
    heap.keep_freed_memory()
    heap.release_memory()


def test_modules_for_one_system_are_not_imported():
    for path in (files.ROOT / "cpt_utils").glob("**/*.py"):
        source = path.read_text("utf-8")
        assert not re.search(r"import (resource|fcntl|pwd|termios)\b|os\.(sysconf|fork|uname)\b", source), path.name
        assert "text=True" not in source, f"{path.name}: name the encoding of what a program says"


def test_little_memory_is_seen(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(total=2**32, available=2**30))
    assert machine.total_memory_gib() == 4 and machine.free_memory_gib() == 1


@pytest.fixture
def free_memory(monkeypatch):
    """Sets how many GiB of this machine's memory are free."""

    def set_free(gib):
        told = types.SimpleNamespace(total=2**35, available=int(gib * 2**30))
        monkeypatch.setattr(psutil, "virtual_memory", lambda: told)

    return set_free


def start_says(capsys, profile="embedded", **changes):
    capsys.readouterr()
    runtime.start(profile, **changes)
    return [line for line in capsys.readouterr().out.splitlines() if "memory" in line]


def test_little_memory_is_said_in_one_sentence_at_the_start(free_memory, capsys):
    measured = needs.measured_memory(profiles.load_profile("embedded"))
    assert 1 < measured < 8
    free_memory(measured + 0.1)
    assert start_says(capsys) == []
    free_memory(measured - 1)
    (line,) = start_says(capsys)
    assert line.startswith(f"note: {measured - 1:.1f} GiB of memory are free, and this training took {measured:.1f}")
    assert line.endswith("close other programs, or choose a smaller rows_per_batch.")
    assert start_says(capsys, rows_per_batch=2) == [], "the mend that it names"
    assert len(start_says(capsys, rows_per_batch=12)) == 1
    assert start_says(capsys, "t4", student="qwen3-0.6b") == [], "nothing was measured for it"


def run(code, **variables):
    ours = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    keep = {k: v for k, v in os.environ.items() if k not in ours}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=keep | variables)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


GREEDY = """
from cpt_utils.models.conversation import chat
from cpt_utils.models.loading import load_chat_model
from cpt_utils.prompts import messages
model = load_chat_model("embedded", dtype="auto")
print(model.model.dtype, chat(model, [messages("Name a colour.")], temperature=0.0, max_new_tokens=12))
"""


@pytest.fixture(scope="module")
def text_here():
    """What the embedded model writes on this machine in float32."""
    here = run(GREEDY, CPT_PRECISION="float32").splitlines()[-1]
    assert "float32" in here
    return here


@pytest.mark.skipif("avx512_f" not in machine.capabilities(), reason="not an x86 processor")
def test_the_embedded_model_writes_the_same_text_without_avx512(text_here):
    assert run(GREEDY, **OLDER_PROCESSOR).splitlines()[-1] == text_here


ONE_CORE = """
import psutil
process = psutil.Process()
if hasattr(process, "cpu_affinity"):  # not on macOS
    process.cpu_affinity(process.cpu_affinity()[:1])
import torch
torch.set_num_threads(1)
"""


def test_the_embedded_model_writes_the_same_text_on_one_core(text_here):
    told = run(ONE_CORE + GREEDY + "print(torch.get_num_threads())", CPT_PRECISION="float32").splitlines()
    assert told[-2:] == [text_here, "1"]


def test_offline_is_a_property_of_a_call_and_not_of_the_process():
    """The embedded profile reaches for nothing, and the Hub is not switched off afterwards."""
    told = run("""
import socket
def refused(*args, **kwargs):
    print("REACHED OUT", args[:2])
    raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = refused
from cpt_utils import runtime
profile = runtime.start("embedded")
from cpt_utils.models.adapters import find_adapter
from cpt_utils.models.conversation import chat
from cpt_utils.models.loading import load_chat_model
from cpt_utils.prompts import messages
model = load_chat_model(profile, find_adapter(profile)[0])
print(len(chat(model, [messages("Hello.")], max_new_tokens=3)))
from huggingface_hub import constants
print("offline:", constants.HF_HUB_OFFLINE)
""")
    assert "REACHED OUT" not in told and "offline: False" in told


def test_waiting_threads_do_not_spin_for_long():
    waiting = "import cpt_utils, os; print(os.environ['OMP_WAIT_POLICY'], os.environ.get('GOMP_SPINCOUNT'))"
    assert run(waiting).split() == ["passive", "3000"]
    assert run(waiting, GOMP_SPINCOUNT="7").split() == ["passive", "7"]
    assert run(waiting, OMP_WAIT_POLICY="active").split() == ["active", "None"]  # what a user sets is all that is set


@pytest.mark.parametrize(
    "visible, launched, left",
    [(None, False, "0"), ("3,1", False, "3"), ("GPU-5,GPU-7", False, "GPU-5"), ("2,3", True, "2,3")],
)
def test_of_several_gpus_one_is_used_unless_a_launcher_shares_them_out(monkeypatch, capsys, visible, launched, left):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("LOCAL_RANK", "1" if launched else None)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    runtime.start("smoke")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == left
    monkeypatch.setenv("CPT_DEVICE", "cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert machine.use_one_gpu() == 0 and os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert ("one of 2 GPUs is used" in capsys.readouterr().out) != launched


@pytest.mark.parametrize(
    "gpu, free, told, time",
    [
        ("Tesla T4, 15 GiB", 14.5, "about 11 of 14 GiB in training", "about 36 minutes for 900 rows, from unsloth"),
        ("NVIDIA A100, 40 GiB", 39.0, "about 11 of 39 GiB in training", "minutes are told after two steps"),
        ("Tesla T4, 15 GiB", 6.0, "needs about 11 GiB of GPU memory, and 6 are free", None),
    ],
)
def test_what_a_training_on_a_gpu_needs_is_told_before_it(monkeypatch, capsys, gpu, free, told, time):
    monkeypatch.setattr(machine, "device", lambda: "cuda")
    monkeypatch.setattr(machine, "hardware", lambda: gpu)
    monkeypatch.setattr(machine, "free_memory_gib", lambda: free)
    runtime.tell_of_memory(profiles.load_profile("t4"))
    printed = capsys.readouterr().out
    assert told in printed and ("minutes" in printed) == (time is not None) and (time or "") in printed
