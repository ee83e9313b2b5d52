"""The executed series as pages to read, with search and a print style: `make site` writes site/, without a network."""

import json
import re
import shutil
import sys
from html import escape
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

from cpt_utils.runtime.errors import SetupError
from cpt_utils.runtime.files import ROOT
from tools.markdown import PAGES, page_name, slug, to_html

LOOK = Path(__file__).parent / "look"
TITLES = {"index.html": "Overview", "workshop.html": "Teaching", "leader.html": "Leader's sheet"}
DECKS = "slides/index.html"


def sources() -> dict[str, str]:
    """{page: file of the repository}, in the order in which they are read."""
    notebooks = [f"notebooks/{path.name}" for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb"))]
    return {page_name(path): path for path in ("README.md", *notebooks, *list(PAGES)[1:])}


def body_of(path: str) -> str:
    """The HTML of a page's own part; a SetupError for a notebook that was not executed."""
    if path.endswith(".md"):
        return to_html((ROOT / path).read_text("utf-8"), str(Path(path).parent).removeprefix("."))
    notebook = nbformat.read(ROOT / path, as_version=4)
    if not any(cell.get("outputs") for cell in notebook.cells):
        raise SetupError(f"{path} has no outputs: execute it first (make notebooks).")
    describe_figures(notebook)
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    exporter.register_filter("markdown2html", lambda source: to_html(source, "notebooks"))
    return folded_setup(exporter.from_notebook_node(notebook)[0])


def folded_setup(body: str) -> str:
    """The same page with its first cell of code, which readers need not see, folded away."""
    page = BeautifulSoup(body, "html.parser")
    code = page.select_one(".code_cell .input")
    details = code.wrap(page.new_tag("details"))
    summary = page.new_tag("summary")
    summary.string = "The setup cell"
    details.insert(0, summary)
    return str(page)


def describe_figures(notebook) -> None:
    """Give every figure a description for those who cannot see it: what the text after it says there is to see."""
    for cell, after in zip(notebook.cells, notebook.cells[1:]):
        seen = re.search(r"\*What to see:\*\s*(.+)", after.source) if after.cell_type == "markdown" else None
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.metadata["image/png"] = {"alt": re.sub(r"[*_`]", "", seen[1]) if seen else "a figure"}


def title_of(page: str, path: str) -> str:
    if page in TITLES:
        return TITLES[page]
    first = nbformat.read(ROOT / path, as_version=4).cells[0].source
    return re.search(r"^# (.+)$", first, re.M)[1]


def whole_page(page: str, titles: dict[str, str], body: str, decks: bool) -> str:
    """A page with its head, the list of all pages, and the search."""
    links = [
        f'<li><a href="{name}"{" aria-current=page" * (name == page)}>{escape(title)}</a></li>'
        for name, title in titles.items()
    ]
    if decks:
        links.append(f'<li><a href="{DECKS}">Slides</a></li>')
    name = "Configurable Preference Tuning"
    return (
        (LOOK / "page.html")
        .read_text("utf-8")
        .format(title=escape(f"{titles[page]} · {name}"), links="\n".join(links), body=body)
    )


def sections(page: str, title: str, body: str) -> list[dict]:
    """What the search looks through: {page, anchor, heading, text} from each heading to the next."""
    found = [{"page": page, "anchor": "", "heading": title, "text": []}]
    for element in BeautifulSoup(body, "html.parser").find_all(["h1", "h2", "h3", "p", "li", "pre", "td"]):
        text = " ".join(element.get_text(" ").split())
        if element.name in ("h1", "h2", "h3"):
            found.append({"page": page, "anchor": element.get("id") or slug(text), "heading": text, "text": []})
        elif not element.find_parent(["p", "li", "pre", "td"]):
            found[-1]["text"].append(text)
    return [section | {"text": " ".join(section["text"]), "title": title} for section in found]


def build(target: Path) -> list[Path]:
    """Write all pages, with what they show; returns the pages."""
    target.mkdir(parents=True, exist_ok=True)
    titles = {page: title_of(page, path) for page, path in sources().items()}
    bodies = {page: body_of(path) for page, path in sources().items()}
    decks = (target / DECKS).exists()
    for page, body in bodies.items():
        (target / page).write_text(whole_page(page, titles, body, decks), "utf-8")
    shutil.copytree(ROOT / "figures", target / "figures", dirs_exist_ok=True)
    shutil.copy(LOOK / "search.js", target)
    style = (LOOK / "page.css").read_text("utf-8") + HtmlFormatter(style="friendly").get_style_defs(".highlight")
    (target / "page.css").write_text(style, "utf-8")
    known = [one for page, body in bodies.items() for one in sections(page, titles[page], body)]
    (target / "sections.js").write_text(f"const SECTIONS = {json.dumps(known, ensure_ascii=False)};\n", "utf-8")
    return [target / page for page in bodies]


def main() -> int:
    try:
        written = build(ROOT / "site")
    except SetupError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"{len(written)} pages: open site/index.html in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(main())
