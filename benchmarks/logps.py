"""Compute the log-probabilities that are shipped: of the shipped rows under the embedded model, in both number types.

`make logps` writes cpt_utils/data/logps.json; it is needed again when responses, system prompts or the model change.
"""

import json
import os
import tempfile
from pathlib import Path

from cpt_utils import runtime
from cpt_utils.models.loading import load_chat_model
from cpt_utils.models.logps import FILE, response_logps
from cpt_utils.pairs import rows_for
from cpt_utils.runtime import files


def main() -> None:
    shipped = files.ROOT / "cpt_utils" / "data" / FILE
    aside = shipped.with_name(FILE + ".before")
    if shipped.exists():
        shipped.replace(aside)  # or it would be taken for the answer
    try:
        found = computed()
    except BaseException:
        if aside.exists():
            aside.replace(shipped)
        raise
    files.write_whole(shipped, json.dumps(found, indent=0) + "\n")
    aside.unlink(missing_ok=True)
    print({under: len(logps) for under, logps in found.items()}, "->", files.shown(shipped))


def computed() -> dict:
    """{"weights number type": {tokens: log-probability}} of all shipped rows."""
    os.environ["CPT_DEVICE"] = "cpu"
    with tempfile.TemporaryDirectory() as name:
        for number_type in ("float32", "bfloat16"):
            os.environ["CPT_PRECISION"] = number_type
            profile = runtime.start("embedded")
            rows = rows_for(profile, "train") + rows_for(profile, "heldout")
            response_logps(load_chat_model(profile), rows, Path(name), profile.max_length)
        return json.loads((Path(name) / FILE).read_text("utf-8"))


if __name__ == "__main__":
    main()
