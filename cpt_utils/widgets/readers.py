"""The studio's chat models, which write texts, draft rubrics or read criteria; none is loaded before it is asked."""

import functools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from cpt_utils.llm_judging import LLMJudge
from cpt_utils.models.conversation import ChatModel
from cpt_utils.models.streaming import stream_chat
from cpt_utils.reading import VERDICTS, Bound, Reading, absent_judge, bound
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import CptError, SettingsError
from cpt_utils.teachers import Teacher, endpoint_teacher, named_endpoint
from cpt_utils.ways import Read, Way

EMBEDDED, TUNED = "the embedded model", "the tuned model"
ROOM = 900
"""Tokens for a rubric or a verdict of a model in this process."""


def _embedded() -> ChatModel:
    from cpt_utils.models.loading import load_chat_model

    return load_chat_model("embedded")


def _tuned() -> ChatModel:
    from cpt_utils.models.adapters import find_adapter
    from cpt_utils.models.loading import load_chat_model
    from cpt_utils.runtime.profiles import load_profile

    profile = load_profile("auto")
    return load_chat_model(profile, find_adapter(profile)[0])


class ChatModels:
    """The models given to the studio (Teacher or ChatModel), by name, that of CPT_ENDPOINT, and the series' own two.

    `judges`: all but the series' own, as judges of single criteria; verdicts go to a file in `folder`. `fault`: why
    that of CPT_ENDPOINT is not among them; what is in the environment must not keep a studio from opening.
    """

    def __init__(self, given: Iterable[Teacher | ChatModel], folder: Path):
        self.folder = folder
        self.readings: dict[tuple[str, str], Reading] = {}
        self.loaders: dict[str, Callable[[], Teacher | ChatModel]] = {}
        for model in given if isinstance(given, Iterable) else [given]:
            if not isinstance(model, Teacher | ChatModel):
                kind = type(model).__name__
                raise SettingsError(
                    f"teachers holds something of type {kind}: give Teachers, such as endpoint_teacher(model, "
                    "base_url), or models of load_chat_model."
                )
            if model.name in (*self.loaders, EMBEDDED, TUNED):
                raise SettingsError(
                    f"Two of the studio's models are called {model.name!r}: give one of them another name, such as "
                    "dataclasses.replace(teacher, name=...)."
                )
            self.loaders[model.name] = lambda model=model: model
        self.fault = ""
        try:
            if (named := named_endpoint("writes and reads in the studio")) and named[0] not in self.loaders:
                teacher = endpoint_teacher(*named)
                self.loaders[named[0]] = lambda: teacher
        except CptError as error:
            self.fault = str(error)
        self.judges = {name: LLMJudge(_as_teacher(load()), folder / VERDICTS) for name, load in self.loaders.items()}
        self.loaders |= {EMBEDDED: functools.cache(_embedded), TUNED: functools.cache(_tuned)}

    def names(self) -> list[str]:
        return list(self.loaders)

    def load(self, name: str) -> Teacher | ChatModel:
        """The model of that name; the series' own take some seconds the first time."""
        return self.loaders[name]()

    def teacher(self, name: str, stop: threading.Event | None = None) -> Teacher:
        """That model as one that answers whole conversations; `stop` ends a model of this process at once."""
        return _as_teacher(self.load(name), stop)

    def bind(self, rubric: Rubric, ways: dict[str, Way], tasks: dict[str, str]) -> dict[str, Bound]:
        """The ways with their judges. One that is not here shows the verdicts that it gave before."""
        for way in ways.values():
            if isinstance(way, Read) and way.judge not in self.judges:
                told = f"no chat model {way.judge!r} is here: rubric_studio(..., teachers=[...]) takes it"
                self.judges[way.judge] = absent_judge(way.judge, self.folder, told)
        found = bound(rubric, ways, self.judges, tasks)
        return {name: self._known(way) if isinstance(way, Reading) else way for name, way in found.items()}

    def _known(self, reading: Reading) -> Reading:
        """The same as it was bound before, with what it found: views bind at every move of a weight."""
        key = reading.judge.teacher.name, reading.rubric.model_dump_json()
        return self.readings.setdefault(key, reading)


def _as_teacher(model: Teacher | ChatModel, stop: threading.Event | None = None) -> Teacher:
    if isinstance(model, Teacher):
        return model
    halt = stop or threading.Event()

    def answer(conversations: list) -> list[str]:
        options = {"max_new_tokens": ROOM, "temperature": 0.0}
        return [stream_chat(model, turns, lambda text: None, halt, **options) for turns in conversations]

    return Teacher(model.name, answer)
