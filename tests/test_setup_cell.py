"""The setup cell of the notebooks, run for real in fresh processes, with git repositories of this machine as address.

The series that is fetched there is a stand-in of two modules, so that a run takes half a second;
one test fetches the real one.
"""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from cpt_utils.runtime.files import ROOT

CELL = nbformat.read(ROOT / "notebooks" / "01_rubric_design.ipynb", as_version=4).cells[1].source
ADDRESS = '"https://github.com/cpt-notebooks/cpt-notebooks", "main"'
COLAB = 'def prepare(address, branch, drive):\n    print("prepared", branch, drive)\n'
# Takes this environment's own copy of the series away, then runs cells as a notebook (or as plain Python) does.
DRIVER = """
import contextlib, importlib.metadata, pathlib, sys
sys.path[:] = [p for p in sys.path if p and not (pathlib.Path(p) / "cpt_utils").exists()]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in getattr(f, "__name__", type(f).__name__).lower()]
if sys.argv[1] == "plain":
    for path in sys.argv[2:]:
        exec(compile(pathlib.Path(path).read_text("utf-8"), "cell", "exec"), {"__name__": "__main__"})
else:
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell.instance(colors="NoColor")
    with contextlib.redirect_stderr(sys.stdout):
        results = [shell.run_cell(pathlib.Path(path).read_text("utf-8")) for path in sys.argv[2:]]
    sys.exit(0 if results[-1].success else 1)
"""


def git(folder, *words):
    me = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", "-C", str(folder), *me, *words], check=True, capture_output=True, text=True).stdout


def commit(folder, mark, **modules):
    """Write modules of a stand-in series, whose start prints `mark`, and commit them."""
    package = folder / "cpt_utils"
    (package / "runtime").mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "runtime" / "colab.py").write_text(modules.get("colab", COLAB))
    (package / "runtime" / "__init__.py").write_text(f'def start(profile):\n    print("started {mark}", profile)\n')
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", mark)


@pytest.fixture
def origin(tmp_path):
    """A repository of the stand-in series, on the branch main."""
    folder = tmp_path / "owner" / "series"
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    commit(folder, "first")
    return folder


@pytest.fixture
def content(tmp_path):
    """The folder of a session, empty at first, as Colab's /content or Kaggle's /kaggle/working."""
    folder = tmp_path / "content"
    folder.mkdir()
    return folder


def cell(address, branch="main", source=CELL):
    assert ADDRESS in source
    return source.replace(ADDRESS, f'"{address}", "{branch}"')


def run(folder, *cells, shell="plain", env=None):
    """Run cells in a fresh process in `folder`; returns (exit status, what was printed)."""
    paths = []
    for number, source in enumerate(cells):
        paths.append(folder.parent / f"cell{number}.py")
        paths[-1].write_text(source, "utf-8")
    driver = folder.parent / "driver.py"
    driver.write_text(DRIVER)
    bare = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, str(driver), shell, *map(str, paths)],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**bare, **(env or {})},
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("shell", ["plain", "notebook"])
def test_a_fresh_session_fetches_the_series(origin, content, shell):
    commit(origin, "second")
    status, told = run(content, cell(origin.as_uri()), shell=shell)
    assert status == 0, told
    assert told.split("\n")[:3] == ["owner-series-main is up to date", "prepared main False", "started second auto"]
    assert git(content / "owner-series-main", "rev-list", "--count", "HEAD").strip() == "1", "the last commit alone"


def test_the_choices_of_the_cell_reach_the_series(origin, content):
    source = cell(origin).replace('PROFILE = "auto"', 'PROFILE = "t4"').replace("DRIVE = False", "DRIVE = True")
    assert run(content, source)[1].endswith("prepared main True\nstarted first t4\n")


@pytest.mark.parametrize("depth", ["path", "uri"])
def test_a_clone_of_an_earlier_session_is_brought_up_to_date(origin, content, depth):
    address = str(origin) if depth == "path" else origin.as_uri()  # git clones a path whole, an address shallowly
    run(content, cell(address))
    for mark in ("second", "third"):
        commit(origin, mark)
    status, told = run(content, cell(address))
    assert status == 0 and "is up to date" in told and "started third" in told
    (content / "owner-series-main" / "runs").mkdir()  # what a run leaves stands in nobody's way
    (content / "owner-series-main" / "mine.txt").write_text("kept")
    commit(origin, "fourth")
    assert "started fourth" in run(content, cell(address))[1]
    assert (content / "owner-series-main" / "mine.txt").read_text() == "kept"


