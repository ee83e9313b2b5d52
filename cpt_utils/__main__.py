"""`python -m cpt_utils run` executes the notebooks; `... try` answers a prompt; `... check` looks at the machine."""

import argparse
import importlib
import sys


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m cpt_utils", description="Configurable Preference Tuning")
    commands = whole.add_subparsers(dest="command", required=True)
    commands.add_parser("run", add_help=False, help="execute the notebooks; `run --help` shows the options")
    trial = commands.add_parser("try", help="answer a prompt under three system prompts")
    trial.add_argument("--prompt", help="what to ask (default: a held-out prompt of the series)")
    trial.add_argument(
        "--system",
        action="append",
        metavar="TEXT",
        help="a system prompt of your own in place of the three; may be given several times",
    )
    commands.add_parser("check", help="say what this machine is, what it lacks, and how long the series takes on it")
    return whole


def main(arguments: list[str] | None = None) -> int:
    commands = parser()
    options, rest = commands.parse_known_args(arguments)
    try:
        importlib.import_module("cpt_utils.runtime")  # reads CPT_SEED
    except ValueError as error:  # a SettingsError, which stands in what could not be imported
        print(f"{options.command} stopped: {error}", file=sys.stderr)
        return 1
    if options.command == "run":
        from cpt_utils.commands import series

        return series.main(rest)
    if rest:
        commands.error(f"unrecognized arguments: {' '.join(rest)}")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character shows "?"
    try:
        if options.command == "try":
            return answer(options.prompt, options.system)
        from cpt_utils.commands import check

        return check.main()
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def answer(prompt: str | None, systems: list[str] | None) -> int:
    """`try`: 0, or 1 with one sentence about what is wrong."""
    from cpt_utils.commands import trial
    from cpt_utils.runtime.errors import CptError

    try:
        trial.try_it(prompt, systems)
    except CptError as error:
        print(f"try stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
