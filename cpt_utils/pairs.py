"""Mirrored preference pairs: the same two responses, preferred in turn by two system prompts."""

import json
import random
from itertools import combinations
from pathlib import Path

from cpt_utils.blocks import training_blocks
from cpt_utils.prompts import messages, system_prompt
from cpt_utils.rows import PreferenceRow, Response, can_be_answered, target_of
from cpt_utils.runtime import files, folders
from cpt_utils.runtime.errors import PairError
from cpt_utils.runtime.profiles import Profile
from cpt_utils.styles import asked_prompts, load_texts, origin

COLUMNS = ("prompt", "rubric", "target", "response")
TEXTS = ("prompt", "rubric", "response")
ORIGIN = ".settings.json"


def build_mirrored_pairs(responses: list[Response], system_prompts=system_prompt) -> list[PreferenceRow]:
    """Preference rows in TRL's conversational format from responses {prompt, rubric, target, response}.

    Every two responses to the same (prompt, rubric) with different targets give two rows that share a
    `pair_id` and stand next to each other: under the system prompt of either target, that target's
    response is chosen. `system_prompts(rubric, target)` gives the text of s.
    """
    rows = []
    for (prompt, rubric), texts in texts_by_target(responses).items():
        for low, high in combinations(sorted(texts), 2):
            pair_id = f"{len(rows) // 2:05d}"
            for chosen, rejected in ((low, high), (high, low)):
                row = {
                    "prompt": messages(prompt, system_prompts(rubric, chosen)),
                    "chosen": [{"role": "assistant", "content": texts[chosen]}],
                    "rejected": [{"role": "assistant", "content": texts[rejected]}],
                    "rubric": rubric,
                    "chosen_target": chosen,
                    "rejected_target": rejected,
                    "pair_id": pair_id,
                }
                rows.append(row)
    return rows


def texts_by_target(responses: list[Response]) -> dict[tuple[str, str], dict[int, str]]:
    """The texts as {(prompt, rubric): {target: text}}, checked: a PairError says what cannot be paired."""
    if not responses:
        raise PairError("There are no responses to pair: check the file or the filter that gave them.")
    groups: dict[tuple[str, str], dict[int, str]] = {}
    for number, row in enumerate(responses, 1):
        if not isinstance(row, dict):
            kind = type(row).__name__
            raise PairError(f"Response {number} is of type {kind}: pass dicts with {', '.join(COLUMNS)}.")
        if missing := [c for c in TEXTS if not isinstance(row.get(c), str) or not row[c].strip()]:
            raise PairError(f"Response {number} has no text in column {missing[0]!r}: fill or drop it.")
        try:
            target = target_of(row.get("target"))
        except PairError:
            raise PairError(f"Response {number} has no target in column 'target': fill or drop it.") from None
        texts = groups.setdefault((row["prompt"], row["rubric"]), {})
        texts[target] = row["response"].strip()  # the newest counts: see generation.finder
    if all(len(texts) < 2 for texts in groups.values()):
        raise PairError("No prompt has responses for two targets of one rubric: add responses.")
    for (prompt, rubric), texts in groups.items():
        for low, high in combinations(sorted(texts), 2):
            if texts[low] == texts[high]:
                raise PairError(
                    f"The responses to {prompt[:50]!r} ({rubric}) are the same for targets {low} and "
                    f"{high}: a pair needs two different texts."
                )
    return groups


def split_by_prompt(
    rows: list[PreferenceRow], share: float, seed: int
) -> tuple[list[PreferenceRow], list[PreferenceRow]]:
    """Training and held-out rows: about `share` of the user prompts, at least one, go to the second part.

    The rows of a pair stay together; a pair belongs to the user prompt of its first row.
    """
    owner: dict[str, str] = {}
    for row in rows:
        owner.setdefault(row["pair_id"], row["prompt"][-1]["content"])
    prompts = sorted(set(owner.values()))
    if len(prompts) < 2:
        raise PairError("All rows answer one prompt, so none can be held out: add rows of other prompts.")
    random.Random(seed).shuffle(prompts)
    heldout = set(prompts[: max(1, round(share * len(prompts)))])
    parts = ([], [])
    for row in rows:
        parts[owner[row["pair_id"]] in heldout].append(row)
    return parts


def rows_for(profile: Profile, part: str) -> list[PreferenceRow]:
    """Rows of "train" or "heldout" for a profile: of recorded responses, the Hub, or texts of notebook 02.

    Where the profile is `mirrored`, rows without a mirror are left out; where it `asks_subject`, training rows of
    recorded responses stand in blocks (blocks.training_blocks).
    """
    heldout = part == "heldout"
    if profile.rubrics or profile.data == "recorded":
        prompts = asked_prompts(profile, heldout)
        rows = build_mirrored_pairs([r for r in load_texts(profile, heldout) if r["prompt"] in prompts])
        return training_blocks(rows, profile.seed) if profile.asks_subject and not heldout else rows
    from cpt_utils.hub_data import load_preferences

    rows, alone = load_preferences(profile.data)
    if profile.mirrored:
        rows = rows[: len(rows) - alone]
    return split_by_prompt(rows, 0.1, profile.seed)[heldout]


def write_rows(profile: Profile, part: str, rows: list[PreferenceRow]) -> Path:
    """Write `part`.jsonl into the run's folder, whole, for `load_rows`, and what the rows were made from beside it."""
    path = files.run_dir(profile) / f"{part}.jsonl"
    folders.write_lines(path, rows)
    folders.write_beside(path.with_suffix(ORIGIN), json.dumps(_origin(profile), indent=1) + "\n")
    return path


