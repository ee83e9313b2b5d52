"""Whether preference rows can be trained on: form, mirrors, length, and no held-out prompts among them."""

from pathlib import Path

from cpt_utils.runtime.errors import CptError


class PairError(CptError, ValueError):
    """Responses cannot be paired, or rows cannot be trained on; the message names the row and the mend."""


def read_rows(path: Path, mirrored: bool) -> list[dict]:
    """The preference rows that notebook 03 wrote, checked."""
    from cpt_utils.store import read_jsonl

    path = Path(path)
    if not path.read_bytes().endswith(b"\n"):
        raise PairError(f"{path.name} is empty or was cut off while it was written: run notebook 03 again.")
    rows = read_jsonl(path)
    check_rows(rows, mirrored, path.name)
    return rows


def check_rows(rows: list[dict], mirrored: bool, where: str = "The data") -> None:
    """Raise a PairError unless all rows have the series' form and, if `mirrored`, mirrors stand together."""
    for number, row in enumerate(rows, 1):
        place = f"{where}, row {number}"
        roles = {"chosen": ["assistant"], "rejected": ["assistant"]}
        for column, wanted in {"prompt": None, **roles}.items():
            turns = row.get(column)
            whole = isinstance(turns, list) and turns and all(
                isinstance(t, dict) and isinstance(t.get("content"), str) and t["content"].strip()
                for t in turns
            )
            if not whole:
                raise PairError(f"{place}: {column!r} holds no messages with text; run notebook 03 again.")
            found = [turn.get("role") for turn in turns]
            if found != wanted if wanted else found[-1] != "user" or "system" in found[1:]:
                raise PairError(f"{place}: the roles in {column!r} are {found}; run notebook 03 again.")
        if row["chosen"] == row["rejected"]:
            raise PairError(f"{place}: chosen and rejected are the same text; drop the row and its mirror.")
    for number in range(0, len(rows) if mirrored else 0, 2):
        pair = rows[number : number + 2]
        if len({row.get("pair_id") for row in pair}) > 1 or pair[0]["chosen"] != pair[-1]["rejected"]:
            raise PairError(
                f"{where}, row {number + 1}: the row after it is not its mirror; run notebook 03 again, or "
                "set mirrored=False."
            )


def prompts_of(rows: list[dict]) -> list[str]:
    """The user prompts of preference rows, each once, in order."""
    return list(dict.fromkeys(row["prompt"][-1]["content"] for row in rows))


def check_leaks(rows: list[dict], heldout_prompts: list[str]) -> None:
    """Raise a PairError if a held-out prompt is trained on, whatever its case, spaces and closing mark."""
    plain = lambda text: " ".join(text.casefold().split()).rstrip(" .!?")  # noqa: E731
    kept = {plain(prompt) for prompt in heldout_prompts}
    if leaked := [prompt for prompt in prompts_of(rows) if plain(prompt) in kept]:
        raise PairError(
            f"Held-out prompts stand among the training rows ({len(leaked)}, the first {leaked[0][:60]!r}): "
            "split by prompt (pairs.split_by_prompt), or run notebook 03 again."
        )


def check_lengths(rows: list[dict], tokenizer, max_length: int) -> None:
    """Raise a PairError if prompts alone fill `max_length`: TRL would drop those rows without a word."""
    from cpt_utils.models import templated

    sizes = {number: len(templated(tokenizer, row["prompt"], add_generation_prompt=True))
             for number, row in enumerate(rows, 1)}
    if full := [number for number, size in sizes.items() if size >= max_length]:
        raise PairError(
            f"{len(full)} of {len(rows)} rows have prompts that fill max_length={max_length}, the first row "
            f"{full[0]} with {sizes[full[0]]} tokens ({prompts_of([rows[full[0] - 1]])[0][:40]!r}): raise "
            "max_length or drop these rows with their mirrors."
        )
