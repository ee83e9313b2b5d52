"""Text on a notebook's page: lines that fit it (it breaks longer ones within words), and figures side by side."""

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


def metric_table(measured: dict[str, dict], metrics: tuple[str, ...]) -> str:
    """What evaluation.steerability found of some models, side by side: a line for each metric, with its 95% interval.

    What has no interval ("degenerate_rate") stands alone; the model that is called "cpt" in files is called tuned.
    """
    heads = ["tuned" if name == "cpt" else name for name in measured]
    lines = [f"{'':14}" + "".join(f"{head:>24}" for head in heads)]
    for metric in metrics:
        cells = []
        for found in measured.values():
            low, high = found["ci95"].get(metric, (None, None))
            cells.append(f"{found[metric]:.2f}" + ("" if low is None else f" [{low:5.2f}, {high:5.2f}]"))
        lines.append(f"{metric.removesuffix('_rate'):14}" + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)
