"""The rubrics that a run is about: the shipped four, or those that RUBRICS names, one's own among them."""

from pathlib import Path

from cpt_utils.anchors import AnchorJudge
from cpt_utils.generation import read_responses
from cpt_utils.judging import Judgement, embedded_judge
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.rows import Response
from cpt_utils.rubrics import Rubric, load_rubric, rubric_file, shipped_rubrics
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import JudgeError, PairError, RubricError
from cpt_utils.runtime.profiles import Profile
from cpt_utils.ways import load_ways
from cpt_utils.wordings import wordings_file

TEXTS = "texts.jsonl"
"""In the folder of a rubric's run: the texts that are trained and measured on."""


def titles(profile: Profile) -> dict[str, str]:
    """The titles of the run's rubrics by their names, in order."""
    return {name: find_rubric(name).title for name in profile.rubrics or shipped_rubrics()}


def own_rubrics(profile: Profile) -> dict[str, Rubric]:
    """Those of the run's rubrics that do not come with the package, by their names."""
    return {name: find_rubric(name) for name in profile.rubrics or [] if name not in shipped_rubrics()}


def find_rubric(name: str) -> Rubric:
    """A shipped or saved rubric by its name; a RubricError unless it bears that name in its file as well."""
    rubric = load_rubric(name)
    if rubric.name != name:  # rows go by the one, files by the other
        raise RubricError(f"{name}.yaml holds the rubric {rubric.name!r}: save it under that name (notebook 01).")
    return rubric


def home(profile: Profile, name: str) -> Path:
    """The folder of one rubric's run under a profile, where its texts lie whatever it is trained together with."""
    return files.run_dir(profile.replace(rubrics=[name]))


def asked_prompts(profile: Profile, heldout: bool) -> list[str]:
    """The user prompts that the profile takes of the training or held-out ones."""
    limit = profile.heldout_prompts if heldout else profile.train_prompts  # null: all of them
    return [row["prompt"] for row in load_prompts(heldout)][:limit]


def load_texts(profile: Profile, heldout: bool) -> list[Response]:
    """The texts of the run's rubrics to training or held-out prompts: recorded ones, or those of notebook 02."""
    if not profile.rubrics:
        return load_responses(heldout)
    own, prompts, found = own_rubrics(profile), asked_prompts(profile, heldout), []
    for name in profile.rubrics:
        rows = _texts_of(profile, name) if name in own else load_responses(heldout)
        found += [row for row in rows if row["rubric"] == name and row["prompt"] in prompts]
    return found


def _texts_of(profile: Profile, name: str) -> list[Response]:
    path = home(profile, name) / TEXTS
    if not (rows := read_responses(path)):
        raise PairError(
            f"There are no texts of {name!r} in {files.shown(path)}: run notebook 02 with RUBRICS = [{name!r}] first."
        )
    return rows


def origin(profile: Profile) -> dict:
    """What decides the rows of a run of rubrics: their names, texts and system prompts, as hashes; {} of any other."""
    if not profile.rubrics:
        return {}
    own = own_rubrics(profile)
    texts = {name: home(profile, name) / TEXTS for name in own}
    told = {name: wordings_file(name) for name in own}
    return {"rubrics": profile.rubrics, "texts": _hashes(texts), "system_prompts": _hashes(told)}


def _hashes(paths: dict[str, Path]) -> dict[str, str | None]:
    return {name: files.sha256(path) if path.is_file() else None for name, path in paths.items()}


class JudgeOfEach:
    """Judges several rubrics, each by a judge of its own."""

    def __init__(self, judges: dict):
        self.judges = judges

    def score(self, rubric: str | Rubric, prompt: str, response: str) -> Judgement:
        """Judge one response by the judge of its rubric."""
        name = getattr(rubric, "name", rubric)
        if name not in self.judges:
            raise JudgeError(f"No judge is at hand for the rubric {name!r}, only for {', '.join(self.judges)}.")
        return self.judges[name].score(rubric, prompt, response)


def offline_judge(profile: Profile):
    """The judge of the run's rubrics that asks no other model: the series' own, and for one's own rubrics theirs."""
    if not profile.rubrics:
        return embedded_judge()
    own = own_rubrics(profile)
    return JudgeOfEach({name: saved_judge(own[name]) if name in own else embedded_judge() for name in profile.rubrics})


def saved_judge(rubric: Rubric) -> AnchorJudge:
    """The judge of a saved rubric, as the studio says how its criteria are scored; a JudgeError if it does not."""
    ways = load_ways(rubric_file(rubric.name), rubric)
    names = [criterion.name for criterion in rubric.criteria]
    if lacking := [name for name in names if name not in ways]:
        raise JudgeError(
            f"Nobody has said how {lacking[0]!r} of {rubric.name!r} is scored: open {rubric.name}.yaml in the studio "
            "(notebook 01), choose it in the tab Scoring, and save."
        )
    return AnchorJudge(rubric, {name: ways[name] for name in names})
