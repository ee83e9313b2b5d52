"""Write another address of the series wherever the present one stands: `make stamp REPOSITORY=...`.

`python -m tools.stamp https://github.com/owner/name` changes pyproject.toml, the README, the workshop's
pages, and the badge and setup cell of every notebook.
"""

import re
import sys
from pathlib import Path

from cpt_utils.runtime.errors import SetupError
from cpt_utils.runtime.files import ROOT


def repository(root: Path = ROOT) -> str:
    """owner/name of the series, from pyproject.toml."""
    text = (root / "pyproject.toml").read_text("utf-8")
    return re.search(r'Repository = "https://github\.com/([^"]+)"', text).group(1)


def stamp(address: str, root: Path = ROOT) -> list[str]:
    """Write another address wherever the present one stands; returns the changed files."""
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", address)
    if not match:
        raise SetupError(f"{address!r} is no address of the form https://github.com/owner/name.")
    present = re.compile(rf"(github(?:\.com)?/|/gh/|codespaces\.new/){re.escape(repository(root))}(?![\w.-])")
    changed = []
    pages = [
        root / "README.md",
        *sorted((root / "notebooks").glob("*.md")),
        *sorted((root / "notebooks").glob("*.ipynb")),
    ]
    for path in [root / "pyproject.toml", *pages]:
        text = path.read_text("utf-8")
        new = present.sub(rf"\g<1>{match.group(1)}", text)
        if new != text:
            path.write_text(new, "utf-8")
            changed.append(path.name)
    return changed


def main(arguments: list[str]) -> None:
    if not arguments:
        sys.exit(__doc__)
    try:
        print("stamped", ", ".join(stamp(arguments[0])))
    except SetupError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(sys.argv[1:])
