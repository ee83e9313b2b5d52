"""A rubric to start from: an empty one, a pasted one, or one that a teacher drafts from a sentence."""

import re
import textwrap

from cpt_utils import rubric_text
from cpt_utils.one_answer import one_answer
from cpt_utils.prompts import messages
from cpt_utils.rubrics import Rubric, shipped_rubrics
from cpt_utils.runtime.errors import CptError, RubricError
from cpt_utils.teachers import Teacher
from cpt_utils.thoughts import spoken

LEVELS = ["All through", "In most places", "Now and then", "Barely", "Not at all"]
PLACEHOLDER_LEVELS = [
    "Everywhere, and unmistakable.",
    "In most places.",
    "Now and then.",
    "Barely noticeable.",
    "Not at all.",
]
LONGEST = 1000
"""Characters of the sentence that a rubric is drafted from."""
FENCED = re.compile(r"```(?:json|ya?ml)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
KEYS = ("title", "objective", "guiding_principles", "levels", "criteria")


def empty_rubric() -> Rubric:
    """A valid rubric with one criterion, and words to replace."""
    criterion = {"name": "New criterion 1", "weight": 100, "description": "", "levels": PLACEHOLDER_LEVELS}
    return Rubric.checked(
        {
            "name": "my_style",
            "title": "My style",
            "objective": "A text in this style ... (say in a sentence or two what it does).",
            "levels": LEVELS,
            "criteria": [criterion],
        }
    )


def pasted_rubric(text: str) -> Rubric:
    """A rubric from pasted text: YAML or JSON, or the layout of the original release with its table of tabs."""
    if not text.strip():
        raise RubricError("There is nothing to read: paste a rubric's text first.")
    fenced = FENCED.fullmatch(text.strip())
    plain = textwrap.dedent(fenced[1] if fenced else text).replace("\u00a0", " ")  # as pages and chats have it
    if not re.search(r"^\s*[\"']?criteria[\"']?\s*:", plain, re.MULTILINE) and not plain.lstrip().startswith("{"):
        return as_own(Rubric.from_text(text))
    data = rubric_text.from_yaml(plain, "the pasted text")
    named = {} if data.get("name") else {"name": rubric_text.plain_name(str(data.get("title") or "my style")[:40])}
    return as_own(Rubric.checked(data | named, "the pasted text"))


def as_own(rubric: Rubric) -> Rubric:
    """Under another name than a shipped rubric's, which the series' judge would know."""
    return rubric.model_copy(update={"name": f"my_{rubric.name}"}) if rubric.name in shipped_rubrics() else rubric


def draft_messages(sentence: str) -> list[dict]:
    """Ask a chat model for a rubric of the style that a sentence describes, as JSON."""
    return messages(
        "Write a rubric for this style of writing, which stands between the two lines of dashes:\n"
        f"---\n{sentence.strip()}\n---\n\n"
        "Three to five criteria, each visible in a text of 50 to 100 words and different from the others. Each has a "
        "name of one to three words, a description of one sentence, a weight in percent (together 100), and five "
        "levels, best first: what a text of that level does, a sentence each. Answer with JSON only: "
        '{"title": text, "objective": text, "guiding_principles": [texts], "levels": [five short names for the levels, '
        'best first], "criteria": [{"name": text, "description": text, "weight": number, "levels": [five texts]}]}',
        "You write rubrics that different readers apply alike. You answer in JSON.",
    )


def draft_schema() -> dict:
    """The JSON schema of that answer, for endpoints that hold a model to one."""
    text, texts = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    criterion = {"name": text, "description": text, "weight": {"type": "number"}, "levels": texts}
    whole = {"title": text, "objective": text, "guiding_principles": texts, "levels": texts}
    return _object(whole | {"criteria": {"type": "array", "items": _object(criterion)}})


def _object(properties: dict) -> dict:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def drafted_rubric(teacher: Teacher, sentence: str) -> Rubric:
    """The rubric that a teacher drafts from one sentence.

    A RubricError says what cannot be read in what it wrote, a GenerationError why it wrote nothing.
    """
    sentence = sentence.strip()
    if not sentence or len(sentence) > LONGEST:
        raise RubricError(f"A draft starts from a sentence of 1 to {LONGEST} characters; this has {len(sentence)}.")
    form = {"schema": draft_schema()} if teacher.takes_schema else {}
    answer = one_answer(teacher, draft_messages(sentence), "wrote no draft", **form)
    try:
        return read_draft(answer)
    except CptError as error:
        raise RubricError(
            f"What {teacher.name} wrote is no rubric that can be read ({str(error).rstrip('.')}): ask again, in other "
            "words, or ask a stronger model."
        ) from None


def read_draft(answer: str) -> Rubric:
    """The rubric in a chat model's answer: a JSON (or YAML) object, alone, fenced or among words.

    Weights are brought to 100; keys that a rubric does not have are left out.
    """
    answer = spoken(answer).strip()
    fenced = FENCED.search(answer)
    source = fenced[1] if fenced else answer[answer.find("{") : answer.rfind("}") + 1]
    if not source.strip():
        raise RubricError("it has no JSON")
    data = rubric_text.from_yaml(source, "its JSON")
    inner = next(iter(data.values()), None)
    data = inner if len(data) == 1 and isinstance(inner, dict) else data
    criteria = data.get("criteria")
    if not isinstance(criteria, list) or not all(isinstance(one, dict) for one in criteria):
        raise RubricError("it has no list of criteria")
    kept = {key: data[key] for key in KEYS if data.get(key)} | {"criteria": _weighed(criteria)}
    name = rubric_text.plain_name(str(kept.get("title") or "my style")[:40])
    return as_own(Rubric.checked({"levels": LEVELS} | kept | {"name": name}, "its JSON"))


def _weighed(criteria: list[dict]) -> list[dict]:
    """Criteria with weights that sum to 100, in the proportions that they have; equal ones where they have none."""
    given = [_number(one.get("weight")) for one in criteria]
    sound = all(type(weight) in (int, float) and 0 <= weight < 1e6 for weight in given) and sum(given) > 0
    shares = given if sound else [1] * len(criteria)
    fields = ("name", "description", "levels")
    return [
        {key: one[key] for key in fields if one.get(key)} | {"weight": 100 * share / sum(shares)}
        for one, share in zip(criteria, shares)
    ]


def _number(weight):
    """A weight that was written as a text, such as "30%", as a number; all else as it is."""
    try:
        return float(weight.strip().rstrip("%")) if isinstance(weight, str) else weight
    except ValueError:
        return None
