"""The rooms of cpt_utils: who may import from whom. Imports go down only, and there are no circles."""

import ast
import graphlib
import sys

import pytest

from cpt_utils.runtime.files import ROOT

PACKAGE = ROOT / "cpt_utils"
METHOD = [  # the first level, from the bottom up: a module may import those before it
    "page",
    "rows",
    "measures",
    "word_order",
    "degenerate",
    "rubric_places",
    "rubric_text",
    "rubrics",
    "wordings",
    "prompts",
    "tables",
    "hub_data",
    "sense",
    "judging",
    "ways",
    "marks",
    "opinions",
    "agreement",
    "thoughts",
    "replies",
    "connection",
    "answer_stream",
    "endpoint_options",
    "teachers",
    "one_answer",
    "asking",
    "generation",
    "own_texts",
    "drafting",
    "verdicts",
    "llm_judging",
    "reading",
    "anchors",
    "styles",
    "blocks",
    "pairs",
    "dpo",
    "pace",
    "checkpoints",
    "training",
    "experiment",
    "overall",
    "rewards",
    "online",
    "evaluation",
    "released",
    "shift",
    "bestof",
    "own",
    "fresh",
    "export",
    "lettering",
    "plotting",
    "charts",
    "diagrams",
    "curves",
]
MAY_IMPORT = {  # room: rooms, or single modules of rooms
    "runtime": ["runtime"],
    "fast": ["fast", "runtime.errors", "runtime.machine"],
    "models": ["models", "fast", "runtime"],
    "method": ["models", "runtime"],
    "widgets": ["widgets", "method", "models", "runtime"],
    "exercises": ["exercises", "method", "runtime"],
    "commands": ["commands", "method", "models", "fast", "runtime"],
    "__main__": ["commands", "runtime"],
    "cpt_utils": [],
}
ALSO = {"training": ["fast"], "online": ["fast"]}  # packed rows; texts that a policy writes for itself
LIGHT = {"runtime": {"yaml", "pydantic"}}  # what a room may import on top, beside the standard library


def module_name(path) -> str:
    """The dotted name of a module below cpt_utils; "" for the package itself."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


MODULES = {module_name(path): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}


def walk(tree: ast.AST):
    """All nodes but those under `if TYPE_CHECKING:`, which is never run."""
    yield tree
    if isinstance(tree, ast.If) and getattr(tree.test, "id", "") == "TYPE_CHECKING":
        return
    for node in ast.iter_child_nodes(tree):
        yield from walk(node)


def imported(tree: ast.AST, modules) -> set[str]:
    """Modules below cpt_utils that a module imports, on top or in a function."""
    found = set()
    for node in walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cpt_utils":
            place = node.module.removeprefix("cpt_utils").lstrip(".")
            for alias in node.names:
                whole = f"{place}.{alias.name}".lstrip(".")
                found.add(whole if whole in modules else place)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("cpt_utils.")]
            found |= {name.removeprefix("cpt_utils.") for name in names}
    return found


def room(module: str) -> str:
    if module in METHOD:
        return "method"
    return module.split(".")[0] or "cpt_utils"


def faults(module: str, imports: set[str]) -> list[str]:
    """What a module imports against its room's rule."""
    allowed = MAY_IMPORT[room(module)] + ALSO.get(module, [])
    found = []
    for other in imports - {module}:
        inside = room(other) in allowed or other in allowed
        if module in METHOD and other in METHOD:
            inside = METHOD.index(other) < METHOD.index(module)
        if not inside:
            found.append(f"{module} may not import {other or 'cpt_utils'}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_each_module_keeps_its_rooms_rule(module):
    assert faults(module, imported(MODULES[module], MODULES)) == []


def test_a_broken_rule_is_seen():
    source = "def f():\n    from cpt_utils import widgets\n    from cpt_utils.pairs import load_rows"
    found = imported(ast.parse(source), MODULES)
    assert (
        faults("pairs", {"training"})
        and faults("fast.packing", {"runtime.files"})
        and faults("models.logps", {"prompts"})
    )
    assert len(faults("runtime.files", found)) == 2 and faults("widgets.desk", {"exercises.nb01"})
    assert not faults("training", found & {"pairs"}) and not faults("fast.packing", {"fast.switch", "runtime.machine"})


def test_there_are_no_circles():
    edges = {module: imported(tree, MODULES) - {module} for module, tree in MODULES.items()}
    try:
        list(graphlib.TopologicalSorter(edges).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"modules import each other: {error.args[1]}")


def test_the_first_level_is_the_method():
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert files == set(METHOD) and rooms == set(MAY_IMPORT) - {"method", "__main__", "cpt_utils"}


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) in LIGHT])
def test_a_light_room_loads_light_packages(module):
    """On top, that is: on Colab, runtime is imported before the packages are there."""
    tops = [node for node in MODULES[module].body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in tops if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in tops if isinstance(node, ast.ImportFrom)}
    loaded = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"cpt_utils"}
    assert loaded <= LIGHT[room(module)]


def test_the_setup_cell_needs_the_standard_library_only():
    """`from cpt_utils.runtime import colab` and all that it loads."""
    reached, waiting = set(), {"runtime", "runtime.colab"}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        tops = [node for node in MODULES[module].body if isinstance(node, (ast.Import, ast.ImportFrom))]
        for node in tops:
            waiting |= imported(ast.Module([node], []), MODULES) - reached
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for name in names:
                assert name.split(".")[0] in {*sys.stdlib_module_names, "cpt_utils"}, f"{module} loads {name}"
    assert "runtime.packages" in reached and "runtime.profiles" not in reached
