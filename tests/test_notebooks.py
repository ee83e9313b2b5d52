"""The notebooks as committed (static), and the whole series executed with the smallest sizes."""

import ast
import copy
import importlib
import json
import os
import re
import statistics
import subprocess
import sys
import textwrap
import time
import types

import nbformat
import pytest

from benchmarks.gpu.series import too_low
from cpt_utils.commands import series
from cpt_utils.runtime import machine
from cpt_utils.runtime.files import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NUMBERS = [f"{n:02}" for n in range(1, 10)]


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def says_something(line):
    """Neither blank nor a comment: those make a cell easier to read, not longer."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def test_the_series_is_complete():
    assert [p.name[:2] for p in NOTEBOOKS] == NUMBERS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_keeps_the_style(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    opening = notebook.cells[0].source
    assert opening.startswith(f"# {path.stem[:2]} · ")
    for part in ("colab-badge.svg", "*You will learn*", "*Time:*", "*Reads:*", "*Writes:*"):
        assert part in opening
    assert "runtime.start(" in code_cells(notebook)[0].source
    for cell in code_cells(notebook):  # files are written whole, and a user's are kept: folders.write_beside
        assert not re.search(r"""\bopen\(.*["'][wax]|\.write_(text|bytes)\(""", cell.source)
    lines = [cell.source.splitlines() for cell in code_cells(notebook)]
    assert statistics.median(sum(map(says_something, cell)) for cell in lines) <= 8 and max(map(len, lines)) <= 30
    assert max(len(line) for cell in lines for line in cell) <= 100
    prose = sum(len(c.source.split()) for c in notebook.cells if c.cell_type == "markdown")
    assert prose / sum(map(len, lines)) >= 3
    for cell in code_cells(notebook):
        ast.parse(cell.source)
    figures = [i for i, c in enumerate(notebook.cells) if c.cell_type == "code" and "save(fig" in c.source]
    for i in figures:  # a sentence that says what to see
        assert "*What to see:*" in notebook.cells[i + 1].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_cell_takes_the_name_of_what_another_imports(path):
    """Whoever runs a former cell again, or goes on to a later one, would call a text in place of the function."""
    trees = [ast.parse(cell.source) for cell in code_cells(nbformat.read(path, as_version=4))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imports = [one for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for one in node.names]
    set_here = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    defined = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert not (set_here | defined) & {(one.asname or one.name).split(".")[0] for one in imports}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_outputs_are_real(path):
    notebook = nbformat.read(path, as_version=4)
    cells = code_cells(notebook)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(c.outputs) for c in cells) >= 0.6 * len(cells)
    outputs = [out for c in cells for out in c.outputs]
    assert not [out for out in outputs if out.output_type == "error"]
    assert any("image/png" in out.get("data", {}) for out in outputs)
    assert "widgets" not in notebook.metadata
    text = path.read_text("utf-8")
    assert not re.search(r"/(root|home|work|tmp|Users)/|site-packages|sk-[A-Za-z0-9]{8}|hf_[A-Za-z0-9]{8}", text)
    assert path.stat().st_size < 300 * 1024


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_printed_lines_fit_the_page(path):
    """JupyterLab breaks a longer line within a word, on a window of 1280 points; page.folded does between words."""
    for cell in code_cells(nbformat.read(path, as_version=4)):
        for out in cell.outputs:
            printed = out.get("text", "").splitlines()
            assert max(map(len, printed), default=0) <= 110, (cell.id, printed[:3])


def test_committed_figures_are_those_of_the_notebooks():
    named = {n for p in NOTEBOOKS for n in re.findall(r'save\(fig, profile, \\"(\w+)\\"', p.read_text("utf-8"))}
    readmes = {"method", "workbench", "desk"}  # drawn by tools
    assert named and named | readmes == {f.stem for f in (ROOT / "figures").glob("*.png")}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_name_that_a_notebook_takes_from_the_series_is_there(path):
    """Seconds, where the whole run takes minutes: a function that moved is found before anything is executed."""
    taken, ours = {}, ("cpt_utils", "benchmarks")
    for cell in code_cells(nbformat.read(path, as_version=4)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ours:
                module = importlib.import_module(node.module)
                for name in node.names:
                    if not hasattr(module, name.name):
                        importlib.import_module(f"{node.module}.{name.name}")
                    taken[name.asname or name.name] = getattr(module, name.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if isinstance(owner := taken.get(node.value.id), types.ModuleType):
                    assert hasattr(owner, node.attr), f"{owner.__name__}.{node.attr}"
    assert taken


def execute_smoke(runs, variables, *choices):
    """The series' own command with the smallest sizes, once for each choice of notebooks; returns what it printed."""
    environment = {"CPT_PROFILE": "smoke", "CPT_RUNS": str(runs), "MPLBACKEND": "agg"} | variables
    printed = ""
    for only in choices:
        done = subprocess.run(
            [sys.executable, "-m", "cpt_utils", "run", *only],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        printed += done.stdout
    return printed


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    """All nine notebooks, every step, on the embedded model, with sizes of the profile "smoke".

    In float32 as on a plain laptop with Windows, on every machine: no AVX-512, and nothing that only Unix has
    (away/sitecustomize.py). No foreign host is ever looked up.
    """
    runs, reached = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("reached") / "out.txt"
    variables = {"CPT_PRECISION": "float32", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    variables |= {"WITHOUT_UNIX": "1", "PYTHONWARNDEFAULTENCODING": "1", "REACHED_OUT": str(reached)}
    variables |= {"PYTHONPATH": f"{ROOT / 'tests' / 'away'}{os.pathsep}{ROOT}"}
    variables |= {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}
    before = {p: p.stat().st_mtime_ns for p in NOTEBOOKS}
    # the series as `make run` runs it, then those that run by themselves
    printed = execute_smoke(runs, variables, [], ["--only", "06,07,08,09"])
    assert before == {p: p.stat().st_mtime_ns for p in NOTEBOOKS}
    assert not reached.exists(), reached.read_text("utf-8")
    return runs / "smoke", printed


@pytest.mark.skipif(not machine.multiplies_bf16(), reason="this processor does not multiply bf16")
def test_training_and_comparison_in_bf16_go_as_in_float32(tmp_path):
    execute_smoke(tmp_path, {"CPT_PRECISION": "bfloat16", "PYTHONPATH": str(ROOT)}, ["--only", "04,05"])
    folder = tmp_path / "smoke"
    texts = [path.read_text("utf-8") for path in sorted(folder.glob("0*.ipynb"))]
    assert len(texts) == 2 and not any("is off here" in text for text in texts)
    # A sequence that stands in two blocks has one reference, and is rounded differently in either.
    assert first_loss(folder) == pytest.approx(0.6931, abs=1e-2)
    report = json.loads((folder / "report.json").read_text())
    assert report["hardware"].endswith("bfloat16") and report["steerability"]["cpt"]["overall"] > 0


def first_loss(folder):
    notebook = nbformat.read(folder / "04_dpo_training.ipynb", as_version=4)
    text = "".join(out.get("text", "") for c in code_cells(notebook) for out in c.outputs)
    return float(re.search(r"([\d.]+), expected near 0\.6931", text)[1])


def test_the_series_runs_and_reports(smoke_run):
    folder, printed = smoke_run
    assert len(list(folder.glob("0*.ipynb"))) == 9 and len(list((folder / "figures").glob("*.png"))) == 29
    assert all(f"{n}_" in printed for n in NUMBERS)
    report = json.loads((folder / "report.json").read_text())
    assert report["profile"] == "smoke" and report["hardware"] and report["versions"]["trl"]
    assert set(report["seconds"]) == {*NUMBERS, "total"}
    numbered = [report["seconds"][n] for n in ("01", "02", "03", "04", "05")]
    assert report["seconds"]["total"] == pytest.approx(sum(numbered), abs=0.5)  # those by themselves are not in it
    assert set(report["data"]) == {"responses", "train_rows", "heldout_prompts", "length_target_spearman"}
    assert report["training"]["steps"] == 3 and report["training"]["tokens_per_second"] > 0
    for model in ("base", "cpt"):
        assert {"accuracy", "both_directions"} == set(report["preference"][model])
        steer = report["steerability"][model]
        assert {"accuracy", "kendall_tau", "spearman_rho", "ci95", "by_rubric"} <= set(steer)
        assert len(steer["by_rubric"]) == 4
        assert {"overall", "follows", "subject", "language", "topic", "order_gain"} <= set(steer)
        effects = report["side_effects"][model]
        assert {"repetition_rate", "distinct_2", "perplexity_under_base", "mean_words"} <= set(effects)
        assert 0 <= effects["copied_percent"] <= 100 and 0 <= effects["unknown_percent"] <= 100
    assert len(report["judge"]["heldout_spearman"]) == 4


def test_no_fast_path_steps_aside_on_a_common_processor(smoke_run):
    if machine.instruction_set() not in ("AVX2", "AVX-512", "AVX-512-BF16", "AMX-BF16"):
        pytest.skip("another kind of processor")
    for path in smoke_run[0].glob("0*.ipynb"):
        assert "is off here" not in path.read_text("utf-8"), path.name


def test_names_of_all_files_are_allowed_on_windows(smoke_run):
    reserved = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}
    names = [path.name for path in smoke_run[0].rglob("*")]
    assert len(names) > 20
    for name in names:
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f]|[. ]$', name), name
        assert name.split(".")[0].lower() not in reserved, name


def test_what_is_taken_away_is_gone():
    """The stand-in for Windows refuses the series' own code, and nobody else's."""
    asked = """
        import ctypes, os
        for ask in ("import resource", "os.sysconf('SC_PHYS_PAGES')", "ctypes.CDLL('libc.so.6')", "open(os.devnull)"):
            try:
                exec(ask)
                print("there")
            except (ImportError, AttributeError, OSError, EncodingWarning) as error:
                print(type(error).__name__)
        import psutil
        print(psutil.virtual_memory().total > 0)
    """
    variables = {"PYTHONPATH": str(ROOT / "tests" / "away"), "WITHOUT_UNIX": "1", "PYTHONWARNDEFAULTENCODING": "1"}
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(asked)], capture_output=True, text=True, env=os.environ | variables
    )
    assert said.stdout.split() == ["ModuleNotFoundError", "AttributeError", "OSError", "EncodingWarning", "True"], said


def test_the_first_loss_is_ln_2(smoke_run):
    assert first_loss(smoke_run[0]) == 0.6931


def test_the_run_leaves_adapter_and_texts(smoke_run):
    folder, _ = smoke_run
    assert (folder / "adapter" / "adapter_model.safetensors").exists()
    rows = [json.loads(x) for x in (folder / "generations.jsonl").read_text("utf-8").split("\n") if x]
    assert len(rows) == 2 * 12 and {r["model"] for r in rows} == {"base", "cpt"}
    assert not list(folder.rglob("*.bin")) and not list(folder.rglob("*.pt"))


def test_the_capstone_leaves_its_own_folder_and_section(smoke_run):
    folder, _ = smoke_run
    mine = folder / "capstone"
    assert (mine / "adapter" / "adapter_model.safetensors").exists() and (mine / "night_diary.yaml").exists()
    assert not (mine / "checkpoints").exists() or not list((mine / "checkpoints").iterdir())
    capstone = json.loads((folder / "report.json").read_text())["capstone"]
    assert set(capstone["steerability"]) == {"base", "tuned"} and capstone["steps"] == 3


@pytest.mark.slow
def test_full_run_meets_the_bars():
    """Reads the report of the last `make run` and holds it against the three seeds of `make seeds`."""
    report = json.loads((ROOT / "runs" / "embedded" / "report.json").read_text())
    assert too_low(report) == []
    minutes = 9 if report["hardware"].endswith("bfloat16") else 40
    assert report["seconds"]["total"] <= minutes * 60


def test_a_cell_run_too_early_says_which_cell_comes_first():
    from cpt_utils.runtime.cell_order import first_to_run, notebooks

    train = next(text for _, text in notebooks()[3] if "train(trainer" in text)
    told = first_to_run("trainer", train)
    assert "'trainer'" in told and "under 'The trainer' that begins with `started = time.time()`" in told
    assert first_to_run("no_such_name", train) == "" and first_to_run("trainer", "my = cell") == ""


@pytest.mark.parametrize("told", [None, "0"])
def test_kernels_do_not_warn_of_frozen_modules_unless_asked_to(tmp_path, monkeypatch, told):
    name = "PYDEVD_DISABLE_FILE_VALIDATION"
    monkeypatch.setenv(name, told) if told else monkeypatch.delenv(name, raising=False)
    source, target = tmp_path / "source.ipynb", tmp_path / "target.ipynb"
    cell = nbformat.v4.new_code_cell(f"import os\nprint(os.environ[{name!r}], os.environ['PATH'] != '')")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), source)
    series.execute(source, target)
    (shown,) = code_cells(nbformat.read(target, as_version=4))
    assert shown.outputs[0].text == f"{told or '1'} True\n"
    assert os.environ.get(name) == told, "only the kernel's"


