"""The site and the slides: built from the committed notebooks without a network, nothing lost, nothing fetched."""

import json
import re
import shutil
import socket
import tomllib
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup
from packaging.specifiers import SpecifierSet

from cpt_utils.runtime import packages
from cpt_utils.runtime.errors import SetupError
from cpt_utils.runtime.files import ROOT
from tools import markdown, pages, slides

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The slides and the pages around them, built where every connection is refused."""

    def refuse(*_):
        raise AssertionError("a page asked the network")

    target = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        slides.build(target / "slides")
        pages.build(target)
    return target


def soup(path: Path):
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def outputs_with(path: Path, kind: str) -> int:
    cells = nbformat.read(path, as_version=4).cells
    return sum(kind in out.get("data", {}) for cell in cells for out in cell.get("outputs", []))


def test_every_page_is_there_and_fetches_nothing(site):
    assert {path.name for path in site.glob("*.html")} == set(pages.sources())
    assert len(list((site / "slides").glob("0*.html"))) == len(NOTEBOOKS)
    for path in site.rglob("*.html"):
        page = soup(path)
        asked = [tag.get("src") or tag.get("href") for tag in page.select("img, script[src], link, iframe")]
        assert not [url for url in asked if re.match(r"(https?:)?//", url)], path.name
    assert "http" not in (site / "page.css").read_text("utf-8").replace('href^="http"', "")


def test_every_link_inside_the_site_leads_somewhere(site):
    for path in site.rglob("*.html"):
        page = soup(path)
        urls = [tag.get("src") or tag.get("href") for tag in page.select("[src], [href]")]
        for url in urls:
            if re.match(r"[a-z]+:|reveal\.js/", url) or url == "figures/workbench.png":
                continue
            name, _, anchor = unquote(url).partition("#")
            target = path.parent / name if name else path
            assert target.exists(), (path.name, url)
            assert not anchor or soup(target).find(id=anchor), (path.name, url)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebooks_page_keeps_figures_tables_and_formulas(site, path):
    page = soup(site / f"{path.stem}.html")
    pictures = page.select('img[src^="data:image/png"]')
    assert len(pictures) == outputs_with(path, "image/png") and all(len(img["alt"]) > 5 for img in pictures)
    text = path.read_text("utf-8")
    assert len(page.select("math")) >= text.count("$$\\") and "$$" not in page.get_text()
    assert ("<table" in text) <= bool(page.select("table"))
    assert page.select_one("details > summary").get_text() == "The setup cell"
    assert page.select_one('a[href*="colab.research.google.com"] .badge')
    assert len(page.select("nav a[aria-current=page]")) == 1


def test_the_search_knows_every_heading_and_its_text(site):
    known = json.loads((site / "sections.js").read_text("utf-8").removeprefix("const SECTIONS = ").rstrip(";\n"))
    for path in NOTEBOOKS:
        mine = [one for one in known if one["page"] == f"{path.stem}.html"]
        headings = re.findall(r"^##+ ([^`*\n]+)$", markdown_of(path), re.M)
        assert set(headings) <= {one["heading"] for one in mine}
    assert any("harmonic mean" in one["text"] for one in known)


def markdown_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_slides_have_figures_and_exercises_but_no_solutions(site, path):
    deck = soup(site / "slides" / f"{path.stem}.html")
    assert len(deck.select('img[src^="data:image/png"]')) == outputs_with(path, "image/png")
    told = deck.get_text()
    for title in re.findall(r"^### (.+?) · .*minutes", markdown_of(path), re.M):
        assert title in told
    assert "Solution" not in told and "runtime.start(" not in told
    for slide in deck.select(".slides > section"):
        for note in slide.select("aside"):
            note.extract()
        assert len(slide.get_text().split()) <= 300
    assert deck.select_one('script[src="reveal.js/dist/reveal.js"]')


def test_text_on_a_slide_is_short_and_the_rest_is_in_the_notes():
    long = "First sentence here. " + "A second one that goes on. " * 20
    heading, rest = slides.of_text(f"## Title\n\n{long}\n\nAnother block.")
    assert heading.source.startswith("## Title\n\nFirst sentence here.") and len(heading.source.split()) < 60
    assert long.strip() in rest.source and "Another block." in rest.source
    assert slides.of_text("<details><summary>Hint</summary>\n\n### no\n\n</details>") == []
    assert slides.of_text("## Keep it") == [] and slides.of_text("no heading") == []


def test_links_lead_to_pages_figures_or_the_repository():
    assert markdown.address("../README.md#models", "notebooks") == "index.html#models"
    assert markdown.address("04_dpo_training.ipynb", "notebooks") == "04_dpo_training.html"
    assert markdown.address("figures/method.png", "") == "figures/method.png"
    assert markdown.address("../LICENSE", "notebooks").endswith("/blob/main/LICENSE")
    assert markdown.address("https://example.org/a", "") == "https://example.org/a"
    page = markdown.to_html("# *A* & B, again\n\n$$x_1$$ [![Open](https://e.org/b.svg)](https://e.org)", "")
    assert 'id="a--b-again"' in page and "<math" in page and "<img" not in page and 'class="badge">Open<' in page


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(SetupError, match="fetches it with npm"):
        slides.add_reveal(tmp_path, tmp_path / "nowhere")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns("*.md", "*.yaml"))
    path = tmp_path / "notebooks" / NOTEBOOKS[0].name
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(notebook, path)
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    with pytest.raises(SetupError, match="01_rubric_design.ipynb has no outputs"):
        pages.body_of(f"notebooks/{path.name}")


@pytest.mark.browser
def test_a_word_is_found_and_followed(site):
    playwright = pytest.importorskip("playwright.sync_api")
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser_path is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path)
        page, faults = browser.new_page(), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"file://{site}/index.html")
        page.fill("#search", "steering desk")
        page.click("#found li:first-child a")
        page.wait_for_url("**/*.html#*")
        page.fill("#search", "<b>zzz")
        assert page.inner_text("#found") == "Nothing found."
        page.emulate_media(media="print")
        assert not page.is_visible("nav") and page.is_visible("main")
        browser.close()
    assert not faults


# ---- Binder and Codespaces


def test_the_starts_elsewhere_name_what_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    script = (ROOT / ".binder" / "postBuild").read_text("utf-8")
    (extras,) = re.findall(r"-e '\.\[([\w,]+)\]'", script)
    assert set(extras.split(",")) <= set(project["optional-dependencies"]) - {"gpu"}
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert all(f"{name}=={pins[name]}" in script for name in packages.WEIGHTS_ONLY)
    assert "-c constraints.txt" in script and "--torch-backend cpu" in script
    assert (ROOT / ".binder" / "postBuild").stat().st_mode & 0o100
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert (ROOT / container["postCreateCommand"].removeprefix("bash ")).exists()
    assert "gpu" not in container["hostRequirements"]
    versions = [(ROOT / ".binder" / "runtime.txt").read_text().strip().removeprefix("python-")]
    versions.append(re.search(r"python:([\d.]+)", container["image"])[1])
    assert all(version in SpecifierSet(project["requires-python"]) for version in versions)


def test_badges_lead_to_this_repository_and_to_a_notebook_that_exists():
    from tools.stamp import repository

    readme = (ROOT / "README.md").read_text("utf-8")
    (binder,) = re.findall(r"mybinder\.org/v2/gh/([\w./-]+)/main\?urlpath=lab/tree/([\w./]+)\)", readme)
    assert binder[0] == repository() and (ROOT / binder[1]).exists()
    assert f"codespaces.new/{repository()})" in readme
    assert all((ROOT / path).exists() for path in re.findall(r"/blob/main/(notebooks/[\w.]+)\)", readme))
