"""Models that answer conversations: in this process, or behind an OpenAI-compatible endpoint."""

import inspect
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cpt_utils import answer_stream, connection, replies
from cpt_utils.endpoint_options import check_options
from cpt_utils.runtime.errors import CutOffError, EndpointError, SettingsError, StoppedError
from cpt_utils.runtime.files import encodable
from cpt_utils.runtime.keys import api_key, is_key
from cpt_utils.thoughts import aloud, cut_off, spoken

NO_SCHEMA = {400, 404, 415, 422, 501}
"""What endpoints answer to a request for structured output if they have none; 500 may be anything."""
PAUSES = (0, 1, 2)
"""Seconds before each attempt at a reply that can be read; the openai client itself retries other faults."""
LIMITS = ("max_completion_tokens", "max_tokens", "max_new_tokens")
MORE = 4
"""Times the room of a cut answer, for the next attempt: what is not used costs nothing."""


@dataclass(frozen=True)
class Teacher:
    """A model that answers conversations: `answer(list of conversations) -> list of texts`.

    An EndpointError in a text's place says why this one conversation has no answer.
    takes_schema: `answer` has a second argument, a JSON schema that the answers are held to where the model can.
    remote: answers are made elsewhere and paid for, so that an interrupt waits for those under way.
    stream: `stream(turns, show, stop)` answers one conversation, as models.streaming.stream_answer does: `show` gets
    the text so far, the threading.Event `stop` ends it, and the text comes back with whether it came to its end.
    """

    name: str
    answer: Callable[..., list[str]]
    batch_size: int = 1
    workers: int = 1
    takes_schema: bool = False
    remote: bool = False
    stream: Callable[..., tuple[str, bool]] | None = None

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name.strip() or self.name != encodable(self.name):
            raise SettingsError(f"name is {self.name!r}: a teacher's name is a text, and rows are kept under it.")
        if is_key(self.name):
            raise SettingsError("A teacher's name is a key: write the model's name there (CPT_MODEL), not the key.")
        for name in ("batch_size", "workers"):
            if type(size := getattr(self, name)) is not int or size < 1:
                raise SettingsError(f"{name} is {size!r}: a teacher answers one or more at a time.")

    def texts(self, conversations: list[list[dict]], **schema) -> list[str | EndpointError | None]:
        """What `answer` gives; an EndpointError if that is no list with an entry for each conversation."""
        if not callable(self.answer):
            raise EndpointError(f"the teacher's answer is {self.answer!r}: give it a function", fatal=True)
        given = self.answer(conversations, **schema)
        if not isinstance(given, (list, tuple)):
            kind = type(given).__name__
            raise EndpointError(f"the teacher gave a {kind}: its function has to return a list of texts", fatal=True)
        if len(given) != len(conversations):
            raise EndpointError(f"the teacher gave {len(given)} texts for {len(conversations)} conversations")
        return list(given)


def local_teacher(chat_model, batch_size: int = 8, *, longer: int | None = None, **chat_options) -> Teacher:
    """A teacher that runs a loaded chat model (loading.load_chat_model) in this process.

    longer: as endpoint_teacher takes it. None keeps what max_new_tokens cuts off: small models hardly ever end before,
    and a text of theirs is as good up to there. `chat_options` go to conversation.answered.
    """
    from cpt_utils.models.conversation import NEW_TOKENS, answered, chat

    options = {"max_new_tokens": NEW_TOKENS} | chat_options

    def ask(conversations: list[list[dict]], room: dict) -> list[str | CutOffError]:
        answers = answered(chat_model, conversations, **options | room)
        return [_unless_cut(_spoken, text) if ended else cut_off(text) for text, ended in answers]

    def answer(conversations: list[list[dict]]) -> list[str | CutOffError]:
        if longer is None:
            return chat(chat_model, conversations, **options)
        return _ask_longer(ask, conversations, options, longer)

    if longer is not None:
        _check_counts(longer=longer)
    return Teacher(chat_model.name, answer, batch_size)