def test_a_finished_progress_bar_shares_no_line_with_what_is_printed(tmp_path):
    source, target = tmp_path / "source.ipynb", tmp_path / "target.ipynb"
    work = """
import sys, time
def turn(name):
    for step in range(3):
        sys.stderr.write(f"\\r{name}: {step}/2"); sys.stderr.flush(); time.sleep(0.1)
    print(name, "is done", flush=True); time.sleep(0.3)
    sys.stderr.write("\\n"); sys.stderr.flush(); time.sleep(0.3)
print("begun")
turn("one"); turn("two")
"""
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(work)]), source)
    series.execute(source, target)
    (shown,) = code_cells(nbformat.read(target, as_version=4))
    lines = shown.outputs[0].text.splitlines()
    assert sorted(lines) == ["begun", "one is done", "one: 2/2", "two is done", "two: 2/2"]
    assert len(shown.outputs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_cell_can_be_run_twice(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    for name, value in {"CPT_PROFILE": "smoke", "CPT_RUNS": str(tmp_path), "MPLBACKEND": "agg"}.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [copy.deepcopy(cell) for cell in code_cells(notebook) for _ in range(2)]
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()


@pytest.mark.slow
def test_a_rubric_of_ones_own_goes_through_notebooks_02_to_05(tmp_path, monkeypatch):
    """Notebook 06's example as somebody saves it in the studio; the shipped recipe's run is not touched."""
    from nbclient import NotebookClient

    from cpt_utils.rubrics import Rubric
    from cpt_utils.ways import WAYS, Counted, write_ways
    from cpt_utils.wordings import checked, save_wordings

    for name, value in {"CPT_PROFILE": "smoke", "CPT_RUNS": str(tmp_path), "MPLBACKEND": "agg"}.items():
        monkeypatch.setenv(name, value)
    made = {}
    for cell in code_cells(nbformat.read(NOTEBOOKS[5], as_version=4)):
        if cell.source.startswith(("NIGHT_DIARY =", "EXAMPLE_TASK =")) or "\nSYSTEM = {" in cell.source:
            exec(cell.source, made)
    folder = tmp_path / "smoke"
    folder.mkdir()
    rubric = Rubric.from_yaml(made["NIGHT_DIARY"])
    rubric.to_yaml(folder / "night_diary.yaml")
    ways = [("sentence_length", 20, 5), ("first_person", 0, 14), ("questions", 0, 5)]
    write_ways(folder / f"night_diary{WAYS}", {c.name: Counted(*way) for c, way in zip(rubric.criteria, ways)})
    words = {
        name: {"prompt": said, "paraphrase": f"Please: {said}", "task": "Write about the garden.", "example": example}
        for (name, said), example in zip(made["SYSTEM"].items(), made["EXAMPLES"].values(), strict=True)
    }
    save_wordings("night_diary", checked(words, "the words"))
    for path in NOTEBOOKS[1:5]:
        notebook = nbformat.read(path, as_version=4)
        asked = [cell for cell in code_cells(notebook) if "RUBRICS = None" in cell.source]
        assert len(asked) == 1, path.name
        asked[0].source = asked[0].source.replace("RUBRICS = None", 'RUBRICS = ["night_diary"]')
        NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(path.parent)}}).execute()
    mine = folder / "rubrics" / "night_diary"
    for name in ("texts.jsonl", "train.jsonl", "heldout.jsonl"):
        assert {json.loads(row)["rubric"] for row in (mine / name).read_text("utf-8").splitlines()} == {"night_diary"}
    rows = [json.loads(row) for row in (mine / "generations.jsonl").read_text("utf-8").splitlines()]
    assert {row["rubric"] for row in rows} == {"night_diary"} and {row["model"] for row in rows} == {"base", "cpt"}
    report = json.loads((mine / "report.json").read_text())
    assert set(report["steerability"]["cpt_paraphrased"]["by_rubric"]) == {"night_diary"}
    assert (mine / "adapter" / "adapter_model.safetensors").exists() and (mine / "figures" / "05_tokens.png").exists()
    assert not {"train.jsonl", "adapter", "generations.jsonl", "checkpoints"} & {path.name for path in folder.iterdir()}
    assert set(json.loads((folder / "report.json").read_text())) & {"training", "steerability"} == set()


