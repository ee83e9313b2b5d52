"""Compute what is shipped of the embedded model: log-probabilities of the shipped rows in both number types, and the
word-order gains of the recorded responses to held-out prompts.

`make logps` writes cpt_utils/data/logps.json and order_gains.json; again when responses, system prompts or the model
change.
"""

import json
import os
import tempfile
from pathlib import Path

from cpt_utils import runtime, sense
from cpt_utils.blocks import mirrored_squares
from cpt_utils.models.loading import load_chat_model
from cpt_utils.models.logps import FILE, response_logps, row_tokens, token_keys
from cpt_utils.pairs import rows_for
from cpt_utils.prompts import load_responses
from cpt_utils.rows import PreferenceRow
from cpt_utils.runtime import files
from cpt_utils.runtime.profiles import load_profile

DATA = files.ROOT / "cpt_utils" / "data"


def main() -> None:
    """What is shipped already stays as it is: it lies under hashes of the weights and of all that was read.

    Log-probabilities that no row asks for any more are left out.
    """
    logps, gains, asked = computed()
    known = merged(FILE, logps)
    ship(FILE, {under: {key: values[key] for key in values if key in asked} for under, values in known.items()})
    ship(sense.FILE, merged(sense.FILE, gains))


def merged(name: str, new: dict[str, dict]) -> dict[str, dict]:
    """What is shipped in a file and what is new, by what it lies under."""
    shipped = json.loads((DATA / name).read_text("utf-8")) if (DATA / name).exists() else {}
    return {under: shipped.get(under, {}) | new.get(under, {}) for under in sorted({*shipped, *new})}


def ship(name: str, values: dict[str, dict]) -> None:
    files.write_whole(DATA / name, json.dumps(values, indent=0) + "\n")
    print({under: len(found) for under, found in values.items()}, "->", files.shown(DATA / name))


def computed() -> tuple[dict, dict, set[str]]:
    """What is missing: {"weights number type": {tokens: log-probability}} and {weights: {text: word-order gain}}; and
    the keys of all tokens that are asked for."""
    os.environ["CPT_DEVICE"] = "cpu"
    recorded, asked = [row["response"] for row in load_responses(heldout=True)], set()
    with tempfile.TemporaryDirectory() as name:
        for number_type in ("float32", "bfloat16"):
            os.environ["CPT_PRECISION"] = number_type
            profile = runtime.start("full")
            train, heldout = (rows_for(profile, part) for part in ("train", "heldout"))
            model = load_chat_model(profile)
            whole = heldout + of_notebook_03(profile.seed)
            for rows, length in ((train + heldout, profile.max_length), (whole, None)):
                response_logps(model, rows, Path(name), length)
                asked.update(key for row in rows for key in token_keys(row_tokens(model.tokenizer, row, length)))
            sense.order_gains(load_chat_model(profile, dtype=number_type), recorded, Path(name))
        written = [Path(name) / file for file in (FILE, sense.FILE)]
        return *(json.loads(file.read_text("utf-8")) if file.exists() else {} for file in written), asked


def of_notebook_03(seed: int) -> list[PreferenceRow]:
    """The rows of which notebook 03 asks the untrained model."""
    rows = rows_for(load_profile("embedded"), "heldout")
    return mirrored_squares(rows[: len(rows) // 2], seed)


if __name__ == "__main__":
    main()
