"""One prompt under several system prompts, answered in the terminal by the embedded model and its adapter."""

import threading
import time
import unicodedata

from cpt_utils import runtime
from cpt_utils.models import adapters, loading
from cpt_utils.models.streaming import fault, stream_chat
from cpt_utils.plotting import LABELS
from cpt_utils.prompts import load_prompts, messages, system_prompt
from cpt_utils.runtime.errors import PromptError

# (rubric, name of the target)
STYLES = (("rococo", "high"), ("esoteric", "high"), ("chaos_cinema", "low"))


def printable(text: str) -> str:
    """Text that cannot steer a terminal: of all control and format characters, only line breaks stay."""
    spaced = text.replace("\t", " ")
    return "".join(c for c in spaced if c == "\n" or not unicodedata.category(c).startswith("C"))


def printer():
    """A function that is called with the whole of a growing text, and prints what is new."""
    printed = 0

    def show(text: str) -> None:
        nonlocal printed
        # The end waits: half a character decodes as U+FFFD, and white space may be the answer's last.
        text = printable(text).lstrip().rstrip("\ufffd").rstrip()
        print(text[printed:], end="", flush=True)
        printed = max(printed, len(text))

    return show


def try_it(prompt: str | None = None, systems: list[str] | None = None) -> list[str]:
    """Print the answers to one prompt under each system prompt, token by token, and return them.

    By default a held-out prompt and the three shipped system prompts of STYLES. Raises PromptError for what
    cannot be asked, before the model is loaded.
    """
    started = time.monotonic()
    prompt = load_prompts(heldout=True)[0]["prompt"] if prompt is None else prompt.strip()
    asked = [("your own", system.strip()) for system in systems or []]
    if not asked:
        asked = [(f"{LABELS[rubric]}, {name}", system_prompt(rubric, name)) for rubric, name in STYLES]
    for _, system in asked:
        if wrong := fault(prompt, system):
            raise PromptError(wrong)
    profile = runtime.start("embedded")
    options = profile.sampling.model_dump(exclude={"batch_size"}) | {
        "max_new_tokens": profile.max_new_tokens,
        "seed": profile.seed,
    }
    print("loading the model and the adapter shipped with the series ...", flush=True)
    tuned = loading.load_chat_model(profile, adapters.SHIPPED_ADAPTER, dtype="auto")
    print(f"\nPrompt: {printable(prompt)}")
    answers = []
    for label, system in asked:
        print(f"\nSystem prompt ({label}): {printable(system) or 'none'}\n", flush=True)
        answers.append(stream_chat(tuned, messages(prompt, system), printer(), threading.Event(), **options))
        print()
    count = f"{len(answers)} answer{'s' * (len(answers) != 1)}"
    print(f"\n{count} in {time.monotonic() - started:.0f} s, loading included.")
    return answers
