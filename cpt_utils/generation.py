"""Ask a teacher for many responses and keep each one the moment it arrives."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cpt_utils.asking import ask_all, counted
from cpt_utils.prompts import teacher_messages
from cpt_utils.rows import Response, Task, target_name, target_of
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import CutOffError, EndpointError, GenerationError, PairError, StoreError
from cpt_utils.runtime.files import read_jsonl
from cpt_utils.teachers import Teacher
from cpt_utils.thoughts import spoken

COLUMNS = ("prompt", "rubric", "target", "response", "model")
KEY = ("prompt", "rubric", "target", "model")
REPEATED = ("prompt", "rubric", "model")
ASKED = "asked"
"""The column that follows the five: a hash of the messages that the response answers."""


def digest(messages: list[dict]) -> str:
    """A hash of a conversation: it changes with any word of the rubric or prompt that was sent."""
    return files.json_hash(messages, 16, ascii=True)


def read_responses(path: Path) -> list[Response]:
    """Rows {prompt, rubric, target, response, model} of a file, all versions, oldest first, checked.

    Rows that were written before targets were numbers ("qualifier": "high") come as such rows, too.
    """
    return [_as_response(row, f"{Path(path).name}, row {n}") for n, row in enumerate(read_jsonl(path), 1)]


def _as_response(row: dict, place: str) -> Response:
    if wrong := [c for c in COLUMNS if c != "target" and not isinstance(row.get(c), str)]:
        raise StoreError(f"{place}: no text in column {wrong[0]!r}; mend or delete the row.")
    target = row.get("target", row.get("qualifier"))
    try:
        numbered = row | {"target": target_of(target)}
    except PairError:
        raise StoreError(f"{place}: {target!r} in column 'target' is no target; mend or delete the row.") from None
    numbered.pop("qualifier", None)
    # Names, prompts, rubrics and models come again and again: one copy of each is enough for a large store.
    return {sys.intern(k): sys.intern(v) if k in REPEATED else v for k, v in numbered.items()}


def key(row: Response) -> tuple:
    return tuple(row[column] for column in KEY)


def finder(rows: list[Response]) -> Callable[[dict], Response | None]:
    """A function that finds the row answering a request {*KEY, asked}, or None.

    That is the newest row with the request's hash; failing that, the newest of its key if it has no hash
    (shipped data, older files), since nothing can be told about what it answers.
    """
    exact, newest = {}, {}
    for row in rows:
        newest[key(row)] = row
        exact[key(row), row.get(ASKED)] = row

    def find(request: dict) -> Response | None:
        if same := exact.get((key(request), request[ASKED])):
            return same
        last = newest.get(key(request))
        return None if last is None or last.get(ASKED) else last

    return find


def generation_tasks(prompts: list[str], rubrics: list[str], targets=("low", "mid", "high")) -> list[Task]:
    """One task {prompt, rubric, target} for each combination; targets are numbers or their names (rows.TARGETS)."""
    for name, given in {"prompts": prompts, "rubrics": rubrics, "targets": targets}.items():
        if isinstance(given, str):  # whose letters would be taken for one each
            raise GenerationError(f"{name} is the text {given[:40]!r}: give a list, [{given[:40]!r}].")
    return [
        Task(prompt=prompt, rubric=rubric, target=target_of(target))
        for prompt in prompts
        for rubric in rubrics
        for target in targets
    ]


def generate_responses(teacher: Teacher, tasks: list[Task], path: Path, to_messages=teacher_messages) -> list[Response]:
    """Responses to all tasks, from `path` where they are there already, else from the teacher.

    Each batch is on the disk as soon as it is finished, so that a run that was stopped in any way goes on
    where it was. `to_messages(prompt, rubric, target)` gives what is sent, and a row answers a task only if
    it was asked with the same messages: after a change of a rubric or prompt the task is asked again, and
    the newest row counts. Faults of the teacher do not end the rest; a closing GenerationError counts them.
    Returns the rows {prompt, rubric, target, response, model} in the order of the tasks.
    """
    if not isinstance(path, str | os.PathLike):
        raise GenerationError(f"path is {path!r}: name the file that keeps the responses, such as responses.jsonl.")
    if not isinstance(teacher, Teacher):
        raise GenerationError("The teacher is none: a function becomes one by Teacher('its name', function).")
    path = Path(path)
    requests = [_request(number, task, teacher.name, to_messages) for number, task in _numbered(tasks)]
    find = finder(read_responses(path))
    if not all(map(find, requests)):
        del find  # a large store is held in memory once
        with files.writing(path):  # and read again: another process may just have answered
            faults = _ask_for_missing(teacher, requests, read_responses(path), path, to_messages)
        find = finder(read_responses(path))
    if missing := [request for request in requests if find(request) is None]:
        first = missing[0]
        raise GenerationError(
            f"{len(missing)} of {len(requests)} responses are missing from {path.name}, the first for "
            f"{first['prompt'][:40]!r} ({first['rubric']}, {target_name(first['target'])}), after {counted(faults)}: "
            "what arrived is kept; mend the cause and run the same call again to ask for the rest."
        )
    return [{column: find(request)[column] for column in COLUMNS} for request in requests]


def _numbered(tasks: list[Task]) -> Iterator[tuple[int, Task]]:
    if isinstance(tasks, str | bytes | dict) or not isinstance(tasks, Iterable):
        kind = type(tasks).__name__
        raise GenerationError(f"The tasks are a {kind}: give a list of dicts, such as generation_tasks makes.")
    return enumerate(tasks, 1)


def _request(number: int, task: Task, model: str, to_messages: Callable) -> dict:
    """A task as the store looks for it; the conversation itself is made again when it is sent."""
    if not isinstance(task, dict):
        raise GenerationError(f"Task {number} is a {type(task).__name__}: give a dict {{prompt, rubric, target}}.")
    if wrong := [c for c in ("prompt", "rubric") if not isinstance(task.get(c), str) or not task[c].strip()]:
        raise GenerationError(f"Task {number} has no text in {wrong[0]!r}: fill or drop it.")
    if broken := [c for c in ("prompt", "rubric") if task[c] != files.encodable(task[c])]:
        raise GenerationError(f"Task {number} has half a character in {broken[0]!r} (an emoji cut in two): delete it.")
    try:
        target = target_of(task.get("target"))
    except PairError:
        raise GenerationError(f"Task {number} has no target in 'target': fill or drop it.") from None
    request = Task(prompt=task["prompt"], rubric=task["rubric"], target=target)
    return {**request, "model": model, ASKED: digest(to_messages(*request.values()))}


def _ask_for_missing(
    teacher: Teacher, requests: list[dict], rows: list[Response], path: Path, to_messages: Callable
) -> list[Exception]:
    """Ask for what has no row yet, append what comes, and return the faults, one for each response."""
    from tqdm import tqdm

    find, known = finder(rows), {key(row) for row in rows}
    todo = list({key(request): request for request in requests if find(request) is None}.values())
    todo = [request | {"turns": to_messages(*key(request)[:3])} for request in todo]
    if changed := sum(key(request) in known for request in todo):
        print(f"{changed} rows of {path.name} answer an older text of their rubric or prompt: asking again")
    batches = [todo[i : i + teacher.batch_size] for i in range(0, len(todo), teacher.batch_size)]
    tried = set()  # first requests of batches that were about to be written
    bar = tqdm(total=len(requests), initial=len(requests) - len(todo), desc=f"responses by {teacher.name}")

    def ask(batch: list[dict]) -> list[str]:
        return teacher.texts([request["turns"] for request in batch])

    def keep(batch: list[dict], texts: list[str]) -> list[Exception]:
        read = list(zip(batch, map(_clean, texts)))
        whole = [_row(request, text) for request, text in read if isinstance(text, str)]
        if whole:
            tried.add(key(batch[0]))
            files.append(path, whole)
        bar.update(len(whole))
        return [fault for _, fault in read if isinstance(fault, Exception)]

    def is_kept(batch: list[dict]) -> bool:
        # A large store is read again for one batch at most: the one whose writing was interrupted.
        return key(batch[0]) in tried and all(map(finder(read_responses(path)), batch))

    with bar:
        return ask_all(batches, teacher.workers, ask, keep, is_kept, teacher.remote)


def keep_response(path: Path, task: Task, model: str, turns: list[dict], text: str) -> Response:
    """Add a response that somebody else asked for with these turns to a store, as `generate_responses` would.

    A GenerationError says why the text is no response.
    """
    read = _clean(text)
    if isinstance(read, Exception):
        raise GenerationError(f"{model} gave no response: {read}. Ask again.")
    row = _row({**task, "model": model, ASKED: digest(turns)}, read)
    with files.writing(path):
        files.append(path, [row])
    return row


def _clean(text: str | EndpointError | None) -> str | Exception:
    """A response without thinking, outer space and halves of characters (an emoji cut in two); or why it is none."""
    if isinstance(text, EndpointError):
        return text
    if not isinstance(text, str | None):
        return TypeError(f"a {type(text).__name__} in place of a response")
    try:
        said = files.encodable(spoken(text or "").strip())
    except CutOffError as fault:
        return fault
    return said if any(map(_is_seen, said)) else ValueError("an empty response")


def _is_seen(letter: str) -> bool:
    return letter.isprintable() and not letter.isspace()


def _row(request: dict, text: str) -> Response:
    row = {column: request.get(column) for column in COLUMNS}
    return row | {"response": text, ASKED: request[ASKED]}