def _origin(profile: Profile) -> dict:
    """What decides the rows of a profile (rows_for)."""
    names = ("data", "seed", "mirrored", "asks_subject", "train_prompts", "heldout_prompts")
    data = Path(profile.data)
    told = {name: getattr(profile, name) for name in names} | {"file": files.sha256(data) if data.is_file() else None}
    return told | origin(profile)


def _changed_since(path: Path, profile: Profile) -> list[str]:
    """What is no longer as it was when the file was written; nothing of a file that someone else wrote or changed."""
    if folders.is_strange(path):
        return []
    try:
        told, now = json.loads(path.with_suffix(ORIGIN).read_text("utf-8")), _origin(profile)
        return [name for name in now if told.get(name) != now[name]]
    except (OSError, ValueError, AttributeError):
        return []


def load_rows(profile: Profile, part: str) -> tuple[list[PreferenceRow], str]:
    """Rows of "train" or "heldout" and where they are from: notebook 03's file, else built afresh.

    A file that notebook 03 wrote for other data or settings is passed over, and a note says so.
    """
    folder = files.run_dir(profile)
    path = folder / f"{part}.jsonl"
    changed = _changed_since(path, profile) if path.exists() else []
    if changed:
        print(
            f"note: {path.name} was written by notebook 03 before a change of {', '.join(changed)}: its rows, yours "
            "too if you put some in, are passed over; to train on them set it back, or run notebook 03 again."
        )
    if changed or not path.exists():
        recorded = "the shipped responses" if profile.data == "recorded" else profile.data
        return rows_for(profile, part), f"texts of {', '.join(profile.rubrics)}" if profile.rubrics else recorded
    rows = read_rows(path, profile.mirrored)
    if part == "train" and (folder / "heldout.jsonl").exists():
        check_leaks(rows, prompts_of(read_rows(folder / "heldout.jsonl", profile.mirrored)))
    return rows, f"notebook 03 ({files.shown(path)})"


def read_rows(path: Path, mirrored: bool) -> list[PreferenceRow]:
    """The preference rows that notebook 03 wrote, checked."""
    path = Path(path)
    if not path.read_bytes().endswith(b"\n"):
        raise PairError(f"{path.name} is empty or was cut off while it was written: run notebook 03 again.")
    rows = files.read_jsonl(path)
    check_rows(rows, mirrored, path.name)
    return rows


def check_rows(rows: list[PreferenceRow], mirrored: bool, where: str = "The data") -> None:
    """Raise a PairError unless all rows have the series' form and, if `mirrored`, mirrors stand together."""
    for number, row in enumerate(rows, 1):
        place = f"{where}, row {number}"
        for column, wanted in {"prompt": None, "chosen": ["assistant"], "rejected": ["assistant"]}.items():
            turns = row.get(column)
            whole = (
                isinstance(turns, list)
                and turns
                and all(
                    isinstance(t, dict) and isinstance(t.get("content"), str) and t["content"].strip() for t in turns
                )
            )
            if not whole:
                raise PairError(f"{place}: {column!r} holds no messages with text; run notebook 03 again.")
            roles = [turn.get("role") for turn in turns]
            if roles != wanted if wanted else not can_be_answered(roles):
                raise PairError(f"{place}: the roles in {column!r} are {roles}; run notebook 03 again.")
        if row["chosen"] == row["rejected"]:
            raise PairError(f"{place}: chosen and rejected are the same text; drop the row and its mirror.")
    for number in range(0, len(rows) if mirrored else 0, 2):
        pair = rows[number : number + 2]
        if len({row.get("pair_id") for row in pair}) > 1 or pair[0]["chosen"] != pair[-1]["rejected"]:
            raise PairError(
                f"{where}, row {number + 1}: the row after it is not its mirror; run notebook 03 again, or "
                "set mirrored=False."
            )


def prompts_of(rows: list[PreferenceRow]) -> list[str]:
    """The user prompts of preference rows, each once, in order."""
    return list(dict.fromkeys(row["prompt"][-1]["content"] for row in rows))


def check_leaks(rows: list[PreferenceRow], heldout_prompts: list[str]) -> None:
    """Raise a PairError if a held-out prompt is trained on, whatever its case, spaces and closing mark."""

    def plain(text):
        return " ".join(text.casefold().split()).rstrip(" .!?")

    kept = {plain(prompt) for prompt in heldout_prompts}
    if leaked := [prompt for prompt in prompts_of(rows) if plain(prompt) in kept]:
        raise PairError(
            f"Held-out prompts stand among the training rows ({len(leaked)}, the first {leaked[0][:60]!r}): "
            "split by prompt (pairs.split_by_prompt), or run notebook 03 again."
        )


def check_lengths(rows: list[PreferenceRow], tokenizer, max_length: int) -> None:
    """Raise a PairError if prompts alone fill `max_length`: TRL would drop those rows without a word.

    Responses that it cuts before their end are counted in one line.
    """
    from cpt_utils.models.logps import SIDES, check_room, row_tokens
    from cpt_utils.models.templates import end_token

    kept = [row_tokens(tokenizer, row, max_length) for row in rows]
    check_room(rows, kept, max_length)
    end = end_token(tokenizer)
    if cut := sum(any(end not in tokens[f"{side}_ids"] for side in SIDES) for tokens in kept):
        print(
            f"max_length={max_length} cuts the end off a response in {cut} of {len(rows)} rows "
            f"({cut / len(rows):.0%}): they are trained on without it."
        )
