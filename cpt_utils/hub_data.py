"""The data sets of the original release (Hub: vicgalle/creative-rubrics, -preferences), checked on loading."""

from pathlib import Path

from cpt_utils.prompts import messages
from cpt_utils.rows import PreferenceRow, Response, target_of
from cpt_utils.rubrics import shipped_rubrics
from cpt_utils.runtime.errors import DataError, PairError

RESPONSES = "vicgalle/creative-rubrics"
PREFERENCES = "vicgalle/creative-rubrics-preferences"


def read_table(source: "str | Path", split: str = "train") -> list[dict]:
    """Rows of a Hub data set, or of a local .jsonl, .json, .csv or .parquet file."""
    from datasets import load_dataset

    path = Path(source).expanduser()
    if path.suffix.lower() not in (".jsonl", ".json", ".csv", ".parquet"):
        return _from_hub(str(source), split)
    if not path.is_file():
        raise DataError(f"There is no data file {path.name}: check the path.")
    from datasets.exceptions import DatasetGenerationError

    kind = path.suffix.lower().lstrip(".").replace("jsonl", "json")
    try:
        return load_dataset(kind, data_files=str(path), split="train").to_list()
    except KeyError as error:  # datasets before 4.8: rows whose columns differ
        raise DataError(
            f"{path.name} cannot be read as {kind}: a row lacks {error}; fill it or drop the row."
        ) from None
    except (DatasetGenerationError, ValueError, OSError, TypeError, AttributeError, StopIteration):
        raise DataError(
            f"{path.name} cannot be read as {kind}: check that it is not empty and every row is whole."
        ) from None


def _from_hub(name: str, split: str) -> list[dict]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        return load_dataset(name, split=split).to_list()
    except (OSError, ValueError, DatasetGenerationError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:140]
    raise DataError(f"The data set {name!r} cannot be loaded ({said}): check its name and split, and the connection.")


def _text(row: dict, number: int, column: str, role: str) -> str:
    """The text of a column that holds a string, or messages of which the last has this role."""
    value = row.get(column)
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        if value[-1].get("role") != role:
            raise DataError(
                f"Row {number}, column {column!r}: the last message is by "
                f"{value[-1].get('role')!r}, not by {role!r}; mend the roles."
            )
        value = value[-1].get("content")
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"Row {number}, column {column!r}: no text; fill it or drop the row.")
    return value.strip()


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
        if name in head or name.replace("_", " ") in head:
            return name
    return text.strip()


def load_release_responses(source: "str | Path" = RESPONSES, split: str = "train") -> list[Response]:
    """Responses as {prompt, rubric, target, response, model}, ready for pairs.build_mirrored_pairs.

    The release names a target in free text, in a column `qualifier` (rows.target_of); `rubric` becomes one of our
    names where it is one of the release's four. Any column whose name starts with "model" or "generat" names the
    model.
    """
    rows = read_table(source, split)
    _need(rows, ("prompt", "rubric", "qualifier", "response"), source)
    writer = next((c for c in rows[0] if c.lower().startswith(("model", "generat"))), None)
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
    of `prompt`, or a column "system" or "system_prompt". Rows without a mirror come last.
    """
    rows = read_table(source, split)
    _need(rows, ("prompt", "chosen", "rejected"), source)
    preferences = []
    for number, row in enumerate(rows, 1):
        user = _text(row, number, "prompt", "user")
        chosen, rejected = (_text(row, number, side, "assistant") for side in ("chosen", "rejected"))
        if chosen == rejected:
            raise DataError(f"Row {number}: chosen and rejected are the same text; drop the row.")
        first = row["prompt"][0] if isinstance(row["prompt"], list) else {}
        own = first.get("role") == "system"
        system = first.get("content") if own else row.get("system", row.get("system_prompt"))
        if own and not system or not isinstance(system, str | None):
            raise DataError(f"Row {number}: the system prompt has no text; fill it or drop the row.")
        preferences.append(
            {
                "prompt": messages(user, system),
                "chosen": [{"role": "assistant", "content": chosen}],
                "rejected": [{"role": "assistant", "content": rejected}],
                "rubric": rubric_name(str(row.get("rubric") or "unknown")),
                "chosen_target": row.get("chosen_target"),
                "rejected_target": row.get("rejected_target"),
            }
        )
    return _side_by_side(preferences)


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
