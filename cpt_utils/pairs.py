"""Mirrored preference pairs: the same two responses, preferred in turn by two system prompts."""

import random
import re
from itertools import combinations

from cpt_utils.prompts import TARGETS, load_prompts, load_responses, messages, system_prompt
from cpt_utils.row_checks import PairError, check_leaks, check_lengths, prompts_of, read_rows  # noqa: F401

COLUMNS = ("prompt", "rubric", "qualifier", "response")


def target_of(qualifier: str) -> int:
    """Target score of a qualifier: ours ("low"), or free text with "high", "low" or "50/100" in it."""
    words = {"mid": r"\b50\s*/\s*100\b|\bmid\b|\bmedium\b", "high": r"\bhigh(er|est|ly)?\b", "low": r"\blow(er|est)?\b"}
    for name, pattern in words.items():
        if re.search(pattern, qualifier.lower()):
            return TARGETS[name]
    raise PairError(f"Qualifier {qualifier!r} names no target: it needs 'low', 'high' or '50/100'.")


def build_mirrored_pairs(responses: list[dict], system_prompts=system_prompt) -> list[dict]:
    """Preference rows in TRL's conversational format from responses {prompt, rubric, qualifier, response}.

    Every two responses to the same (prompt, rubric) with different targets give two rows that share a
    `pair_id` and stand next to each other: under the system prompt of either target, that target's
    response is chosen. `system_prompts(rubric, qualifier)` gives the text of s.
    """
    if not responses:
        raise PairError("There are no responses to pair: check the file or the filter that gave them.")
    names = {target: name for name, target in TARGETS.items()}
    groups: dict[tuple, dict[int, str]] = {}
    for number, row in enumerate(responses, 1):
        if not isinstance(row, dict):
            kind = type(row).__name__
            raise PairError(f"Response {number} is of type {kind}: pass dicts with {', '.join(COLUMNS)}.")
        if missing := [c for c in COLUMNS if not isinstance(row.get(c), str) or not row[c].strip()]:
            raise PairError(f"Response {number} has no text in column {missing[0]!r}: fill or drop it.")
        group = groups.setdefault((row["prompt"], row["rubric"]), {})
        group[target_of(row["qualifier"])] = row["response"].strip()  # the newest counts: see store
    if all(len(group) < 2 for group in groups.values()):
        raise PairError("No prompt has responses for two targets of one rubric: add responses.")
    rows = []
    for (prompt, rubric), by_target in groups.items():
        for low, high in combinations(sorted(by_target), 2):
            if by_target[low] == by_target[high]:
                raise PairError(
                    f"The responses to {prompt[:50]!r} ({rubric}) are the same for targets {low} and "
                    f"{high}: a pair needs two different texts."
                )
            pair_id = f"{len(rows) // 2:05d}"
            rows += [
                {
                    "prompt": messages(prompt, system_prompts(rubric, names[chosen])),
                    "chosen": [{"role": "assistant", "content": by_target[chosen]}],
                    "rejected": [{"role": "assistant", "content": by_target[rejected]}],
                    "rubric": rubric,
                    "chosen_target": chosen,
                    "rejected_target": rejected,
                    "pair_id": pair_id,
                }
                for chosen, rejected in ((low, high), (high, low))
            ]
    return rows


def split_by_prompt(rows: list[dict], share: float, seed: int) -> tuple[list[dict], list[dict]]:
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


def rows_for(profile: dict, part: str) -> list[dict]:
    """Rows of "train" or "heldout" for a profile's data: the recorded responses, or preferences of the Hub.

    With profile["mirrored"], rows without a mirror are left out.
    """
    heldout = part == "heldout"
    if profile["data"] == "recorded":
        limit = profile["heldout_prompts" if heldout else "train_prompts"]  # null: all of them
        prompts = [p["prompt"] for p in load_prompts(heldout)][:limit]
        return build_mirrored_pairs([r for r in load_responses(heldout) if r["prompt"] in prompts])
    from cpt_utils.hub_data import load_preferences

    rows, alone = load_preferences(profile["data"])
    if profile["mirrored"]:
        rows = rows[: len(rows) - alone]
    return split_by_prompt(rows, 0.1, profile["seed"])[heldout]


def load_rows(profile: dict, part: str) -> tuple[list[dict], str]:
    """Rows of "train" or "heldout" and where they are from: notebook 03's file, else built afresh."""
    from cpt_utils import runtime

    folder = runtime.run_dir(profile)
    path = folder / f"{part}.jsonl"
    if path.exists():
        rows = read_rows(path, profile["mirrored"])
        if part == "train" and (folder / "heldout.jsonl").exists():
            check_leaks(rows, prompts_of(read_rows(folder / "heldout.jsonl", profile["mirrored"])))
        return rows, f"notebook 03 ({runtime.shown(path)})"
    source = "the shipped responses" if profile["data"] == "recorded" else profile["data"]
    return rows_for(profile, part), source
