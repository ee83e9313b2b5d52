"""What the groups of a workshop brought: `python -m tools.collect FOLDER` prints one table for the projector.

FOLDER holds a folder for each group, with what lay in its runs/embedded/ (report.json is enough), and the files
marks-NAME.jsonl of those who marked texts, wherever in FOLDER they lie.
"""

import json
import sys
from pathlib import Path

from cpt_utils import agreement, marks
from cpt_utils.runtime.errors import CptError, SetupError

NAMES = ("overall", "accuracy", "spearman_rho")
SHOWN = ("overall", "accuracy", "rho")


def groups(folder: Path) -> dict[str, dict]:
    """{group: its report}; a SetupError where there is none, or where one cannot be read."""
    found = {}
    for path in sorted(folder.glob("*/report.json")):
        try:
            found[path.parent.name] = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise SetupError(f"{path.parent.name}/report.json is no report ({error}): copy it once more.") from None
    if not found:
        raise SetupError(f"{folder} holds no GROUP/report.json: copy each group's runs/embedded/ into it.")
    return found


def line(group: str, report: dict) -> str:
    """A group's own rubric before and after training; the four shipped ones where it has no capstone."""
    own = report.get("capstone", {})
    measured = own.get("steerability") or report.get("steerability", {})
    before, after = measured.get("base", {}), measured.get("tuned") or measured.get("cpt", {})
    values = [f"{number(before.get(name))} -> {number(after.get(name))}" for name in NAMES]
    cells = [group, own.get("rubric", "the four rubrics"), *values]
    return "  ".join(f"{cell[:24]:24}" for cell in cells[:2]) + "  " + "  ".join(f"{cell:14}" for cell in cells[2:])


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def marked(folder: Path) -> str:
    """By each rubric: how many people marked how many texts in all folders together, and how far they agree."""
    given = marks.pooled(sorted(folder.rglob("marks-*.jsonl")))
    rubrics = sorted({mark["rubric"] for mark in given})
    return "\n".join(_marked(rubric, marks.by_rubric(given, rubric)) for rubric in rubrics) or "no marks"


def _marked(rubric: str, given: list[marks.Mark]) -> str:
    people, texts = {mark["who"] for mark in given}, {mark["response"] for mark in given}
    told = f"{rubric or 'no rubric named'}: {len(people)} people marked {len(texts)} texts"
    found = agreement.alphas(given, [])[""]
    if found["alpha"] is None:
        return told
    n, meaning = found["n"], agreement.meaning(found["alpha"], found["n"])
    return f"{told}; alpha {found['alpha']:.2f} on {n} that two or more marked: {meaning}"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__)
        return 2
    folder = Path(arguments[0])
    try:
        lines = [line(group, report) for group, report in groups(folder).items()]
        told = marked(folder)
    except CptError as error:
        print(error, file=sys.stderr)
        return 1
    head = "  ".join(f"{name:24}" for name in ("group", "rubric")) + "  " + "  ".join(f"{name:14}" for name in SHOWN)
    print("\n".join([head, *lines, "", told]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
