"""One fresh text of a chosen teacher at a target, shown while it grows where that can be, and kept."""

import threading
from collections.abc import Callable
from pathlib import Path

from cpt_utils.answer_stream import EVERY
from cpt_utils.bestof import whole_sentences
from cpt_utils.generation import keep_response, read_responses
from cpt_utils.models.conversation import ChatModel
from cpt_utils.models.streaming import stream_chat
from cpt_utils.one_answer import growing_answer
from cpt_utils.prompts import messages, system_prompt, teacher_messages
from cpt_utils.rows import Response, Task
from cpt_utils.rubrics import Rubric, shipped_rubrics
from cpt_utils.teachers import Teacher
from cpt_utils.thoughts import aloud_so_far


def fresh_turns(prompt: str, rubric: Rubric, target: int, tuned: bool = False) -> list[dict]:
    """What a writer is asked: by the rubric itself, or, tuned on a shipped rubric, by that one's system prompt."""
    if tuned and rubric.name in shipped_rubrics():
        return messages(prompt, system_prompt(rubric.name, target))
    return teacher_messages(prompt, rubric, target)


def fresh_text(
    writer: Teacher | ChatModel,
    task: Task,
    turns: list[dict],
    path: Path,
    show: Callable[[str], None] = lambda text: None,
    stop: threading.Event | None = None,
    **options,
) -> Response | None:
    """Ask for one text, add it to the store `path` and return its row; None if `stop` ended it, as half a text is none.

    A teacher that does not stream is waited for, and its whole answer is kept: it is paid for.
    A model in this process is sampled with a seed that no former text of this task had; `show` gets the text so far.
    `options` go to conversation.chat. A GenerationError says why there is no text.
    """
    stop = stop or threading.Event()
    if isinstance(writer, ChatModel):
        seed = sum(row["model"] == writer.name for row in read_responses(path))
        text = stream_chat(
            writer, turns, lambda text: show(aloud_so_far(text)), stop, EVERY, **{"seed": seed} | options
        )
        if stop.is_set():
            return None
        text = whole_sentences(text)
    else:
        text, ended = growing_answer(writer, turns, "gave no text", show, stop)
        if not ended:
            return None
    return keep_response(path, task, writer.name, turns, text)
