"""`python -m benchmarks.gpu`: the stages that STAGES names, or (--stage) one of them in this process."""

import argparse
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--stage", help="run this stage here; the runner does so, in a process of its own")
    parser.add_argument("--part", default="", help="only this part of it")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--dry", action="store_true")
    options = parser.parse_args()
    if options.stage:
        from benchmarks.gpu import stage

        return stage.run(options.stage, options.part, options.dry, options.folder, options.seconds)
    from benchmarks.gpu import runner

    return runner.main()


if __name__ == "__main__":
    sys.exit(main())
