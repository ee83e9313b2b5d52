"""Stage A: what the machine is, and the two rates that every other figure is held against."""

import statistics
import subprocess
import time

from benchmarks.gpu.stage import Stage


def run(stage: Stage) -> None:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        free, total = (size / 2**30 for size in torch.cuda.mem_get_info())
        stage.keep(
            free_gib=free,
            total_gib=total,
            capability=".".join(map(str, torch.cuda.get_device_capability())),
            driver=driver(),
            native_bf16=torch.cuda.is_bf16_supported(including_emulation=False),
        )
    stage.keep(product_tflops=product_rate(device, stage.sizes["product"], stage.sizes["repeats"]) / 1e12)
    stage.keep(copy_gb_per_second=copy_rate(device, stage.sizes["copy_mib"], stage.sizes["repeats"]) / 1e9)


def product_rate(device: str, size: int, repeats: int) -> float:
    """FLOP/s of one square product of random matrices: in bf16 on a GPU, in float32 on a processor."""
    import torch

    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    out = torch.empty_like(a)
    return 2 * size**3 / seconds_of(torch.mm, repeats, device, a, b, out=out)


def copy_rate(device: str, mib: int, repeats: int) -> float:
    """Bytes a second of one large copy on the device, counting those read and those written."""
    import torch

    source = torch.randn(mib * 2**18, device=device)
    target = torch.empty_like(source)
    return 2 * mib * 2**20 / seconds_of(target.copy_, repeats, device, source)


def seconds_of(function, repeats: int, device: str, *arguments, **options) -> float:
    """Median seconds of a call, after three that warm up."""
    times = []
    for _ in range(3 + repeats):
        synchronize(device)
        started = time.perf_counter()
        function(*arguments, **options)
        synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times[3:])


def synchronize(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def driver() -> str:
    """The GPU driver's version."""
    try:
        told = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            timeout=10,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return told.stdout.strip().splitlines()[0] if told.stdout.strip() else "unknown"
