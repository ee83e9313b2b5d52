"""The options of an endpoint's teacher: what is none is named before anything is asked."""

import difflib
import inspect
from collections.abc import Collection

from cpt_utils.runtime.errors import SettingsError
from cpt_utils.runtime.keys import remember

OURS = {"messages", "model", "n", "stream", "stream_options", "timeout"}
"""Arguments of chat.completions.create that are no options here: we set them, and read one whole answer."""


def check_options(client, options: dict, own: Collection[str]) -> None:
    """A SettingsError for the first of these options that chat.completions.create of this client does not take.

    own: the names that endpoint_teacher takes beside them. Keys among the options are kept out of messages.
    """
    known = set(inspect.signature(client.chat.completions.create).parameters) - OURS
    remember(options)
    inner = options.get("extra_body")
    if taken := sorted((OURS - {"timeout"}) & {*options, *(inner if isinstance(inner, dict) else ())}):
        raise SettingsError(f"{taken[0]!r} is no option: one whole answer is read to each conversation; leave it out.")
    for name in options:
        if name not in known:
            if "key" in name.lower():
                raise SettingsError(f"{name!r} is no option: put a key into OPENAI_API_KEY, or pass ask_key=True.")
            near = difflib.get_close_matches(name, sorted(known.union(own)), 1)
            mend = f"What only your server knows goes into extra_body={{{name!r}: ...}}."
            if near:
                mend = f"do you mean {near[0]!r}? {'' if near[0] in own else mend}".strip()
            raise SettingsError(f"{name!r} is no option of an endpoint's teacher{':' if near else '.'} {mend}")
