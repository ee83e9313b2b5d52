"""The rubrics that a run is about: the shipped four, or those that RUBRICS names, one's own among them."""

from pathlib import Path

from cpt_utils.anchors import AnchorJudge
from cpt_utils.generation import read_responses
from cpt_utils.judging import Judgement, embedded_judge, judgements
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.reading import VERDICTS, absent_judge
from cpt_utils.rows import Response
from cpt_utils.rubrics import Rubric, load_rubric, rubric_file, shipped_rubrics
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import JudgeError, PairError, RubricError
from cpt_utils.runtime.profiles import Profile, load_profile
from cpt_utils.teachers import endpoint_teacher, named_endpoint
from cpt_utils.ways import WAYS, Read, Way, load_ways, read_ways
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


def root_dir(profile: Profile) -> Path:
    """The folder of a profile, whatever RUBRICS says: there lie the studio's rubrics, texts and verdicts."""
    return files.run_dir(profile.replace(rubrics=None))


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
        return self._of(rubric).score(rubric, prompt, response)

    def score_all(self, rows: list[Response]) -> list[Judgement]:
        """Judge rows {rubric, prompt, response}, each rubric's at a time."""
        found: dict[int, Judgement] = {}
        judges = [self._of(row["rubric"]) for row in rows]
        for judge in dict.fromkeys(judges):
            places = [place for place, other in enumerate(judges) if other is judge]
            found |= zip(places, judgements(judge, [rows[place] for place in places]))
        return [found[place] for place in range(len(rows))]

    def _of(self, rubric: str | Rubric):
        name = getattr(rubric, "name", rubric)
        if name not in self.judges:
            raise JudgeError(f"No judge is at hand for the rubric {name!r}, only for {', '.join(self.judges)}.")
        return self.judges[name]


def offline_judge(profile: Profile):
    """The judge of the run's rubrics: the series' own, and for one's own rubrics theirs.

    It asks another model only where somebody has said in the studio that a chat model reads.
    """
    if not profile.rubrics:
        return embedded_judge()
    own = own_rubrics(profile)
    return JudgeOfEach({name: saved_judge(own[name]) if name in own else embedded_judge() for name in profile.rubrics})


def is_said(rubric: Rubric) -> bool:
    """Whether somebody has saved how each criterion of a saved rubric is scored."""
    beside = rubric_file(rubric.name).with_suffix(WAYS)
    return beside.exists() and {criterion.name for criterion in rubric.criteria} <= set(read_ways(beside))


def saved_judge(rubric: Rubric, source: Path | str | None = None) -> AnchorJudge:
    """The judge of a saved rubric, as the studio says how its criteria are scored; a JudgeError if it does not.

    `source`: the rubric's file, or the name that it was saved under; by default the rubric's. What a chat model reads
    is read by CPT_ENDPOINT's (readers); without it the verdicts count that are kept, and a JudgeError asks for it
    where there are none, unless the criterion weighs nothing.
    """
    path = rubric_file(str(source or rubric.name)) or source
    ways = load_ways(path, rubric)
    names = [criterion.name for criterion in rubric.criteria]
    if lacking := [name for name in names if name not in ways]:
        raise JudgeError(
            f"Nobody has said how {lacking[0]!r} of {rubric.name!r} is scored: open {Path(path).name} in the studio "
            "(notebook 01), choose it in the tab Scoring, and save."
        )
    ways, folder = {name: ways[name] for name in names}, root_dir(load_profile("auto"))
    judges = readers(rubric, ways, folder)
    asked = {ways[c.name].judge for c in rubric.criteria if c.weight and isinstance(ways[c.name], Read)}
    absent = [name for name in judges if name in asked and not judges[name].teacher.remote]
    heard = [row.get("judge") for row in files.read_jsonl(folder / VERDICTS)] if absent else []
    for name in absent:
        if name not in heard:
            raise JudgeError(f"{_absence(rubric, ways, name)}.")
        print(f"note: {_absence(rubric, ways, name)}. Until then the verdicts count that it gave before.")
    return AnchorJudge(rubric, ways, list(judges.values()))


def readers(rubric: Rubric, ways: dict[str, Way], folder: Path) -> dict[str, LLMJudge]:
    """The chat models that read criteria of a rubric, by name: CPT_ENDPOINT's, if CPT_MODEL is the one that is named.

    Of another there are only the verdicts that it gave before. All verdicts are kept in `folder`, as the studio's are.
    """
    names = dict.fromkeys(way.judge for way in ways.values() if isinstance(way, Read))
    named = named_endpoint("reads") if names else None
    return {
        name: LLMJudge(endpoint_teacher(*named, temperature=0), folder / VERDICTS)
        if named and named[0] == name
        else absent_judge(name, folder, _absence(rubric, ways, name))
        for name in names
    }


def _absence(rubric: Rubric, ways: dict[str, Way], judge: str) -> str:
    """What to do where a chat model that reads is not at hand."""
    criterion = next(name for name, way in ways.items() if way == Read(judge))
    return (
        f"{criterion[:40]!r} of {rubric.name!r} is read by the chat model {judge!r}, which is not at hand: set "
        f"CPT_ENDPOINT, and CPT_MODEL to {judge!r}, or have it counted or likened in the studio (tab Scoring)"
    )
