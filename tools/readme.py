"""After `make run` (and `make seeds`): ship the adapter and fill the marked parts of README.md (`make readme`)."""

from collections.abc import Callable

from benchmarks.gpu.table import gpu
from cpt_utils.runtime import files
from tools.last_run import example, results, ship_adapter
from tools.overview import minutes, models, serving
from tools.rivals import speed, ways

PARTS = (results, ways, speed, gpu, example, minutes, models, serving)
"""Functions without arguments; each fills the part that bears its name."""


def filled(text: str, make: Callable[[], str]) -> str:
    """The README's text with the part that bears the function's name made anew."""
    opening, closing = f"<!-- {make.__name__} -->", f"<!-- /{make.__name__} -->"
    assert text.count(opening) == text.count(closing) == 1, make.__name__
    before, rest = text.split(opening)
    after = rest.split(closing)[1]
    return f"{before}{opening}\n{make()}\n{closing}{after}"


def main() -> None:
    path = files.ROOT / "README.md"
    text = path.read_text("utf-8")
    for make in PARTS:
        text = filled(text, make)
    ship_adapter()
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
