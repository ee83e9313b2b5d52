"""The way *read*: a chat model scores one criterion by its levels, as they are written now."""

from dataclasses import dataclass, field
from pathlib import Path

from cpt_utils.judging import Judgement
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.rows import Response
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import EndpointError, JudgeError
from cpt_utils.teachers import Teacher
from cpt_utils.ways import Counted, Fitted, Likened, Read, Way

VERDICTS = "verdicts.jsonl"
"""In the folder of rubrics: what chat models said of texts, by criterion."""
UNREAD = "still to be read"
UNASKED = "not asked for while its weight is 0"


def alone(rubric: Rubric, name: str) -> Rubric:
    """The rubric with one criterion, so that what changes in the others, or in weights, changes nothing that is asked.

    Scoring notes go: they speak of the whole.
    """
    (criterion,) = (each for each in rubric.criteria if each.name == name)
    criterion = criterion.model_copy(update={"weight": 100.0})
    return rubric.model_copy(update={"criteria": [criterion], "scoring_notes": ""})


@dataclass(frozen=True)
class Reading:
    """A `Read` with its judge: scores of one criterion. `tasks`: what the writer of a text was told, by text."""

    judge: LLMJudge
    rubric: Rubric
    tasks: dict[str, str] = field(default_factory=dict, compare=False)
    found: dict[tuple[str, str], Judgement] = field(default_factory=dict, compare=False)  # by task and text
    slips: dict[tuple[str, str], dict] = field(default_factory=dict, compare=False)  # what finds a verdict

    def scores(self, texts: list[str]) -> list[float | None]:
        """0 to 100 for each text, None for what was not answered clearly. Asks about those that have no verdict."""
        self.ask(texts)
        return [self.at_hand(text) for text in texts]

    def ask(self, texts: list[str]) -> None:
        """Ask about the texts that have no verdict yet; a JudgeError counts those that still have none."""
        self.judge.score_all([self._row(text) for text in texts])

    def at_hand(self, text: str) -> float | None:
        """The score by a verdict that is there already; asks nothing."""
        judged = self._judged(text)
        return judged and judged.by_criterion.get(self.rubric.criteria[0].name, judged.score)

    def missing(self, texts: list[str]) -> list[str]:
        """The texts, each once, that `ask` would send: one request each, and `judge.retries` more without a score."""
        self.judge.look()
        return [text for text in dict.fromkeys(texts) if self._judged(text) is None]

    def unclear(self, texts: list[str]) -> list[str]:
        """For each of the texts that were asked about and got no score the reason."""
        self.judge.look()
        asked = filter(None, map(self._judged, dict.fromkeys(texts)))
        return [judged.reason for judged in asked if judged.score is None]

    def lack(self, text: str) -> str:
        """Why a text has no score."""
        judged = self._judged(text)
        return judged.reason if judged else UNREAD

    def _judged(self, text: str) -> Judgement | None:
        key = self.tasks.get(text, ""), text
        if key not in self.found:
            if key not in self.slips:  # views ask at every move of a weight, and what is asked takes a while to write
                self.slips[key] = self.judge.slip(self._row(text))
            if judged := self.judge.at_hand(self.slips[key]):
                self.found[key] = judged
        return self.found.get(key)

    def _row(self, text: str) -> Response:
        return {"rubric": self.rubric, "prompt": self.tasks.get(text, ""), "response": text}


def absent_judge(name: str, folder: Path, told: str) -> LLMJudge:
    """The verdicts that a chat model gave before, kept in `folder`; to ask it for another fails, as `told` says."""

    def answer(conversations: list) -> list[str]:
        raise EndpointError(told, fatal=True)

    return LLMJudge(Teacher(name, answer), folder / VERDICTS)


Bound = Counted | Likened | Fitted | Reading
"""A way that scores by itself."""


def bound(
    rubric: Rubric, ways: dict[str, Way], judges: dict[str, LLMJudge], tasks: dict[str, str] | None = None
) -> dict[str, Bound]:
    """The ways of a rubric's criteria, those that are read with the judge that they name."""
    found: dict[str, Bound] = {}
    for name in (criterion.name for criterion in rubric.criteria if criterion.name in ways):
        way = ways[name]
        if isinstance(way, Read):
            if way.judge not in judges:
                known = ", ".join(judges) or "none"
                raise JudgeError(
                    f"{name!r} is read by {way.judge!r}, and of chat models there is {known}: pass that one."
                )
            way = Reading(judges[way.judge], alone(rubric, name), {} if tasks is None else tasks)
        found[name] = way
    return found


def weighing(rubric: Rubric, ways: dict[str, Bound]) -> dict[str, Reading]:
    """The criteria that a chat model is asked for: requests for one that weighs nothing would change no score."""
    weights = {criterion.name: criterion.weight for criterion in rubric.criteria}
    return {name: way for name, way in ways.items() if isinstance(way, Reading) and weights[name]}


def unasked(rubric: Rubric, ways: dict[str, Bound]) -> list[str]:
    """The criteria that a chat model would be asked for if they weighed something."""
    asked = weighing(rubric, ways)
    return [name for name, way in ways.items() if isinstance(way, Reading) and name not in asked]
