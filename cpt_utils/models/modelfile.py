"""A model as Ollama takes it: the chat template as a Go template, found by trying the tokenizer's own."""

import json
from pathlib import Path

from cpt_utils.models import templates
from cpt_utils.runtime.errors import ModelError

LATER = "a-later-text"


def modelfile(tokenizer, weights: str, system: str, sampling: dict[str, float]) -> str:
    """The text of a Modelfile: weights beside it, template, system prompt, and parameters by Ollama's names.

    Every turn is written as `templates.rendered` writes it, and a system prompt as training wrote it: in a turn of
    its own, or before the user's text. A ModelError if the tokenizer's template has no such form.
    """
    lines = [f"FROM ./{weights}", f'TEMPLATE """{go_template(tokenizer)}"""', f'SYSTEM """{_quoted(system)}"""']
    lines += [f"PARAMETER {name} {value}" for name, value in sampling.items()]
    end = tokenizer.convert_ids_to_tokens(templates.end_token(tokenizer))
    return "\n".join([*lines, f"PARAMETER stop {json.dumps(end, ensure_ascii=False)}"]) + "\n"


def go_template(tokenizer) -> str:
    """The template with .System, .Prompt and .Response, which Ollama applies to each turn of a conversation."""
    own = templates.takes_system(tokenizer)
    roles = zip(("user", "assistant", "user"), (templates.USER, templates.ANSWER, LATER))
    turns = [{"role": role, "content": text} for role, text in roles]
    asked = templates.PROBE if own else templates.in_user_turn(templates.PROBE)
    system, texts = templates.SYSTEM, {"tokenize": False}
    try:
        prompt = templates.rendered(tokenizer, asked, add_generation_prompt=True, **texts)
        whole = templates.rendered(tokenizer, [*asked, *turns[1:]], **texts)
        answered = templates.rendered(tokenizer, [*asked, turns[1]], **texts)
        before, between, behind = _around(prompt, system, templates.USER)
        after_answer, _ = _around(whole, templates.ANSWER, LATER)[1:]
        end = _common(after_answer, answered.rpartition(templates.ANSWER)[2])
    except ValueError:
        raise ModelError("The chat template has no form that Ollama takes: write TEMPLATE by hand.") from None
    user, before = after_answer.removeprefix(end), _without_start(tokenizer, before)
    if own:
        said = f"{{{{ if .System }}}}{before}{{{{ .System }}}}{between.removesuffix(user)}{{{{ end }}}}{user}"
    else:
        said = f"{before}{{{{ if .System }}}}{{{{ .System }}}}{between}{{{{ end }}}}"
    return f"{said}{{{{ .Prompt }}}}{behind}{{{{ .Response }}}}{end}"


def _around(text: str, first: str, second: str) -> tuple[str, str, str]:
    """What stands before, between and behind two texts; a ValueError if one is not there."""
    start, then = text.index(first), text.index(second)
    if then < start:
        raise ValueError("another order")
    return text[:start], text[start + len(first) : then], text[then + len(second) :]


def _common(one: str, other: str) -> str:
    """The longest beginning of both."""
    count = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    return one[:count]


def _without_start(tokenizer, text: str) -> str:
    """Without the token that llama.cpp puts before every text, as the tokenizer does."""
    start = tokenizer.bos_token
    added = start and tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    return text.removeprefix(start) if added else text


def _quoted(system: str) -> str:
    if '"""' in system:
        raise ModelError('The system prompt has """ in it, which ends a text in a Modelfile: leave it out.')
    return system


def write_tokenizer_plainly(folder: Path) -> None:
    """Say of a byte-level tokenizer in `folder` that it is one; transformers, reading it from GGUF, adds a fallback.

    llama.cpp's converter would take it for one of SentencePiece, and llama.cpp would stop at the first text. A
    byte-level vocabulary has every byte that a text can hold, so that its tokens stay the same.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    whole = json.loads(path.read_text("utf-8"))
    model, before = whole.get("model", {}), whole.get("pre_tokenizer") or {}
    if model.get("byte_fallback") and before.get("type") == "ByteLevel":
        model["byte_fallback"], whole["decoder"] = False, before
        path.write_text(json.dumps(whole, ensure_ascii=False), "utf-8")
