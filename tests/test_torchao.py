"""A torchao that peft refuses, as Colab's image has it: hidden at the start or by loading a model, else left."""

import os
import subprocess
import sys
import types

import pytest

from cpt_utils.runtime import packages

TINY = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM

def adapted():
    from peft import LoraConfig, get_peft_model
    sizes = {"vocab_size": 32, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1}
    model = LlamaForCausalLM(LlamaConfig(num_attention_heads=2, num_key_value_heads=1, **sizes))
    model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
    return model(torch.tensor([[1, 2, 3]])).logits.shape
"""
REFUSED = """
try:
    adapted()
except ImportError as refusal:
    print("refused:", refusal)
"""
START = """
from cpt_utils import runtime
runtime.start("embedded")
assert sys.modules["torchao"] is None and "peft" not in sys.modules or asked
print("adapted:", *adapted())
"""


@pytest.fixture
def run(tmp_path):
    """Runs code in a fresh process that has a stand-in of a torchao of some version."""

    def run_with(version, code):
        for folder in (tmp_path / "torchao", tmp_path / f"torchao-{version}.dist-info"):
            folder.mkdir()
        (tmp_path / "torchao" / "__init__.py").write_text(f"__version__ = {version!r}\n")
        told = f"Metadata-Version: 2.1\nName: torchao\nVersion: {version}\n"
        (tmp_path / f"torchao-{version}.dist-info" / "METADATA").write_text(told)
        path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH"), str(packages.ROOT)])])
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "CPT_PROFILE": "embedded"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run_with


def test_without_the_start_peft_refuses_every_lora_layer_and_after_it_none(run):
    told = run("0.10.0", TINY + REFUSED + "asked = True" + START)
    assert "refused: Found an incompatible version of torchao" in told
    assert "note: torchao 0.10.0 is hidden, as peft" in told and "adapted: 1 3 32" in told


def test_the_start_asks_without_importing_peft(run):
    told = run("0.10.0", TINY + "asked = False" + START)
    assert told.count("is hidden") == 1 and "adapted: 1 3 32" in told


@pytest.mark.parametrize(
    "code",
    [
        """
from peft import PeftModel  # a script may have loaded it already
from cpt_utils.models.adapters import SHIPPED_ADAPTER
from cpt_utils.models.loading import load_chat_model
print(load_chat_model("embedded", SHIPPED_ADAPTER).name)
""",
        """
from cpt_utils.models.adapters import prepare_for_lora
from cpt_utils.models.loading import load_student
from cpt_utils.runtime.profiles import load_profile
from peft import LoraConfig, get_peft_model
profile = load_profile("embedded").replace(seed=1)
model, lora = prepare_for_lora(load_student(profile), LoraConfig(r=2, target_modules=["q_proj"]), profile)
print(type(get_peft_model(model, lora)).__name__)
""",
    ],
    ids=["an adapter", "a training"],
)
def test_what_loads_a_model_without_the_start_is_guarded_too(run, code):
    told = run("0.10.0", code).splitlines()
    assert told[0].startswith("note: torchao 0.10.0 is hidden, as peft")
    assert told[-1] in ("SmolLM2-135M-Instruct+cpt", "PeftModel")


def test_a_torchao_that_peft_accepts_stays(run):
    told = run(
        "99.0",
        "import sys\nfrom cpt_utils import runtime\nruntime.start('embedded')\nimport torchao\n"
        "print(torchao.__version__)",
    )
    assert told.endswith("99.0\n") and "hidden" not in told


def test_where_unsloth_has_mended_the_answer_nothing_is_hidden(monkeypatch):
    monkeypatch.setattr(packages, "version_of", lambda name: "0.10.0")
    mended = types.SimpleNamespace(is_torchao_available=lambda: False)
    monkeypatch.setitem(sys.modules, "peft.import_utils", mended)
    before = sys.modules.get("torchao", "absent")
    packages.hide_refused_torchao()
    assert sys.modules.get("torchao", "absent") == before


def test_another_peft_without_that_question_stops_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(packages, "version_of", lambda name: "0.10.0")
    monkeypatch.delitem(sys.modules, "peft.import_utils", raising=False)
    for text in (None, "import no_such_module_at_all\n", "question = None\n"):
        if text:
            (tmp_path / "import_utils.py").write_text(text)
        spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
        with monkeypatch.context() as patch:
            patch.setattr(packages.importlib.util, "find_spec", lambda name, spec=spec: spec)
            packages.hide_refused_torchao()
    assert capsys.readouterr().out == ""