def test_changes_made_in_the_session_are_kept_and_the_clone_is_said_to_be_old(origin, content):
    run(content, cell(origin.as_uri()))
    clone = content / "owner-series-main"
    mine = (clone / "cpt_utils" / "runtime" / "__init__.py").read_text().replace("first", "my own")
    (clone / "cpt_utils" / "runtime" / "__init__.py").write_text(mine)
    commit(origin, "second")
    status, told = run(content, cell(origin.as_uri()))
    assert status == 0 and "started my own auto" in told
    assert "owner-series-main may be old; git says: error: Your local changes" in told.split("\n")[0]
    assert (clone / "cpt_utils" / "runtime" / "__init__.py").read_text() == mine


def test_commits_made_in_the_session_are_kept(origin, content):
    run(content, cell(origin.as_uri()))
    clone = content / "owner-series-main"
    commit(clone, "my own")
    before = git(clone, "rev-parse", "HEAD")
    commit(origin, "second")
    status, told = run(content, cell(origin.as_uri()))
    assert status == 0 and "started my own auto" in told and git(clone, "rev-parse", "HEAD") == before
    assert (
        told.split("\n")[0] == "owner-series-main may be old; git says: fatal: Not possible to fast-forward, aborting."
    )


def test_without_the_network_an_old_clone_still_serves(origin, content):
    run(content, cell(origin.as_uri()))
    origin.rename(origin.with_name("gone"))
    status, told = run(content, cell(origin.as_uri()))
    assert status == 0 and "may be old; git says: fatal:" in told and "started first" in told


def test_a_branch_or_fork_can_be_named_and_has_a_folder_of_its_own(origin, content, tmp_path):
    run(content, cell(origin.as_uri()))
    git(origin, "checkout", "-q", "-b", "workshop/spring")
    commit(origin, "of the branch")
    assert "started of the branch" in run(content, cell(origin.as_uri(), "workshop/spring"))[1]
    assert "started first" in run(content, cell(origin.as_uri()))[1], "and back"
    fork = tmp_path / "someone" / "series"
    shutil.copytree(origin, fork)
    git(fork, "checkout", "-q", "main")
    commit(fork, "of the fork")
    assert "started of the fork" in run(content, cell(fork.as_uri()))[1]


def test_a_failed_fetch_is_one_sentence_that_names_the_address_and_the_mend(content, tmp_path):
    nowhere = (tmp_path / "no" / "thing").as_uri()
    status, told = run(content, cell(nowhere), shell="notebook")
    assert status == 1 and len(told.strip().split("\n")) == 1, told
    assert f"No series at {nowhere}, branch main: " in told and "`make stamp REPOSITORY=...`" in told
    assert "Traceback" not in told and not list(content.iterdir())
    status, told = run(content, cell(nowhere))
    assert (
        status == 1
        and told.count("SetupError: No series") == 1
        and "subprocess" not in told
        and told.count('File "') == 2
    )


def test_a_branch_that_is_not_there_is_named(origin, content):
    status, told = run(content, cell(origin.as_uri(), "nonesuch"), shell="notebook")
    assert status == 1 and "branch nonesuch" in told and len(told.strip().split("\n")) == 1


def test_a_machine_without_git_is_told_so(origin, content, tmp_path):
    nothing = tmp_path / "bin"
    nothing.mkdir()
    status, told = run(content, cell(origin.as_uri()), shell="notebook", env={"PATH": str(nothing)})
    assert status == 1 and "No series at" in told and "git" in told.split("git says:")[1]
    assert len(told.strip().split("\n")) == 1


def test_a_foreign_folder_of_that_name_is_left_alone(origin, content):
    """Above all where the notebook lies in a repository of the user's own: it is not pulled into."""
    git(content, "init", "-q")
    foreign = content / "owner-series-main"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    status, told = run(content, cell(origin.as_uri()), shell="notebook")
    assert status == 1 and "already exists" in told
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]
    assert git(content, "rev-list", "--all") == ""


