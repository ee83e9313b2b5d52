"""What a model's chat template does with a conversation, found by trying it, and text that stays text in it."""

import functools
import re

from cpt_utils.runtime import files

SYSTEM, USER, ANSWER = "a-system-text", "a-user-text", "an-answer"
PROBE = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
FIRST_WORDS = ("Words", "words", "7", '"', "**", "(", "字", "🎬")
"""How answers begin. None of them may join the last token of the prompt."""
BRACKETED = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")
"""Marks of turns as templates write them; some are no tokens of the vocabulary."""
JOINER = "\u2060"
"""A word joiner, which nobody sees."""


def rendered(tokenizer, turns: list[dict], **options):
    """The turns through the template as they are: ids, or text (tokenize=False). Qwen3's thinking is off."""
    settings = {"tokenize": True, "return_dict": False, "enable_thinking": False}
    return tokenizer.apply_chat_template(turns, **settings | options)


def in_user_turn(turns: list[dict]) -> list[dict]:
    """The conversation with its system text before the first user's, in one turn."""
    system, *rest = turns
    place = next(number for number, turn in enumerate(rest) if turn["role"] == "user")
    first = {**rest[place], "content": f"{system['content']}\n\n{rest[place]['content']}"}
    return [*rest[:place], first, *rest[place + 1 :]]


def takes_system(tokenizer) -> bool:
    """Whether a system turn stands in the prompt, and is still there in the same words once an answer follows.

    Gemma's template refuses one, and Mistral-Nemo's loses it behind an answer.
    """
    return not template_fault(tokenizer, moved=False)


def template_fault(tokenizer, moved: bool) -> str:
    """What keeps a model from being trained as it is used, in words that follow "the template"; "" if nothing does.

    `moved`: with the system text in the user's turn (in_user_turn), not in a turn of its own.
    """
    return _fault(*_key(tokenizer), moved)


def end_token(tokenizer) -> int | None:
    """The token that the template writes behind an answer, where chat stops; None if it writes none."""
    return _end_token(*_key(tokenizer))


def plain_text(tokenizer, text: str) -> str:
    """The text with a word joiner inside of whatever would be read as a mark of a turn or another special token."""
    marks, text, before = _marks(*_key(tokenizer)), files.encodable(text), None
    while text != before:  # again: marks may overlap
        before, text = text, marks.sub(lambda mark: mark[0][0] + JOINER + mark[0][1:], text)
    return text


def _key(tokenizer) -> tuple:
    """What results are kept under: a template may be set, and tokens be added, after the first call."""
    return tokenizer, len(tokenizer), str(tokenizer.chat_template or "")


@functools.lru_cache(maxsize=8)
def _fault(tokenizer, size: int, template: str, moved: bool) -> str:
    from jinja2.exceptions import TemplateError

    turns = in_user_turn(PROBE) if moved else PROBE
    try:
        prompt = rendered(tokenizer, turns, tokenize=False, add_generation_prompt=True)
        ids = rendered(tokenizer, turns, add_generation_prompt=True)
        if SYSTEM not in prompt or USER not in prompt:
            return "leaves out the system's or the user's text"
        for word in FIRST_WORDS:
            answered = [*turns, {"role": "assistant", "content": f"{word} {ANSWER}"}]
            whole = rendered(tokenizer, answered, tokenize=False)
            if not whole.startswith(prompt):
                return "writes another prompt once an answer follows"
            if not whole.removeprefix(prompt).lstrip().startswith(f"{word} {ANSWER}"):
                return "puts something between the prompt and its answer"
            if rendered(tokenizer, answered)[: len(ids)] != ids:
                return "lets an answer's first word join the end of the prompt"
        if end_token(tokenizer) is None:
            return "ends an answer with no token of its own"
    except (TemplateError, TypeError, ValueError):
        return "refuses a conversation of text"
    return ""


@functools.lru_cache(maxsize=8)
def _end_token(tokenizer, size: int, template: str) -> int | None:
    answered = [PROBE[1], {"role": "assistant", "content": ANSWER}]
    behind = rendered(tokenizer, answered, tokenize=False).rpartition(ANSWER)[2]
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    ids = tokenizer(behind, add_special_tokens=False)["input_ids"]
    return next((number for number in ids if number in added | {tokenizer.eos_token_id}), None)


@functools.lru_cache(maxsize=8)
def _marks(tokenizer, size: int, template: str) -> re.Pattern:
    """Special tokens, other added tokens that the template writes, and what looks like a mark in it."""
    added = tokenizer.added_tokens_decoder.values()
    marks = {token.content for token in added if token.special or token.content in template}
    marks |= set(tokenizer.all_special_tokens) | set(BRACKETED.findall(template))
    usable = [mark for mark in marks if len(mark.strip()) > 1 and JOINER not in mark]
    return re.compile("|".join(map(re.escape, sorted(usable, key=len, reverse=True))) or "(?!)")
