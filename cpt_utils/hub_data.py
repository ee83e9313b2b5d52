"""The data sets of the original release (Hub: vicgalle/creative-rubrics, -preferences), checked on loading."""

import ast
import json
import re
from pathlib import Path

from cpt_utils.rows import PreferenceRow, Response, can_be_answered, target_of
from cpt_utils.rubrics import shipped_rubrics
from cpt_utils.runtime.errors import DataError, PairError
from cpt_utils.tables import read_table

RESPONSES = "vicgalle/creative-rubrics"
PREFERENCES = "vicgalle/creative-rubrics-preferences"
NAMED = r"""["'](?:role|content)["']\s*:|["']from["']\s*:\s*["'](?:human|gpt|system)["']"""
BEGUN = re.compile(rf"\s*(?:array\()?\[?\s*\{{\s*(?:{NAMED})")
"""How messages begin that a table holds as text."""
ROLES = {"system": "system", "user": "user", "assistant": "assistant", "human": "user", "gpt": "assistant"}
"""Names of roles, also in ShareGPT's tables, whose turns are {from, value}."""
SYSTEM = re.compile(r"sys(?:tem)?(?:[ _-]?(?:prompt|message|msg|text|instructions?|content))?", re.IGNORECASE)
"""Columns that hold a system prompt."""
WRITER = re.compile(
    r"(?:(?:generat\w*|teacher|writer|source|response|completion)_)?(?:model|llm)(?:_?(?:name|id|used|version|path|slug))?"
    r"|generator\w*|generated_(?:by|with|using|from)|teacher(?:_name)?",
    re.IGNORECASE,
)
"""Columns that name the model."""


def _messages(row: dict, number: int, column: str, role: str) -> list[dict]:
    """The messages of a column, of which the last has this role; a plain text is one message by it."""
    value = _read(row.get(column), f"Row {number}, column {column!r}")
    value = [value] if isinstance(value, dict) else value
    turns = value if isinstance(value, list) and value else [{"role": role, "content": value}]
    turns = [_turn(turn) if isinstance(turn, dict) else {} for turn in turns]
    for turn in turns:
        text = turn.get("content")
        if not isinstance(text, str) or not text.strip():
            lacking = "the system prompt has no text" if _is_system(turn) else "no text"
            if isinstance(value, (int, float)):
                lacking += f" but the number {value!r} (put it in quotes)"
            raise DataError(f"Row {number}, column {column!r}: {lacking}; fill it or drop the row.")
    if turns[-1].get("role") != role:
        raise DataError(
            f"Row {number}, column {column!r}: the last message is by {turns[-1].get('role')!r}, not by {role!r}; "
            "mend the roles."
        )
    return [{"role": turn.get("role"), "content": turn["content"].strip()} for turn in turns]


def _turn(turn: dict) -> dict:
    """A message by our names for its parts; content that comes as parts of text is one text."""
    who, content = turn.get("role") or turn.get("from"), turn.get("content") or turn.get("value")
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text") or "") for part in content)
    return {"role": ROLES.get(who, who) if isinstance(who, str) else who, "content": content}


def _is_system(turn: dict) -> bool:
    return turn.get("role") == "system"


def _read(value, place: str):
    """Messages that a table holds as text, in JSON or as Python writes a list; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{", '"', "array(")):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(value.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(found, str):  # JSON of JSON
            inner = _read(found, place)
            return value if isinstance(inner, str) else inner
        if isinstance(found, dict) and len(found) == 1:
            found = found.get("messages", found.get("conversations", found))
        turns = found if isinstance(found, list) else [found]
        if not turns or not all(isinstance(turn, dict) for turn in turns):
            return value
        known = [{"role", "content"} <= {*turn} or {"from", "value"} <= {*turn} for turn in turns]
        return turns if any(known) else value  # one that lacks something is told of
    if BEGUN.match(value):
        raise DataError(f"{place}: messages that cannot be read, cut off perhaps; write them as JSON, or drop the row.")
    return value


def _text(row: dict, number: int, column: str, role: str) -> str:
    """The text of a column that holds a string, or one message by this role."""
    turns = _messages(row, number, column, role)
    if len(turns) > 1:
        raise DataError(
            f"Row {number}, column {column!r}: {len(turns)} messages, where one is asked for; keep that by {role!r}."
        )
    return turns[0]["content"]


def _need(rows: list[dict], columns: tuple[str, ...], source) -> None:
    present = set(rows[0]) if rows else set()
    if absent := [name for name in columns if name not in present]:
        raise DataError(
            f"{Path(source).name} has no column {absent[0]!r}, only "
            f"{', '.join(sorted(present)) or 'no rows'}; rename or add it."
        )


def rubric_name(text: str) -> str:
    """One of our four rubrics for a rubric of the release (its name, title or whole text), else the text."""
    head = text.strip().splitlines()[0].lower()
    for name in shipped_rubrics():
        title = name.replace("_", "[_ ]")
        if re.search(rf"(?<![a-z])(?<!anti[- ])(?<!non[- ])(?<!un-)(?<!not ){title}(?![a-z])", head):
            return name
    return text.strip()


def load_release_responses(source: "str | Path" = RESPONSES, split: str = "train") -> list[Response]:
    """Responses as {prompt, rubric, target, response, model}, ready for pairs.build_mirrored_pairs.

    The release names a target in free text, in a column `qualifier` (rows.target_of); `rubric` becomes one of our
    names where it is one of the release's four. A column such as "model" or "generator" (WRITER) names the model.
    """
    return release_responses(read_table(source, split), source)


def release_responses(rows: list[dict], source: "str | Path") -> list[Response]:
    """The same of a table's rows, in their order; `source` names the table in what is said of them."""
    _need(rows, ("prompt", "rubric", "qualifier", "response"), source)
    writer = min(filter(WRITER.fullmatch, rows[0]), key=len, default=None)  # "model" before "model_version"
    responses = []
    for number, row in enumerate(rows, 1):
        prompt, rubric, qualifier = (_text(row, number, column, "user") for column in ("prompt", "rubric", "qualifier"))
        response = Response(
            prompt=prompt,
            rubric=rubric_name(rubric),
            target=_target(qualifier, number),
            response=_text(row, number, "response", "assistant"),
            model=str(row.get(writer) or "unknown"),
        )
        responses.append(response)
    return responses


