"""Fill the marked parts of README.md and of the workshop's pages, and ship the last run's adapter (`make readme`)."""

from collections.abc import Callable

from benchmarks.gpu.table import gpu
from cpt_utils.runtime import files
from tools.carry import carries, carries_line
from tools.last_run import RUN, example, results, ship_adapter
from tools.overview import minutes, models, serving
from tools.rivals import difference, in_short, speed, ways, ways_line
from tools.standing import paper, where
from tools.workshop import answers, half_day, ninety, waiting

PARTS = {
    "README.md": (
        *(minutes, example, results, paper, in_short, ways_line, ways, difference, carries_line, carries),
        *(models, where, gpu, speed, serving),
    ),
    "notebooks/WORKSHOP.md": (waiting, ninety, half_day),
    "notebooks/LEADER.md": (answers,),
}
"""By page: functions without arguments; each fills the part that bears its name."""


def filled(text: str, make: Callable[[], str]) -> str:
    """A page's text with the part that bears the function's name made anew."""
    opening, closing = f"<!-- {make.__name__} -->", f"<!-- /{make.__name__} -->"
    assert text.count(opening) == text.count(closing) == 1, make.__name__
    before, rest = text.split(opening)
    after = rest.split(closing)[1]
    return f"{before}{opening}\n{make()}\n{closing}{after}"


def main() -> None:
    for page, parts in PARTS.items():
        path = files.ROOT / page
        text = path.read_text("utf-8")
        for make in parts:
            text = filled(text, make)
        path.write_text(text, "utf-8")
    if (RUN / "report.json").exists() and (RUN / "adapter").is_dir():  # a run of other notebooks alone trains none
        ship_adapter()
    else:
        print("The shipped adapter stays as it is: runs/embedded/ holds no whole run.")


if __name__ == "__main__":
    main()
