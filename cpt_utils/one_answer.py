"""One answer of a teacher, whole or shown while it grows, or the sentence that says why there is none."""

import threading
from collections.abc import Callable

from cpt_utils.runtime.errors import EndpointError, GenerationError
from cpt_utils.runtime.keys import one_line
from cpt_utils.teachers import Teacher


def one_answer(teacher: Teacher, turns: list[dict], failed: str, **options) -> str:
    """A teacher's answer to one conversation; a GenerationError says that it `failed` ("gave no text"), and why."""
    try:
        (answer,) = teacher.texts([turns], **options)
    except EndpointError as error:
        answer = error
    if isinstance(answer, EndpointError):
        raise _told(teacher, failed, answer)
    return answer or ""


def growing_answer(
    teacher: Teacher, turns: list[dict], failed: str, show: Callable[[str], None], stop: threading.Event
) -> tuple[str, bool]:
    """As `one_answer`, with `show` getting the text so far where the teacher streams, and whether it came to its end.

    `stop` ends a stream; a teacher without one is waited for, as its answer is paid for.
    """
    if teacher.stream is None:
        text = one_answer(teacher, turns, failed)
        show(text)
        return text, True
    try:
        return teacher.stream(turns, show, stop)
    except EndpointError as error:
        fault = error
    raise _told(teacher, failed, fault)


def _told(teacher: Teacher, failed: str, why: EndpointError) -> GenerationError:
    return GenerationError(f"{teacher.name} {failed}: {one_line(str(why))}. Mend the cause and ask again.")
