"""Gather what `make gpu` needs on a machine without a network (`make gpu-wheels`): wheels for Linux x86-64.

The machine is taken to have PRESENT and what these need. PYTHON_VERSION is its Python, CUDA the major version of
its torch's CUDA. The resolver is uv's, for that platform; torch is never gathered.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks.gpu.parts import FOLDER, HELD, split
from benchmarks.gpu.resolver import ResolverError, resolve
from cpt_utils.runtime.packages import WEIGHTS_ONLY, pins, plain, project

PRESENT = ["torch", "transformers", "pyarrow", "pandas", "scikit-learn", "safetensors"]
LEFT_OUT = {"torchao", "xformers", "diffusers", "hf-transfer", "jedi", "debugpy"}
"""What unsloth and IPython name but import only if it is there; the first two would have to match torch's build."""
FOR_NOTEBOOKS = {"matplotlib", "ipywidgets", "ipykernel", "nbclient", "nbformat", "openai"}
"""What stage E alone needs: in the last parts, with the model."""
NOT_NEEDED = {  # files that nothing here reads, by package
    "bitsandbytes": r"bitsandbytes/libbitsandbytes_(rocm|xpu|cuda(?!{cuda}))",
    "unsloth": r"studio/|unsloth_cli/",
    "wordfreq": r"wordfreq/data/(?!(large|small)_en\.)",
}


def resolved(requirements: list[str], python: str) -> dict[str, str]:
    """Versions by package name of the requirements and all that they need, on Linux x86-64, at our pins."""
    tested = [f"{name}=={version}" for name, version in pins().items()]
    try:
        return resolve(requirements, python, "x86_64-manylinux_2_28", constraints=tested)
    except ResolverError as problem:
        sys.exit(f"The packages do not resolve for Python {python}:\n{problem}")


def wanted(python: str) -> dict[str, str]:
    """Versions of the packages to gather, in the order of the parts: what the stages need beside PRESENT."""
    table = project()
    extra = table["optional-dependencies"]
    needs = table["dependencies"] + extra["run"] + extra["gpu"] + ["pytest", "liger-kernel", "pillow"]
    without = [text for text in needs if re.match(r"[\w.-]+", text).group() not in FOR_NOTEBOOKS]
    first, everything, there = (resolved(packages + PRESENT, python) for packages in (without, needs, []))
    skipped = LEFT_OUT | HELD | set(there)
    ordered, tested = first | everything, pins()
    models = {name: tested[name] for name in sorted(WEIGHTS_ONLY)}
    return {name: ordered[name] for name in ordered if name not in skipped} | models


def download(packages: dict[str, str], python: str, folder: Path) -> None:
    """Fetch exactly these packages as wheels for that Python on Linux x86-64."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(35, 4, -1)] + ["manylinux2014_x86_64"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-qq",
        "--no-deps",
        "--only-binary=:all:",
        "--python-version",
        python,
        "--implementation",
        "cp",
        "-d",
        str(folder),
    ]
    command += [option for platform in platforms for option in ("--platform", platform)]
    done = subprocess.run(command + [f"{name}=={version}" for name, version in packages.items()])
    if done.returncode:
        sys.exit("pip could not fetch the wheels; its lines above say which.")


def slim(wheel: Path, pattern: str) -> None:
    """Take the files whose names match out of a wheel and out of its list of files."""
    small = wheel.with_suffix(".small")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as target:
        for item in source.infolist():
            content = source.read(item)
            if re.match(pattern, item.filename):
                continue
            if item.filename.endswith(".dist-info/RECORD"):
                kept = [line for line in content.decode("utf-8").splitlines() if not re.match(pattern, line)]
                content = ("\n".join(kept) + "\n").encode("utf-8")
            target.writestr(item, content)
    small.replace(wheel)


def pack_tokenizer(path: Path) -> Path:
    """The embedded model's tokenizer as a zip file, for stages with random weights."""
    from transformers import AutoTokenizer

    from cpt_utils.models.embedded import embedded_model_path

    with tempfile.TemporaryDirectory() as folder:
        AutoTokenizer.from_pretrained(embedded_model_path()).save_pretrained(folder)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(Path(folder).iterdir()):
                archive.write(file, file.name)
    return path


def gather(python: str, cuda: str, folder: Path = FOLDER) -> list[Path]:
    """Fetch, slim and split; returns the parts."""
    packages = wanted(python)
    print(f"gathering {len(packages)} packages for Python {python}, Linux x86-64, CUDA {cuda} ...", flush=True)
    fetched = folder / "fetched"
    shutil.rmtree(fetched, ignore_errors=True)
    download(packages, python, fetched)
    wheels = {plain(path.name.split("-")[0]): path for path in sorted(fetched.glob("*.whl"))}
    for name, pattern in NOT_NEEDED.items():
        slim(wheels[name], pattern.replace("{cuda}", cuda))
    ordered = [wheels[name] for name in packages]
    parts = split([pack_tokenizer(fetched / "tokenizer.zip"), *ordered], folder, python, cuda=cuda)
    shutil.rmtree(fetched)
    return parts


def main() -> None:
    parts = gather(os.environ.get("PYTHON_VERSION") or "3.12", os.environ.get("CUDA") or "13")
    for part in parts:
        pieces = json.loads((part / "manifest.json").read_text("utf-8"))["pieces"]
        size = sum(piece["bytes"] for piece in pieces)
        names = [plain(piece["file"].split("-")[0]) for piece in pieces]
        print(f"{FOLDER.name}/{part.name}: {size / 2**20:.1f} MiB, {len(names)} packages, {names[0]} to {names[-1]}")


if __name__ == "__main__":
    main()
