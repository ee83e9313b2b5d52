"""Slides for a room, made from the notebooks: `make slides` writes site/slides/, which need no network.

The rule: a slide for each heading with the first block of text under it, one for each exercise, and one for each
figure and each short table of texts, with the first sentence of "What to see". What is left out of a text stands in
the speaker's notes (key S).
"""

import copy
import re
import shutil
import sys
from html import escape
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import SlidesExporter
from nbformat.v4 import new_code_cell, new_markdown_cell

from cpt_utils.runtime.errors import SetupError
from cpt_utils.runtime.files import ROOT
from tools.markdown import to_html
from tools.pages import LOOK, describe_figures, title_of

REVEAL = ROOT / ".slides" / "node_modules" / "reveal.js"
SEE = "*What to see:*"
MOST_WORDS = 45
"""Of the text on a slide, unless its first sentence is longer."""
ABOVE = {'href="0': 'href="../0', 'src="figures/': 'src="../figures/'}
"""The site's pages and pictures lie beside the slides' folder."""
LONGEST = 1200
"""Letters of a table that can be read from the back of a room."""


def deck(notebook) -> list:
    """The cells of a notebook's slides, with nbconvert's slideshow metadata."""
    cells, waiting = [], []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            seen = cell.source.startswith(SEE)
            if waiting and seen:
                first, *rest = sentences(cell.source.removeprefix(SEE).strip())
                cells += [*waiting, shown(first[:1].upper() + first[1:], "-"), *notes(" ".join(rest))]
            else:
                cells += waiting
                cells += of_text(cell.source)
            waiting = []
        else:
            waiting += pictures(cell)
    return cells + waiting


def of_text(source: str) -> list:
    """Slides for every heading with text in a cell; none for hints and solutions."""
    cells = []
    if source.startswith("<details>"):
        return cells
    for part in re.split(r"^(?=#{1,3} )", source, flags=re.M)[1:]:
        heading, *blocks = part.strip().split("\n\n")
        if not blocks or heading == "## Exercises":
            continue
        text = shortened(blocks[0])
        next_one = [shortened(block) for block in blocks[1:2] if belongs(text, block)]
        rest = [block for block in blocks if block not in (text, *next_one)]
        cells += [shown("\n\n".join([heading, text, *next_one]), "slide"), *notes("\n\n".join(rest))]
    return cells


def belongs(text: str, block: str) -> bool:
    """Whether the block after a text stands on its slide: a formula, or the list or table that it announces."""
    return block.startswith("$$") or text.endswith(":") and block.startswith(("- ", "|"))


def shortened(block: str) -> str:
    """A list with the first sentence of each point; the first sentences of any other block."""
    if block.startswith(("$$", "|")):
        return block
    if block.startswith("- "):
        return "\n".join(sentences(line)[0] for line in block.splitlines())
    kept = ""
    for sentence in sentences(block):
        if kept and len((kept + sentence).split()) > MOST_WORDS:
            break
        kept += f" {sentence}"
    return kept.strip()


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.?!]) (?=[A-Z*`(])", text)


def pictures(cell) -> list:
    """A slide for each figure, and for each table that is short enough, of a code cell's outputs."""
    found = []
    for output in cell.outputs:
        data = output.get("data", {})
        letters = len(BeautifulSoup(data.get("text/html", ""), "html.parser").get_text())
        if "image/png" in data or 0 < letters <= LONGEST:
            only = new_code_cell("", outputs=[copy.deepcopy(output)], execution_count=None)
            only.metadata["slideshow"] = {"slide_type": "slide"}
            found.append(only)
    return found


def shown(source: str, kind: str):
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind}})


def notes(source: str) -> list:
    return [shown(source, "notes")] if source.strip() else []


def text_of_slide(source: str) -> str:
    """HTML whose links to notebooks and pictures lead up from the slides' folder."""
    page = to_html(source, "notebooks")
    for here, above in ABOVE.items():
        page = page.replace(here, above)
    return page


def slides_of(path: Path) -> str:
    """The HTML of a notebook's slides."""
    notebook = nbformat.read(path, as_version=4)
    describe_figures(notebook)
    notebook.cells = deck(notebook)
    notebook.metadata["title"] = title_of("", f"notebooks/{path.name}")
    exporter = SlidesExporter(
        template_name="deck",
        extra_template_basedirs=[str(LOOK)],
        reveal_url_prefix="reveal.js",
        reveal_theme="white",
        exclude_input=True,
    )
    exporter.register_filter("markdown2html", text_of_slide)
    return exporter.from_notebook_node(notebook)[0]


def build(target: Path) -> list[Path]:
    """Write the slides of every notebook and a list of them; returns the decks."""
    target.mkdir(parents=True, exist_ok=True)
    written, lines = [], []
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb")):
        written.append(target / f"{path.stem}.html")
        written[-1].write_text(slides_of(path), "utf-8")
        title = escape(title_of("", f"notebooks/{path.name}"))
        lines.append(f'<li><a href="{written[-1].name}">{title}</a></li>')
    page = (LOOK / "decks.html").read_text("utf-8").replace("LINKS", "\n".join(lines))
    (target / "index.html").write_text(page, "utf-8")
    shutil.copy(LOOK / "deck" / "deck.css", target)
    return written


def add_reveal(target: Path, source: Path = REVEAL) -> None:
    """Lay what the slides need of reveal.js beside them; a SetupError where it was not fetched."""
    if not (source / "dist" / "reveal.js").exists():
        raise SetupError("reveal.js is not here: `make slides` fetches it with npm, which comes with Node.js.")
    for part in ("dist", "plugin/notes"):
        shutil.copytree(source / part, target / "reveal.js" / part, dirs_exist_ok=True)
    shutil.copy(source / "LICENSE", target / "reveal.js")


def main() -> int:
    target = ROOT / "site" / "slides"
    try:
        add_reveal(target)
    except SetupError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"{len(build(target))} decks: open site/slides/index.html in a browser; the key S shows the notes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
