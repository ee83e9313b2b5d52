"""How a side is asked: an order a line on its standard input, an answer a line on its standard output, both JSON."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path


def serve(side_of: Callable[[Path], object]) -> None:
    """Make the side of the folder that the command line names, and answer orders {"do": method, **options}."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what else is printed goes to standard error, so that nothing comes between the answers
    side = side_of(Path(sys.argv[1]))
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(side, order.pop("do"))(**order)
        print(json.dumps(answer), file=answers, flush=True)
