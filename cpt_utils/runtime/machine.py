"""The one place that knows the machine: device, instruction set, number types, memory.

Two variables override what is found: CPT_DEVICE ("cpu", "cuda", "mps") and CPT_PRECISION ("float32",
"bfloat16", "float16").
"""

import functools
import importlib.util
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from cpt_utils.runtime.errors import SettingsError

if TYPE_CHECKING:
    from cpt_utils.runtime.profiles import Profile

SHORT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
NUMBER_TYPES = tuple(SHORT.values())
# What oneDNN may use at most, where its own variable says so: none of these multiplies bf16.
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")


def device() -> str:
    """ "cuda", "mps" or "cpu": the first of them that works here, or CPT_DEVICE."""
    wanted = os.environ.get("CPT_DEVICE", "").strip().lower()
    if wanted in ("", "auto"):
        if cuda_works():
            return "cuda"
        return "mps" if mps_works() else "cpu"
    if wanted not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"CPT_DEVICE is {wanted!r}: set it to cpu, cuda or mps, or unset it.")
    if wanted == "cuda" and not cuda_works():
        raise SettingsError(
            "CPT_DEVICE is 'cuda', and PyTorch sees no CUDA GPU: install a build of torch for "
            "your GPU, or set CPT_DEVICE=cpu."
        )
    if wanted == "mps" and not mps_works():
        raise SettingsError("CPT_DEVICE is 'mps', and PyTorch cannot compute on an Apple GPU here: set CPT_DEVICE=cpu.")
    return wanted


def cuda_works() -> bool:
    """Whether PyTorch sees a CUDA GPU."""
    import torch

    return torch.cuda.is_available()


def use_one_gpu() -> int:
    """Keep to the first of several GPUs, unless a launcher shares them out; returns how many are left unused.

    The Trainer would copy the model to each of them, which TRL refuses. CUDA looks at the variable when it starts.
    """
    import torch

    elsewhere = "LOCAL_RANK" in os.environ or os.environ.get("CPT_DEVICE", "").strip().lower() in ("cpu", "mps")
    unused = 0 if elsewhere else max(0, torch.cuda.device_count() - 1)
    if unused:
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    return unused


@functools.cache
def mps_works() -> bool:
    """Whether an Apple GPU is there and computes a masked attention as the processor does."""
    import torch

    if not torch.backends.mps.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 8, 16, generator=generator)
    mask = torch.ones(8, 8, dtype=torch.bool).tril()
    attention = torch.nn.functional.scaled_dot_product_attention
    expected = attention(query, key, value, attn_mask=mask)
    try:
        computed = attention(*(x.to("mps") for x in (query, key, value)), attn_mask=mask.to("mps")).cpu()
    except (RuntimeError, NotImplementedError, TypeError):
        return False
    return torch.allclose(computed, expected, atol=1e-4)


def instruction_set() -> str:
    """The best vector instructions that PyTorch may use on this processor, by name."""
    import torch

    known = capabilities()
    if known.get("architecture", platform.machine()).lower() in ("arm64", "aarch64"):
        return "NEON with bf16" if known.get("bf16") else "NEON"
    allowed = torch.backends.cpu.get_cpu_capability()  # minds ATEN_CPU_CAPABILITY
    if "AVX512" in allowed and known.get("avx512_f"):
        half = onednn_may_use_bf16()
        if known.get("amx_bf16") and half:
            return "AMX-BF16"
        return "AVX-512-BF16" if known.get("avx512_bf16") and half else "AVX-512"
    if "AVX2" in allowed or "AVX512" in allowed:
        return "AVX2"
    return platform.machine() or "unknown"


def onednn_may_use_bf16() -> bool:
    """Whether oneDNN is there and not held below bf16 by ONEDNN_MAX_CPU_ISA."""
    import torch

    ceiling = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    return torch.backends.mkldnn.is_available() and ceiling not in WITHOUT_BF16


