"""What a model says aloud: its answer without the thinking that some models write before it."""

import re

from cpt_utils.runtime.errors import CutOffError

_TAG = (
    r"(?P<end>/?)(?:\w{1,12}:)?(?P<name>(?P<sure>think|thinking)|thoughts?|reasoning|reflection|analysis|scratchpad)"
    r"\b[^\s<>\[\]◁▷]{0,20}(?: [\w:-]{1,20} ?=[^<>\[\]◁▷\n]{0,60})?\s?/?[>\]▷]"
)
ANY_TAG = re.compile(rf"[<\[◁]{_TAG}", re.IGNORECASE)
"""A tag of thinking, in the brackets of several families of models, perhaps with attributes but with no more words."""
TAG = re.compile(rf"(?:[<◁]|\[(?=/?(?-i:THINK)\])){_TAG}", re.IGNORECASE)
"""The same in a text of any style, where "[thoughts of a sailor]" may be a stage direction."""
FAMILIES = [
    (re.compile(r"<\|(?:begin_of_thought|START_THINKING)\|>|<\|channel>thought\b"), "<think>"),
    (re.compile(r"<\|(?:end_of_thought|END_THINKING)\|>|<channel\|>"), "</think>"),
    (re.compile(r"<\|(?:begin_of_solution|end_of_solution|(?:START|END)_(?:RESPONSE|TEXT))\|>"), ""),
    # Granite's headings, and harmony's channels where the server has left out their marks; each also without an end.
    (re.compile(r"\A\s*Here is my thought process:.*?\n\s*Here is my response:", re.DOTALL), ""),
    (re.compile(r"\A\s*Here is my thought process:(?=\s*\n)"), "<think>"),
    (re.compile(r"\A\s*analysis(?=[A-Z]).*assistantfinal", re.DOTALL), ""),
    (re.compile(r"\A\s*analysis(?=[A-Z])"), "<think>"),
]
"""What OpenThinker, Cohere, Gemma and others write, and what it stands for."""
ANSWER = re.compile(r"\s*<(answer|output|response)>((?:(?!</?\1>).)*)</\1>\s*", re.DOTALL)
CHANNEL = re.compile(r"<\|channel\|>\s{0,3}(\w{1,20})\s{0,3}<\|message\|>")  # the harmony format's tags
BEGUN = re.compile(r"[<\[◁][^<>\[\]◁▷\n]{0,24}\Z")
"""What may become a tag."""
ALONE = re.compile(r"[ \t]*(?:[\r\n]|\Z)")
ENDED = re.compile(r"<\|(?:return|end)\|>\s*\Z")
MORE_ROOM = "raise max_tokens or max_new_tokens, or turn thinking off"
UNANSWERED = f"thinking, and no answer after it ({MORE_ROOM})"


def cut_off(text: str) -> CutOffError:
    """What to say of an answer that the limit of tokens ended, not the model: it may lack its end, or everything."""
    if text.strip():
        return CutOffError(f"an answer that the limit of tokens cut off ({MORE_ROOM})")
    return CutOffError(f"all tokens were spent before any answer ({MORE_ROOM})")


def aloud(text: str, tag: re.Pattern = TAG, strict: bool = False) -> str | None:
    """The text outside of thinking; None if a thought does not end, as what follows it was never written.

    An end without a beginning ends what a chat template began. Stories have such tags, too: one in quotation marks is
    none, and "<reflection>" and the like are thinking at the beginning alone, unclosed only if alone in their line.
    strict: all tags count, and None, too, where an end without a beginning stands within a line: it may be a trick.
    """
    whole, channels = text, list(CHANNEL.finditer(text))
    if channels:
        if channels[-1][1].lower() != "final":
            return None
        text = ENDED.sub("", text[channels[-1].end() :])
    for pattern, plain in FAMILIES:
        text = pattern.sub(plain, text)
    said, shown, begun, passed = "", 0, [], []
    for found in tag.finditer(text):
        name, quoted = found["name"].lower(), not strict and _quoted(found)
        before = "" if begun else said + text[shown : found.start()]
        if found["end"]:
            if quoted or not begun and name in passed:
                passed = [one for one in passed if one != name]
            elif begun:
                begun.pop()
                shown = shown if begun else found.end()
            elif strict and text[found.end() :].lstrip(" \t")[:1] not in ("", "\n", "\r"):
                return None
            else:
                said, shown = "", found.end()
        elif quoted or not (strict or found["sure"]) and before.strip():
            passed += [] if begun else [name]
        else:
            said, shown = (said, shown) if begun else (before, found.start())
            begun.append(found)
    if begun and (strict or any(found["sure"] for found in begun) or ALONE.match(text, begun[0].end())):
        return None
    said += text[shown:]
    wrapped = ANSWER.fullmatch(said) if len(said) < len(whole) else None
    return wrapped[2] if wrapped else said


def aloud_so_far(text: str, begun: bool = False) -> str:
    """The text outside of thinking while it grows: what may turn out to be thinking waits until that is clear.

    begun: a chat template has begun it. Otherwise that is known by its end alone, and seen until then.
    """
    text = BEGUN.sub("", text).lstrip()
    text = f"<think>{text}" if begun and not TAG.match(text) else text
    said = aloud(text)
    waits = said is None or TAG.match(text) and aloud(text, strict=True) is None
    return "" if waits else said.lstrip()


def begun_before(text: str) -> bool:
    """Whether a whole text ends thinking that it has not begun, since its chat template did."""
    found = TAG.search(text)
    return bool(found and found["end"] and not _quoted(found) and aloud(text) is not None)


def _quoted(found: re.Match) -> bool:
    """Whether a tag stands in quotation marks behind some words, as in: it printed "</think>" and stopped."""
    text, (start, end) = found.string, found.span()
    marks = text[:start][-1:] in set("\"'`“‘«„") and re.match(r"[.,;:!?]?[\"'`”’»“]", text[end : end + 2])
    return bool(marks and re.search(r"\w", text[:start]))


def spoken(text: str) -> str:
    """The text outside of thinking; a CutOffError where there is thinking alone."""
    said = aloud(text)
    if said is None or text.strip() and not said.strip():
        raise CutOffError(UNANSWERED)
    return said
