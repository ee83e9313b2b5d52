"""What a model's chat template does with a conversation, found by trying it, and text that stays text in it."""

import contextlib
import functools
import re

from cpt_utils.runtime import files

SYSTEM, USER, ANSWER = "a-system-text", "a-user-text", "an-answer"
PROBE = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
LINES = "".join(f', line {number} of many. "The" next é  & a < b:\n\n- more, ' for number in range(60))
LONGER = [
    {"role": role, "content": f"{text}{LINES} and last."}
    for role, text in (("system", SYSTEM), ("user", USER), ("assistant", ANSWER), ("user", "a-later-text"))
]
"""A conversation with a history, of texts that are long and have many lines."""
FIRST_WORDS = ("Words", "words", "7", '"', "**", "(", "字", "🎬")
"""How answers begin. None of them may join the last token of the prompt."""
BRACKETED = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")
"""Marks of turns as templates write them; some are no tokens of the vocabulary."""
WORDED = re.compile(r"(?:##+ ?\w[\w ]{0,30}[:：]?|\b\w{1,20} ?[:：])(?=\s*$)", re.MULTILINE)
"""Marks in plain words, at the end of a line that a template writes: "### Response:", "USER: "."""
OPENED = re.compile(r"[<\[](?:\w{1,12}:)?(?:think|thought|reason)\w{0,4}[>\]]\s*\Z", re.IGNORECASE)
"""A tag of thinking at the end of a prompt."""
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


def opened(tokenizer) -> str:
    """The tag of thinking that the template leaves open where each answer begins, and which that lacks; or ""."""
    return _opened(*_key(tokenizer))


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
    try:
        faults = (_fault_with(tokenizer, in_user_turn(turns) if moved else turns) for turns in (PROBE, LONGER))
        return next(filter(None, faults), "")
    except Exception:  # a template is a program, and fails like one
        return "refuses a conversation of text"


def _fault_with(tokenizer, turns: list[dict]) -> str:
    prompt = rendered(tokenizer, turns, tokenize=False, add_generation_prompt=True)
    ids = rendered(tokenizer, turns, add_generation_prompt=True)
    if not all(turn["content"] in prompt for turn in turns):
        return "leaves out a text, or a part of it"
    for word in FIRST_WORDS:
        answer = f"{word} {ANSWER}{LINES} and last."
        answered = [*turns, {"role": "assistant", "content": answer}]
        whole = rendered(tokenizer, answered, tokenize=False)
        if not whole.startswith(prompt):
            return "writes another prompt once an answer follows"
        behind = whole.removeprefix(prompt).lstrip()
        if not behind.startswith(f"{word} {ANSWER}"):
            return "puts something between the prompt and its answer"
        if not behind.startswith(answer):
            return "leaves out a text, or a part of it"
        if rendered(tokenizer, answered)[: len(ids)] != ids:
            return "lets an answer's first word join the end of the prompt"
    return "" if end_token(tokenizer) is not None else "ends an answer with no token of its own"


@functools.lru_cache(maxsize=8)
def _end_token(tokenizer, size: int, template: str) -> int | None:
    answered = [PROBE[1], {"role": "assistant", "content": ANSWER}]
    behind = rendered(tokenizer, answered, tokenize=False).rpartition(ANSWER)[2]
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    ids = tokenizer(behind, add_special_tokens=False)["input_ids"]
    return next((number for number in ids if number in added | {tokenizer.eos_token_id}), None)


@functools.lru_cache(maxsize=8)
def _opened(tokenizer, size: int, template: str) -> str:
    with contextlib.suppress(Exception):
        found = OPENED.search(rendered(tokenizer, PROBE[1:], tokenize=False, add_generation_prompt=True))
        return found[0] if found else ""
    return ""


@functools.lru_cache(maxsize=8)
def _marks(tokenizer, size: int, template: str) -> re.Pattern:
    """Special tokens, other added tokens that the template writes, and what looks like a mark in it or in its text."""
    added, written = tokenizer.added_tokens_decoder.values(), _between(tokenizer)
    marks = {token.content for token in added if token.special or token.content in template}
    marks |= set(tokenizer.all_special_tokens) | set(BRACKETED.findall(template + written))
    marks |= set(WORDED.findall(BRACKETED.sub("\n", written)))
    usable = [mark for mark in marks if len(mark.strip()) > 1 and JOINER not in mark]
    return re.compile("|".join(map(re.escape, sorted(usable, key=len, reverse=True))) or "(?!)")


def _between(tokenizer) -> str:
    """What the template writes around the texts of a conversation, a line each; "" if it takes none."""
    for turns in (LONGER, in_user_turn(LONGER)):
        with contextlib.suppress(Exception):
            text = rendered(tokenizer, turns, tokenize=False, add_generation_prompt=True)
            return re.sub("|".join(re.escape(turn["content"]) for turn in LONGER), "\n", text)
    return ""
