"""What a model says aloud: its answer without the thinking that some models write before it."""

import re

from cpt_utils.runtime.errors import CutOffError

_TAG = (
    r"(?P<end>/?)(?:\w{1,12}:)?(?:think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad)"
    r"\b[^<>\[\]◁▷\n]{0,60}[>\]▷]"
)
ANY_TAG = re.compile(rf"[<\[◁]{_TAG}", re.IGNORECASE)
"""A tag of thinking, in the brackets of several families of models."""
TAG = re.compile(rf"(?:[<◁]|\[(?=/?(?-i:THINK)\])){_TAG}", re.IGNORECASE)
"""The same in a text of any style, where "[thoughts of a sailor]" may be a stage direction."""
CHANNEL = re.compile(r"<\|channel\|>\s{0,3}(\w{1,20})\s{0,3}<\|message\|>")  # the harmony format's tags
MORE_ROOM = "raise max_tokens or max_new_tokens, or turn thinking off"
UNANSWERED = f"thinking, and no answer after it ({MORE_ROOM})"


def cut_off(text: str) -> CutOffError:
    """What to say of an answer that the limit of tokens ended, not the model: it may lack its end, or everything."""
    if text.strip():
        return CutOffError(f"an answer that the limit of tokens cut off ({MORE_ROOM})")
    return CutOffError(f"all tokens were spent before any answer ({MORE_ROOM})")


def aloud(text: str, tag: re.Pattern = TAG, strict: bool = False) -> str | None:
    """The text outside of thinking; None if a thought does not end, as what follows it was never written.

    An end without a beginning ends what a chat template began. strict: None, too, where that end stands within a
    line: it may be quoted, and a trick.
    """
    channels = list(CHANNEL.finditer(text))
    if channels:
        if channels[-1][1].lower() != "final":
            return None
        text = text[channels[-1].end() :]
    said, shown, depth = "", 0, 0
    for found in tag.finditer(text):
        if not found["end"]:
            said += "" if depth else text[shown : found.start()]
            depth += 1
        elif depth:
            depth -= 1
        elif strict and text[found.end() :].lstrip(" \t")[:1] not in ("", "\n", "\r"):
            return None
        else:
            said = ""
        shown = found.end()
    return None if depth else said + text[shown:]


def spoken(text: str) -> str:
    """The text outside of thinking; a CutOffError where there is thinking alone."""
    said = aloud(text)
    if said is None or text.strip() and not said.strip():
        raise CutOffError(UNANSWERED)
    return said
