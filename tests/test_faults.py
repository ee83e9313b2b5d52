"""What was foreseen is one sentence in a notebook; a bug keeps its traceback, and so does plain Python."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell

import cpt_utils
from cpt_utils.runtime.errors import CptError

ONE_SENTENCE = "There is no profile 'huge': use one of embedded, full, smoke, paper, t4."
FORESEEN = "from cpt_utils.runtime import profiles\ndef deep():\n    profiles.load_profile('huge')\ndeep()"


@pytest.fixture
def shown(capsys):
    """What a notebook's kernel shows for a cell that fails."""

    def run(code):
        capsys.readouterr()
        told = InteractiveShell().run_cell(code)
        assert told.error_in_exec is not None
        return capsys.readouterr().out.strip()

    return run


def own_errors():
    for part in pkgutil.walk_packages(cpt_utils.__path__, "cpt_utils."):
        if part.name == "cpt_utils.__main__":
            continue
        module = importlib.import_module(part.name)
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, BaseException) and kind.__module__.startswith("cpt_utils."):
                yield kind


def test_every_error_type_of_the_series_has_one_base():
    found = set(own_errors())
    assert len(found) > 10 and [kind.__name__ for kind in found if not issubclass(kind, CptError)] == []


def test_other_bases_stay():
    """Callers may catch what they caught before."""
    for kind in set(own_errors()) - {CptError}:
        assert issubclass(kind, (ValueError, RuntimeError)) or not kind.__name__.endswith("Error"), kind


def test_a_notebook_shows_the_sentence_alone(shown):
    assert shown(FORESEEN) == ONE_SENTENCE


@pytest.mark.parametrize(
    "code",
    [
        "from cpt_utils.prompts import system_prompt\nsystem_prompt('rococo', 'huge')",
        "from cpt_utils.runtime.catalogue import find_model\nfind_model('huge')",
        "from cpt_utils import load_rubric\nload_rubric('huge')",
        "from cpt_utils.runtime.files import read_jsonl\nread_jsonl('.')",
        "from cpt_utils import embedded_judge\nembedded_judge().score('huge', '', 'text')",
        "from cpt_utils.teachers import endpoint_teacher\nendpoint_teacher('model', 'localhost')",
    ],
)
def test_so_do_the_other_faults_that_were_foreseen(shown, code):
    told = shown(code)
    assert told and "Traceback" not in told and len(told.splitlines()) == 1


@pytest.mark.parametrize(
    "code, kind",
    [
        ("from cpt_utils.prompts import messages\nmessages()", "TypeError"),
        ("from cpt_utils.runtime.needs import check_memory\ncheck_memory({}, 1)", "AttributeError"),
        ("raise ValueError('mine')", "ValueError"),
    ],
)
def test_a_bug_keeps_its_traceback(shown, code, kind):
    told = shown(code)
    assert "Traceback" in told and kind in told and len(told.splitlines()) > 4


def test_plain_python_shows_where():
    done = subprocess.run([sys.executable, "-c", FORESEEN], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr and "in deep" in done.stderr
    assert done.stderr.strip().endswith(f"cpt_utils.runtime.errors.SettingsError: {ONE_SENTENCE}")
