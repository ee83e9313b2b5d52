"""Names of files that were set aside: like the file's own, with the time in it."""

import re

ENDING = re.compile(r"(?<=.)((\.[a-z]+)?\.yaml|\.[^.]+)$")
"""Of a name, with the word that says what a file beside a rubric's holds: .judge.yaml."""
ASIDE = re.compile(r"-before-\d{8}-\d{6}(-\d+)?(\.|$)")


def parted(name: str) -> tuple[str, str]:
    """A name before its ending, and the ending."""
    found = ENDING.search(name)
    return (name[: found.start()], found[0]) if found else (name, "")


def was_set_aside(name: str) -> bool:
    """Whether a name is one that `files.before_now` gave to what stood there before."""
    return bool(ASIDE.search(name))
