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


def metric_table(measured: dict[str, dict], metrics: tuple[str, ...] = ()) -> str:
    """Figures of some models side by side: a line for each metric (unless some are named: every number of the first).

    What evaluation.steerability found has its 95% interval beside it, where there is one; the model that is called
    "cpt" in files is called tuned.
    """
    first = next(iter(measured.values()))
    metrics = metrics or tuple(name for name, value in first.items() if isinstance(value, (int, float)))
    heads = ["tuned" if name == "cpt" else name for name in measured]
    names = {metric: metric.removesuffix("_rate") for metric in metrics}
    margin = max(14, 2 + max(map(len, names.values())))
    rows = [("", heads)]
    for metric, name in names.items():
        cells = []
        for found in measured.values():
            low, high = found.get("ci95", {}).get(metric, (None, None))
            cells.append(f"{found[metric]:.2f}" + ("" if low is None else f" [{low:5.2f}, {high:5.2f}]"))
        rows.append((name, cells))
    least = 24 if any("ci95" in found for found in measured.values()) else 10
    wide = max(least, *(2 + len(cell) for _, cells in rows for cell in cells))
    return "\n".join(f"{name:{margin}}" + "".join(f"{cell:>{wide}}" for cell in cells) for name, cells in rows)
