"""Markdown of notebooks and pages as HTML that asks no network: formulas as MathML, badges as words."""

import html
import posixpath
import re
from pathlib import PurePosixPath

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from tools.stamp import repository

PAGES = {
    "README.md": "index.html",
    "notebooks/WORKSHOP.md": "workshop.html",
    "notebooks/LEADER.md": "leader.html",
}
"""Pages that are no notebooks: where they stand in the repository, and in the site."""


def page_name(path: str) -> str | None:
    """The site's page of a file of the repository; None where it has none."""
    file = PurePosixPath(path)
    if file.suffix == ".ipynb" and file.parent.name == "notebooks":
        return f"{file.stem}.html"
    return PAGES.get(path)


def address(url: str, folder: str) -> str:
    """Where a link of a file in `folder` leads from the site: to a page, to a figure, or to the repository."""
    if re.match(r"[a-z]+:|#|data:", url):
        return url
    path, hash_mark, anchor = url.partition("#")
    path = posixpath.normpath(posixpath.join(folder, path))
    if path.startswith("figures/"):
        return path
    page = page_name(path)
    return f"{page or f'https://github.com/{repository()}/blob/main/{path}'}{hash_mark}{anchor}"


def slug(text: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    plain = html.unescape(re.sub(r"<[^>]+>", "", text)).lower()
    return re.sub(r"[^\w -]", "", plain).strip().replace(" ", "-")


class Renderer(IPythonRenderer):
    """nbconvert's, with the site's own headings, formulas, links and pictures. `folder`: of the file that is shown."""

    def __init__(self, folder: str):
        super().__init__(escape=False)
        self.folder = folder

    def heading(self, text: str, level: int, **attrs) -> str:
        return f'<h{level} id="{slug(text)}">{text}</h{level}>\n'

    def block_math(self, body: str) -> str:
        return convert(body.strip(), display="block")

    def inline_math(self, body: str) -> str:
        return convert(body.strip())

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, address(url, self.folder), title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        if url.startswith("http"):  # a badge, which would have to be fetched
            return f'<span class="badge">{text}</span>'
        return super().image(text, address(url, self.folder), title)


def to_html(source: str, folder: str) -> str:
    """Markdown of a file in `folder` of the repository as the HTML of a page."""
    return MarkdownWithMath(renderer=Renderer(folder)).render(source)