@functools.cache
def capabilities() -> dict:
    """The processor's features by name, as PyTorch sees them."""
    import torch

    if hasattr(torch.cpu, "get_capabilities"):
        return dict(torch.cpu.get_capabilities())
    flags = _cpuinfo("flags").split()  # PyTorch before 2.11 does not tell
    return {"avx512_f": "avx512f" in flags, "avx512_bf16": "avx512_bf16" in flags, "amx_bf16": "amx_bf16" in flags}


def multiplies_bf16() -> bool:
    """Whether this device multiplies bf16 in hardware; emulated, a product takes ten times as long as in float32."""
    if device() == "cuda":
        import torch

        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device() == "mps":
        return False
    if instruction_set() == "NEON with bf16":
        return onednn_may_use_bf16()
    return instruction_set() in ("AMX-BF16", "AVX-512-BF16")


def number_type() -> str:
    """Number type of matrix products, in training and generation: native half precision, else float32.

    float16 on GPUs without bf16; CPT_PRECISION overrides it. Trained weights are float32 in any case.
    """
    wanted = os.environ.get("CPT_PRECISION", "").strip().lower()
    wanted = SHORT.get(wanted, wanted)
    where = device()
    if wanted in ("", "auto"):
        if multiplies_bf16():
            return "bfloat16"
        return "float16" if where == "cuda" else "float32"
    if wanted not in NUMBER_TYPES:
        raise SettingsError(f"CPT_PRECISION is {wanted!r}: set it to {', '.join(NUMBER_TYPES)}, or unset it.")
    if wanted == "float16" and where == "cpu":
        raise SettingsError("CPT_PRECISION is float16, in which a processor cannot train: set float32 or bfloat16.")
    if wanted != "float32" and where == "mps":
        raise SettingsError(f"CPT_PRECISION is {wanted}, and on an Apple GPU the series computes in float32: unset it.")
    return wanted


def training_arguments() -> dict[str, bool]:
    """Device and mixed precision for transformers' TrainingArguments: weights float32, products in number_type."""
    return {
        "use_cpu": device() == "cpu",
        "bf16": number_type() == "bfloat16",
        "fp16": number_type() == "float16",
    }


def torch_type(name: str = "auto"):
    """The torch.dtype of that name; "auto" is number_type."""
    import torch

    return getattr(torch, number_type() if name == "auto" else name)


def autocast(model):
    """The context in which training multiplies: autocast to the number type, nothing in float32."""
    import torch

    dtype = torch_type()
    return torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32)


def hardware() -> str:
    """Device, threads, memory and number type in one line, such as "CPU AMD EPYC, 2 threads, 24 GiB, AVX2: float32"."""
    import torch

    memory = f"{total_memory_gib():.0f} GiB"
    if device() == "cuda":
        return f"{torch.cuda.get_device_name(0)}, {memory}: {number_type()}"
    if device() == "mps":
        return f"Apple GPU, {cpu_name()}, {memory}: {number_type()}"
    threads = torch.get_num_threads()
    told = f"{threads} thread{'s' * (threads != 1)}"
    words = [f"CPU {cpu_name()}", told, memory, f"{instruction_set()}: {number_type()}"]
    emulated = number_type() == "bfloat16" and not multiplies_bf16()
    return ", ".join(words) + (" (emulated, slow)" if emulated else "")


def cpu_name() -> str:
    """The processor's name."""
    known = capabilities().get("cpu_name") or _cpuinfo("model name") or platform.processor() or platform.machine()
    return str(known).strip()


def _cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def total_memory_gib() -> float:
    """Memory of the GPU, or of the machine."""
    import psutil

    if device() == "cuda":
        import torch

        return torch.cuda.get_device_properties(0).total_memory / 2**30
    return psutil.virtual_memory().total / 2**30


def free_memory_gib() -> float:
    """Memory that is free now: on the GPU, or on the machine."""
    import psutil

    if device() == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0] / 2**30
    return psutil.virtual_memory().available / 2**30


def engine(profile: "Profile") -> str:
    """ "unsloth" where the profile asks for it and it can run, else "transformers"."""
    wanted = profile.engine == "unsloth" and device() == "cuda" and importlib.util.find_spec("unsloth")
    return "unsloth" if wanted else "transformers"