def _target(qualifier: str, number: int) -> int:
    try:
        return target_of(qualifier)
    except PairError as error:
        raise DataError(f"Row {number}, column 'qualifier': {error}") from None


def load_preferences(source: "str | Path" = PREFERENCES, split: str = "train") -> tuple[list[PreferenceRow], int]:
    """Preference rows of the series' contract, mirrored pairs side by side, and how many rows have no mirror.

    Columns prompt, chosen and rejected may be strings or messages; the system prompt is the first message
    of `prompt`, or a column such as "system" or "system_prompt" (SYSTEM). Rows without a mirror come last.
    """
    rows = read_table(source, split)
    _need(rows, ("prompt", "chosen", "rejected"), source)
    preferences = []
    for number, row in enumerate(rows, 1):
        answers = {side: _messages(row, number, side, "assistant") for side in ("chosen", "rejected")}
        if answers["chosen"][-1] == answers["rejected"][-1]:
            raise DataError(f"Row {number}: chosen and rejected are the same text; drop the row.")
        preferences.append(
            {
                "prompt": _conversation(row, number, [turns[:-1] for turns in answers.values()]),
                **{side: turns[-1:] for side, turns in answers.items()},
                "rubric": rubric_name(str(row.get("rubric") or "").strip() or "unknown"),
                "chosen_target": row.get("chosen_target"),
                "rejected_target": row.get("rejected_target"),
            }
        )
    return _side_by_side(preferences)


def _conversation(row: dict, number: int, before: list[list[dict]]) -> list[dict]:
    """All that is said before the answer: `prompt`, a system column, and the turns before both answers in theirs."""
    turns = _messages(row, number, "prompt", "user")
    for others in before:
        turns = _agreed(turns, others, number)
    if system := _system_column(row, number):
        turns = _agreed([*system, *turns[_is_system(turns[0]) :]], turns, number)
    roles = [turn["role"] for turn in turns]
    if not can_be_answered(roles):
        raise DataError(
            f"Row {number}, column 'prompt': the roles are {roles}; let user and assistant take turns, behind one "
            "system message at most."
        )
    return turns


def _system_column(row: dict, number: int) -> list[dict]:
    """What columns such as "system" or "system_prompt" say (SYSTEM), as messages: one, or none where all are empty."""
    told = [_messages(row, number, name, "system") for name in row if SYSTEM.fullmatch(name) and row[name]]
    if any(turns != told[0] for turns in told):
        raise DataError(f"Row {number}: its columns of system prompts hold different texts; keep one of them.")
    return told[0] if told else []


def _agreed(one: list[dict], other: list[dict], number: int) -> list[dict]:
    """The longer of two conversations, of which the shorter lacks turns at its beginning and nothing else."""
    shorter, longer = sorted((one, other), key=len)
    if longer[len(longer) - len(shorter) :] != shorter:
        raise DataError(
            f"Row {number}: prompt, chosen and rejected (or a system column) hold different turns before the answer; "
            "let them agree, or drop the row."
        )
    return longer


def _side_by_side(rows: list[dict]) -> tuple[list[PreferenceRow], int]:
    """Order rows so that two with the same texts in opposite roles stand together and share a pair_id."""
    waiting: dict[tuple, list[dict]] = {}
    pairs: list[list[dict]] = []
    for row in rows:
        chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
        if mirrors := waiting.get((rejected, chosen)):
            pairs.append([mirrors.pop(0), row])
        else:
            waiting.setdefault((chosen, rejected), []).append(row)
    alone = [[row] for group in waiting.values() for row in group]
    numbered = [{**row, "pair_id": f"{number:05d}"} for number, pair in enumerate(pairs + alone) for row in pair]
    return numbered, len(alone)
