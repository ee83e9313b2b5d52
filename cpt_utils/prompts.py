"""The shipped prompts, system prompts and recorded responses, and the words that we send to teachers."""

import functools

from cpt_utils.rows import TARGETS, Response, target_name, target_of
from cpt_utils.rubrics import Rubric, load_rubric, rubric_file, shipped_rubrics
from cpt_utils.runtime.errors import PairError, PromptError
from cpt_utils.runtime.files import load_data
from cpt_utils.wordings import load_wordings


def load_prompts(heldout: bool | None = None) -> list[dict]:
    """Prompts as {id, kind, heldout, prompt}: all (None), the training ones, or the held-out ones."""
    return [p for p in load_data("prompts.yaml") if heldout is None or p["heldout"] == heldout]


def load_responses(heldout: bool | None = None) -> list[Response]:
    """The recorded teacher's rows {prompt, rubric, target, response, model}, filtered like prompts."""
    wanted = {p["prompt"] for p in load_prompts(heldout)}
    return [dict(row) for row in load_data("responses.jsonl") if row["prompt"] in wanted]


def load_corpus(heldout: bool | None = None) -> list[Response]:
    """Graded texts of more hands {prompt, rubric, target, response, model, hand, kind, heldout}, filtered like prompts.

    Foreign texts, which have none of the styles, have the rubric "none" and the target 0.
    """
    return [row for row in load_data("corpus.jsonl") if heldout is None or row["heldout"] == heldout]


def graded_texts() -> list[Response]:
    """What judges are fitted on: recorded responses to training prompts, and the corpus without its held-out part."""
    return load_responses(heldout=False) + load_corpus(heldout=False)


def system_prompt(rubric: str, target: int | str, paraphrase: bool = False) -> str:
    """The short system prompt s for a rubric and target, 95 or "high"; paraphrases serve evaluation only.

    Those of a rubric of one's own lie beside its file (wordings).
    """
    own = isinstance(rubric, str) and rubric not in shipped_rubrics() and rubric_file(rubric)
    try:
        name = target_name(target_of(target))
        if own:
            said = load_wordings(rubric)[name]
            return said.paraphrase if paraphrase else said.prompt
        wordings = _wordings()[rubric][name]
        return wordings["paraphrase" if paraphrase else "prompt"]
    except (KeyError, TypeError, PairError):
        raise PromptError(
            f"There is no system prompt for ({rubric!r}, {target!r}): rubrics are "
            f"{', '.join(shipped_rubrics())}, targets {', '.join(TARGETS)}."
        ) from None


@functools.cache
def _wordings() -> dict:
    """The shipped system prompts, to read only: a copy for each of thousands of rows takes longer than the rows."""
    return load_data("system_prompts.yaml")


def _number(target: int | str) -> int:
    try:
        return target_of(target)
    except PairError:
        raise PromptError(f"There is no target {target!r}: use one of {', '.join(TARGETS)}.") from None


def messages(user: str, system: str | None = None) -> list[dict]:
    """A conversation of one user turn, with a system prompt if there is one."""
    turns = [{"role": "system", "content": system}] if system else []
    return [*turns, {"role": "user", "content": user}]


def teacher_messages(prompt: str, rubric: str | Rubric, target: int | str) -> list[dict]:
    """Ask a teacher for a response to `prompt` that would get the target score under the rubric."""
    rubric = load_rubric(rubric)
    return messages(
        f"Task: {prompt}\n\nWrite one response of 45 to 95 words that would score "
        f"{_number(target)} out of 100 under the rubric, neither more nor less. Stay on the task's "
        "subject. Do not mention the rubric or the score. Give the response only.",
        f"You write texts that match a rubric at a requested level.\n\n{rubric.to_markdown()}",
    )


def summary_messages(rubric: str | Rubric, target: int | str) -> list[dict]:
    """Ask a teacher to compress (rubric, target) into a system prompt s (arXiv 2506.11702, section 3)."""
    rubric = load_rubric(rubric)
    return messages(
        f"{rubric.to_markdown()}\n\nWrite a system prompt of at most 40 words that tells a writer how a "
        f"text scoring {_number(target)} out of 100 reads. Describe the style itself; name neither the "
        "rubric nor the score. Give the system prompt only."
    )
