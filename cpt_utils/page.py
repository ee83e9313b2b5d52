"""Text on a notebook's page, which breaks a longer line wherever it ends, within a word as well."""

import textwrap

WIDTH = 72
"""Characters that a line has on a window of 1024 points, beside the list of files, and on the site."""


def folded(text: str, indent: str = "") -> str:
    """The same text with `indent` before each line, and its longer lines broken between words."""
    lines = []
    for line in text.splitlines():
        lines += textwrap.wrap(
            line,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            replace_whitespace=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(lines)
