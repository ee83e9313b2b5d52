"""What a rubric becomes when models are asked: a teacher's prompt, and the question that a system prompt answers."""

from cpt_utils.prompts import summary_messages, system_prompt, teacher_messages
from cpt_utils.rubrics import Rubric, load_rubric, shipped_rubrics
from cpt_utils.widgets import views


def teacher_view(rubric: Rubric, prompt: str, target: int) -> str:
    said = views.note("What a teacher model is asked, to write a response for this target:")
    return said + views.conversation(teacher_messages(prompt, rubric, target))


def system_view(rubric: Rubric, target: int) -> str:
    """The recorded system prompt where there is one, and the question that it answers."""
    ask = views.conversation(summary_messages(rubric, target))
    if rubric.name not in shipped_rubrics():
        return views.note("Your rubric has no recorded system prompt. Ask a teacher model for one:") + ask
    edited = "" if rubric == load_rubric(rubric.name) else " (written before your edits)"
    return (
        views.note(f"The recorded system prompt{edited}:")
        + views.conversation([{"role": "system", "content": system_prompt(rubric.name, target)}])
        + views.note("The question to a teacher model that such a prompt answers:")
        + ask
    )
