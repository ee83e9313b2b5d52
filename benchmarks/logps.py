"""Compute what is shipped of the embedded model: log-probabilities of the shipped rows in both number types, and the
order gains of the recorded responses to held-out prompts.

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
from cpt_utils.models.logps import FILE, response_logps
from cpt_utils.pairs import rows_for
from cpt_utils.prompts import load_responses
from cpt_utils.rows import PreferenceRow
from cpt_utils.runtime import files
from cpt_utils.runtime.profiles import load_profile


def main() -> None:
    """What is shipped already stays as it is: it lies under hashes of the weights and of all that was read."""
    for name, new in zip((FILE, sense.FILE), computed()):
        place = files.ROOT / "cpt_utils" / "data" / name
        shipped = json.loads(place.read_text("utf-8")) if place.exists() else {}
        merged = {under: shipped.get(under, {}) | new.get(under, {}) for under in sorted({*shipped, *new})}
        files.write_whole(place, json.dumps(merged, indent=0) + "\n")
        print({under: len(values) for under, values in merged.items()}, "->", files.shown(place))


def computed() -> tuple[dict, dict]:
    """What is missing: {"weights number type": {tokens: log-probability}} and {weights: {text: order gain}}."""
    os.environ["CPT_DEVICE"] = "cpu"
    recorded = [row["response"] for row in load_responses(heldout=True)]
    with tempfile.TemporaryDirectory() as name:
        for number_type in ("float32", "bfloat16"):
            os.environ["CPT_PRECISION"] = number_type
            profile = runtime.start("full")
            train, heldout = (rows_for(profile, part) for part in ("train", "heldout"))
            model = load_chat_model(profile)
            response_logps(model, train + heldout, Path(name), profile.max_length)
            response_logps(model, heldout + of_notebook_03(profile.seed), Path(name))  # whole texts
            sense.order_gains(load_chat_model(profile, dtype=number_type), recorded, Path(name))
        written = [Path(name) / file for file in (FILE, sense.FILE)]
        return tuple(json.loads(file.read_text("utf-8")) if file.exists() else {} for file in written)


def of_notebook_03(seed: int) -> list[PreferenceRow]:
    """The rows of which notebook 03 asks the untrained model."""
    rows = rows_for(load_profile("embedded"), "heldout")
    return mirrored_squares(rows[: len(rows) // 2], seed)


if __name__ == "__main__":
    main()
