"""What the series uses of libraries without their promise to keep it: the list, a reason each, and whether it is there.

A library that moves one of these fails here, by name, and not somewhere in a training.
"""

import ast
import importlib
import inspect

import pytest
import torch

from cpt_utils.runtime.files import ROOT

PRIVATE = {  # (module of ours, name): why there is no public way
    ("fast.attention", "_attn_implementation"): "a config tells its attention by no public name, only sets it",
    ("fast.weights", "_linear_pointwise"): "oneDNN's product with a weight in its own layout has no public name",
    ("fast.weights", "_reorder_linear_weight"): "nor has the layout; fast.switch tries both before they are used",
    ("checkpoints", "_metrics"): "what a stopped training left there would be averaged into the next line of the log",
    ("training", "_metrics"): "TRL's log takes what it shows beside the loss from there, and from nowhere else",
}
UNDOCUMENTED = {  # (module, name of the library's): why
    ("transformers.cache_utils", "DynamicLayer"): "the layer of a cache that a roomier one stands in for",
    ("transformers.integrations.sdpa_attention", "sdpa_attention_forward"): "the attention that ours falls back to",
    ("peft.import_utils", "is_torchao_available"): "peft asks it before it refuses an old torchao",
    ("peft.helpers", "disable_input_dtype_casting"): "a context that is in peft's reference, not in its list of names",
    ("openai", "DefaultHttpxClient"): "its base is the HTTP library that this openai brings",
}


def names_of_our_own(tree: ast.AST) -> set[str]:
    """Names that a module defines or assigns, also as attributes."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def private_names(tree: ast.AST) -> set[str]:
    """Names with one leading underscore that a module takes from elsewhere: attributes, imports, getattr."""
    taken = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            taken.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            taken |= {alias.name for alias in node.names} | set((node.module or "").split("."))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr", "setattr"):
            taken |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    private = {name for name in taken if isinstance(name, str) and name.startswith("_") and name[1:2] != "_"}
    return private - names_of_our_own(tree)


def test_the_list_is_whole_and_holds_nothing_that_is_gone():
    package, used = ROOT / "cpt_utils", set()
    for path in package.rglob("*.py"):
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        used |= {(module, name) for name in private_names(ast.parse(path.read_text("utf-8")))}
    assert used == set(PRIVATE)


def test_private_names_are_seen_wherever_they_stand():
    source = "from a._b import c\nfrom a import _d\nx._e\ngetattr(x, '_f')\nself._own = 1\nself._own\nx.__class__"
    assert private_names(ast.parse(source)) == {"_b", "_d", "_e", "_f"}


def test_a_config_tells_its_attention():
    from cpt_utils.fast.switch import small_model

    model = small_model()
    model.set_attn_implementation("eager")
    assert model.config._attn_implementation == "eager"


def test_trl_logs_what_lies_in_its_metrics():
    from trl import DPOTrainer

    assert "self._metrics[mode].items()" in inspect.getsource(DPOTrainer.log)
    assert list(inspect.signature(DPOTrainer.compute_ref_log_probs).parameters) == ["self", "model", "inputs"]


def test_one_dnn_products_are_there_or_replaced():
    """macOS wheels and some processors lack them: fast.switch answers for those (test_machine)."""
    from cpt_utils.fast.weights import layout_works

    there = all(hasattr(torch.ops.mkldnn, name) for _, name in PRIVATE if name.startswith(("_linear", "_reorder")))
    assert there or not layout_works(torch.float32)


@pytest.mark.parametrize("module, name", UNDOCUMENTED)
def test_undocumented_names_are_there(module, name):
    assert hasattr(importlib.import_module(module), name), f"{module} has no {name}: {UNDOCUMENTED[module, name]}"