def endpoint_teacher(
    model: str,
    base_url: str,
    workers: int = 8,
    *,
    ask_key: bool = False,
    retries: int = 4,
    timeout: float = 120,
    longer: int = 2,
    **options,
) -> Teacher:
    """A teacher behind any OpenAI-compatible endpoint; its key comes from `api_key(ask_key)`.

    Refused connections, time-outs, 429 and 5xx are retried by the openai client, with back-off or as
    Retry-After says. timeout: seconds for a whole reply. longer: how often an answer that the limit of tokens
    cut off is asked for again, with MORE times the room; then it is refused. `options` go to
    chat.completions.create. Thinking is cut off; with a schema only the thinking that has a field of its own, as a
    judge's answer is read strictly as a whole. One answer can be shown while it grows (`stream`); an endpoint that
    does not stream gives it at its end, even if it was stopped.
    """
    if type(timeout) not in (int, float) or not 0 < timeout < math.inf:
        raise SettingsError(f"timeout is {timeout!r}: write a number of seconds above 0.")
    _check_counts(retries=retries, longer=longer)
    base_url = connection.address(base_url)
    client = connection.connected(base_url, api_key(ask_key) or "none", retries, timeout)
    check_options(client, options, set(inspect.signature(endpoint_teacher).parameters) - {"options"})
    refused = threading.Event()  # set once the endpoint has refused a schema
    lasts = threading.Event()  # set while repeated requests have brought nothing but pages
    whole = threading.Event()  # set once the endpoint has refused a stream
    thinks = threading.Event()  # set while its template begins thinking that its answers only end

    def answer(asked: list[list[dict]], schema: dict | None = None) -> list[str | EndpointError]:
        answers = []
        for turns in asked:
            try:
                answers.append(_ask_with(schema, turns) if schema else _ask_roomy(turns, _spoken))
            except EndpointError as error:  # the answers to the others are paid for
                answers.append(error)
                if error.fatal:
                    break
        if answers and all(isinstance(one, EndpointError) for one in answers):
            raise answers[-1]
        return answers + answers[-1:] * (len(asked) - len(answers))

    def stream(turns: list[dict], show: Callable[[str], None], stop: threading.Event) -> tuple[str, bool]:
        if not whole.is_set():
            growing = partial(answer_stream.body_of, show=show, stop=stop, thinks=thinks)
            try:
                said = _ask_roomy(turns, _spoken, growing)
            except StoppedError as stopped:
                return stopped.text, False
            except EndpointError as error:
                if not answer_stream.may_lack(error):
                    raise
            else:
                show(said)
                return said, True
        if stop.is_set():
            return "", False
        said = _ask_roomy(turns, _spoken)
        whole.set()  # it was the stream: the same words went through without it
        show(said)
        return said, True

    def _ask_roomy(turns: list[dict], read: Callable = str, body_of: Callable = connection.body_of, **form) -> str:
        def ask(asked: list, room: dict) -> list[str | CutOffError]:
            return [_unless_cut(lambda: read(_ask(client, model, turns, options | form | room, lasts, body_of)))]

        (said,) = _ask_longer(ask, [turns], options, longer)
        if isinstance(said, CutOffError):
            raise said
        return said

    def _ask_with(schema: dict, turns: list[dict]) -> str:
        if refused.is_set():
            return _ask_roomy(turns)
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
        try:
            return _ask_roomy(turns, response_format=form)
        except EndpointError as error:
            if error.status not in NO_SCHEMA:
                raise
        text = _ask_roomy(turns)
        refused.set()  # it was the schema: the same words went through without it
        return text

    return Teacher(model, answer, workers=workers, takes_schema=True, remote=True, stream=stream)


def named_endpoint(does: str) -> tuple[str, str] | None:
    """(model, base_url) that CPT_MODEL and CPT_ENDPOINT name; None without an endpoint. `does`: what the model is for.

    A SettingsError where only the endpoint is named.
    """
    if not (url := os.environ.get("CPT_ENDPOINT", "").strip()):
        return None
    if not (model := os.environ.get("CPT_MODEL", "").strip()):
        raise SettingsError(f"CPT_ENDPOINT is set and CPT_MODEL is not: name the model that {does}, or unset both.")
    return model, url


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if type(count) is not int or count < 0:
            raise SettingsError(f"{name} is {count!r}: write a whole number of 0 or more.")


def _spoken(text: str) -> str:
    """The text without thinking. What may be a tag that is quoted is left to readers who know more."""
    said = spoken(text)
    return text if aloud(text, strict=True) is None else said


def _unless_cut(read: Callable[..., str], *given) -> str | CutOffError:
    """`read(*given)`, or why its text is cut off."""
    try:
        return read(*given)
    except CutOffError as error:
        return error


def _ask_longer(ask: Callable[[list, dict], list], asked: list, options: dict, longer: int) -> list[str | CutOffError]:
    """`ask(asked, changed options)`, again with more room for those whose answer the limit of tokens cut off."""
    room = {name: options[name] for name in LIMITS if type(options.get(name)) is int}
    answers, cut = {}, list(range(len(asked)))
    for tried in range(longer + 1):
        try:
            answers |= zip(cut, ask([asked[place] for place in cut], room))
        except EndpointError as error:
            if not tried or error.status not in (400, 422):  # so much room is more than the server gives
                raise
            break
        cut = [place for place in cut if isinstance(answers[place], CutOffError)]
        if not cut or not room:
            break
        room = {name: limit * MORE for name, limit in room.items()}
    return [answers[place] for place in range(len(asked))]


def _ask(client, model: str, turns: list[dict], options: dict, lasts: threading.Event, body_of: Callable) -> str:
    """One answer, or an EndpointError. It is raised outside the handlers: their errors hold the key."""
    sent, asked = [*options, *(options.get("extra_body") or {})], [str(turn["content"]) for turn in turns]
    for pause in PAUSES[: 1 if lasts.is_set() else None]:
        time.sleep(pause)
        text, failure = body_of(client, model, turns, options, sent, asked)
        if failure:
            break
        try:
            answer = replies.answer_of(text, sent, asked)
        except EndpointError as error:
            failure = error
        else:
            lasts.clear()
            return answer
        if not replies.may_pass(failure):
            break
    else:
        if replies.is_page(text):  # what answers so is no endpoint
            lasts.set()
    raise failure
