"""Whether the installed packages are those that the series needs, and whether they fit together."""

from packaging.requirements import Requirement

from cpt_utils.runtime.packages import WEIGHTS_ONLY, applies, pins, plain, project, version_of


def needed() -> list[Requirement]:
    """What `make run` needs, with the model's package in the version whose file is known."""
    table = project()
    lines = table["dependencies"] + table["optional-dependencies"]["run"]
    return [Requirement(line) for line in lines] + [Requirement(f"{n}=={pins()[n]}") for n in sorted(WEIGHTS_ONLY)]


def faults() -> tuple[list[str], list[str]]:
    """What is absent or of a wrong version, and what fits only as far as the series was tried.

    The requirements of what is installed are followed to their ends. Where another package asks for a version
    of a package that the series names itself, the series' own range decides: that is the second list.
    """
    from importlib import metadata

    ours = {plain(one.name): one.specifier for one in needed()}
    queue = [(one, "the series") for one in needed() if applies(one)]
    wrong, notes, seen = {}, {}, set()
    while queue:
        requirement, asker = queue.pop(0)
        name, version = plain(requirement.name), version_of(requirement.name)
        asked = f"{asker} asks for {requirement.name} {requirement.specifier}".rstrip()
        if version is None:
            wrong.setdefault(name, f"{requirement.name} is not installed ({asked})")
        elif not requirement.specifier.contains(version, prereleases=True):
            fits = name in ours and ours[name].contains(version, prereleases=True)
            (notes if fits else wrong).setdefault(name, f"{asked}, and {version} is installed")
        if version is None or name in WEIGHTS_ONLY or (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        further = map(Requirement, metadata.requires(requirement.name) or [])
        queue += [(one, requirement.name) for one in further if applies(one, requirement.extras)]
    return list(wrong.values()), list(notes.values())


def at_pins() -> tuple[int, int]:
    """How many of the needed packages are of the tested version, and how many there are."""
    from packaging.version import Version

    fixed, installed = pins(), {plain(one.name): version_of(one.name) for one in needed() if applies(one)}
    same = [name for name, version in installed.items() if version and Version(version).public == fixed.get(name)]
    return len(same), len(installed)
