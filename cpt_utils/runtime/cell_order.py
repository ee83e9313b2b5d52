"""Notebook cells run out of order: say which cell comes first instead of a bare NameError."""

import ast
import functools
import json

from cpt_utils.runtime import files


def bound_names(source: str) -> set[str]:
    """Names that a cell's code defines at its top level, by assignment, import, def or loop."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # magics and exercises in the making
        return set()
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names


@functools.cache
def notebooks() -> list[list[tuple[str, str]]]:
    """The code cells of every notebook of the series as (heading above, source)."""
    series = []
    for path in sorted((files.ROOT / "notebooks").glob("*.ipynb")):
        heading, cells = "the title", []
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code":
                cells.append((heading, source))
            elif titles := [line.lstrip("# ") for line in source.split("\n") if line.startswith("#")]:
                heading = titles[-1]
        series.append(cells)
    return series


def first_to_run(name: str, source: str) -> str:
    """One sentence: which cell defines `name` before the cell `source` of the series, or "" if none does."""
    for cells in notebooks():
        sources = [text.strip() for _, text in cells]
        if source.strip() in sources:
            for heading, text in reversed(cells[: sources.index(source.strip())]):
                if name in bound_names(text):
                    first = next(x for x in text.split("\n") if x and not x.startswith(("#", "import", "from")))
                    return (
                        f"{name!r} is made by a cell further up that has not run yet: run the cell under "
                        f"'{heading}' that begins with `{first.strip()[:60]}`, then this one again."
                    )
    return ""


def watch_order() -> None:
    """In a notebook, add that sentence to every NameError of a cell of the series."""
    import sys

    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return

    def explain(shell, kind, error, trace, tb_offset=None):
        sentence = first_to_run(error.name or "", shell.user_ns["In"][-1])
        if sentence:
            error.args = (sentence,)
        shell.showtraceback((kind, error, None if sentence else trace), tb_offset=tb_offset)

    shell.set_custom_exc((NameError,), explain)