@pytest.mark.slow
def test_a_skipped_cell_and_an_interrupt_leave_the_kernel_usable(tmp_path, monkeypatch):
    """Notebook 04 without its trainer cell, then with it; then its training interrupted, and started again."""
    from jupyter_client.manager import start_new_kernel

    for name, value in {"CPT_PROFILE": "smoke", "CPT_RUNS": str(tmp_path), "MPLBACKEND": "agg"}.items():
        monkeypatch.setenv(name, value)
    (path,) = [p for p in NOTEBOOKS if p.name.startswith("04")]
    cells = [cell.source for cell in code_cells(nbformat.read(path, as_version=4))]
    train = next(i for i, source in enumerate(cells) if "train(trainer" in source)
    build = next(i for i, source in enumerate(cells) if "trainer = prepare_trainer(" in source)
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(path.parent))

    def run(source, interrupt_after=None):
        client.execute(source)
        if interrupt_after:
            time.sleep(interrupt_after)
            manager.interrupt_kernel()
        return client.get_shell_msg(timeout=600)["content"]

    try:
        for source in cells[:build]:
            assert run(source)["status"] == "ok"
        early = run(cells[train])
        assert early["ename"] == "NameError" and "run the cell under 'The trainer'" in early["evalue"]
        assert run(cells[build])["status"] == "ok"
        assert run("settings.max_steps = trainer.args.max_steps = 500")["status"] == "ok"
        assert run(cells[train], interrupt_after=8)["ename"] == "KeyboardInterrupt"
        assert run("settings.max_steps = trainer.args.max_steps = 3")["status"] == "ok"
        for source in cells[train : train + 3]:
            assert run(source)["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
