"""Whether a machine keeps the workshop's plan: one line of `check` for whoever leads a room.

The plan is the first of notebooks/workshop.yaml. Its `at_most` says how many minutes `check` may give a notebook that
runs while the room goes on, so that it is done when the room needs it. An installed package has no such file.
"""

import math
from collections.abc import Iterator

from cpt_utils.runtime.files import ROOT

PLANS = ROOT / "notebooks" / "workshop.yaml"


def verdict(seconds: dict[str, float]) -> Iterator[tuple[str, str]]:
    """One line (label, text) on estimated seconds {notebook: seconds}; none without a plan, or an estimate for it."""
    if not PLANS.is_file():
        return
    import yaml

    plan = next(iter(yaml.safe_load(PLANS.read_text("utf-8")).values()))
    if not plan["at_most"].keys() <= seconds.keys():
        return
    late = list(filter(None, (too_long(number, seconds[number], most) for number, most in plan["at_most"].items())))
    told = f"no, pair up with a faster machine: {'; '.join(late)}" if late else "yes, this machine keeps the plan"
    yield "workshop", f"{plan['minutes']} minutes: {told}"


def too_long(number: str, seconds: float, most: int) -> str:
    """What a notebook takes against what it may take; "" where it is done in time."""
    taken = seconds / 60
    return f"notebook {number} would take {math.ceil(taken)} of at most {most} minutes" if taken > most else ""