@pytest.mark.parametrize("place", [".", "notebooks", "runs/embedded"])
def test_in_a_clone_the_folder_above_is_taken_and_git_is_not_asked(origin, place):
    (origin / place).mkdir(parents=True, exist_ok=True)
    status, told = run(origin / place, cell("no://where"))
    assert status == 0 and told == "prepared main False\nstarted first auto\n"


def test_an_installed_series_is_taken_where_no_folder_above_has_it(origin, content):
    installed = f"import sys; sys.path.append({str(origin)!r})"
    status, told = run(content, installed, cell("no://where"))
    assert status == 0 and told == "prepared main False\nstarted first auto\n" and not list(content.iterdir())


def test_run_again_in_the_same_kernel_the_clone_is_not_changed_under_it(origin, content):
    source = cell(origin.as_uri())
    author = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    meanwhile = f"""
import pathlib
pathlib.Path({str(origin / "cpt_utils" / "runtime" / "__init__.py")!r}).write_text("broken(")
done = subprocess.run(["git", "-C", {str(origin)!r}, *{author}, "commit", "-qam", "second"], check=True)"""
    status, told = run(content, source, meanwhile, source, shell="notebook")
    assert status == 0 and told.count("started first auto") == 2 and told.count("is up to date") == 1
    assert "broken(" not in (content / "owner-series-main" / "cpt_utils" / "runtime" / "__init__.py").read_text()


def test_errors_of_the_set_up_show_in_a_notebook_as_their_lines_alone(content, origin):
    for name in ("errors.py", "files.py", "machine.py", "packages.py", "places.py"):
        shutil.copy(ROOT / "cpt_utils" / "runtime" / name, origin / "cpt_utils" / "runtime")
    commit(
        origin,
        "failing",
        colab="from cpt_utils.runtime.errors import SetupError\n\n\ndef prepare(*choices):\n"
        "    raise SetupError('Restart needed: it was so.\\nRestart it.')\n",
    )
    status, told = run(content, cell(origin.as_uri()), shell="notebook")
    assert status == 1 and told.strip().split("\n")[1:] == ["Restart needed: it was so.", "Restart it."]


@pytest.mark.parametrize("where", ["colab", "elsewhere"])
def test_the_real_series_is_fetched_and_starts(content, tmp_path, where):
    """As committed or changed here, on a fake Colab whose image lacks nothing, and in a plain Python."""
    source = tmp_path / "owner" / "real"
    keep = shutil.ignore_patterns(
        ".git",
        ".venv",
        ".bench",
        ".lowest",
        ".unsloth",
        "runs",
        "__pycache__",
        "*.egg-info",
        ".hypothesis",
        ".pytest_cache",
    )
    shutil.copytree(ROOT, source, ignore=keep)
    git(source, "init", "-q")
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "all")
    before = "import sys, types"
    if where == "colab":
        before += '\nsys.modules["google.colab"] = types.ModuleType("google.colab")'
    check = (
        "import os; assert os.environ['OMP_WAIT_POLICY'] == 'passive' and profile.name == 'embedded'\n"
        "assert 'owner-real-main' in runtime.__file__ and (runtime.files.ROOT / 'pyproject.toml').exists()"
    )
    status, told = run(content, before, cell(source.as_uri()), check, shell="notebook", env={"CPT_PROFILE": "embedded"})
    assert status == 0 and "profile embedded | CPU" in told and "installing" not in told, told


def test_alone_on_a_machine_without_the_packages_one_sentence_says_what_to_do(content, origin):
    shutil.copytree(ROOT / "cpt_utils" / "runtime", origin / "cpt_utils" / "runtime", dirs_exist_ok=True)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, origin)
    commit(origin, "real", colab=(ROOT / "cpt_utils" / "runtime" / "colab.py").read_text("utf-8"))
    hide = (
        "import sys, importlib.metadata as m\nreal = m.version\ndef version(name):\n"
        "    if name in ('trl', 'gguf'): raise m.PackageNotFoundError(name)\n    return real(name)\nm.version = version"
    )
    status, told = run(content, hide, cell(origin.as_uri()), shell="notebook")
    last = told.strip().split("\n")[-1]
    assert (
        status == 1
        and last.startswith("This Python lacks trl, gguf. ")
        and "pip install -c constraints.txt -e ." in last
    )
    assert len(told.strip().split("\n")) == 2
