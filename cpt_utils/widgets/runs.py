"""The steering desk's runs: whether an answer makes sense, the files that keep runs and answers, and their record."""

from pathlib import Path

from cpt_utils import own_texts
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import StoreError
from cpt_utils.sense import OTHERS, measured_gains, topic_ranks
from cpt_utils.widgets import views

FILE = "desk.jsonl"
"""In a run's folder: the desk's runs."""
KEPT = 30
"""Runs shown below the desk, newest first; the file keeps all."""
BEGUN = 60
"""Characters of a system prompt that a run's title shows."""


def sense_of(base, prompt: str, text: str) -> str:
    """Topic and word-order gain of a text (see sense.py) under a base model that is loaded, in words."""
    if len(text.split()) < 2:
        return "too short to say whether it makes sense"
    rank = topic_ranks([{"prompt": prompt, "response": text}])[0]
    gain = measured_gains(base, [text])[0]
    others = "1 is" if rank == 2 else f"{rank - 1} are"
    nearest = "your prompt is the nearest" if rank == 1 else f"{others} nearer to this text than yours"
    return f"topic: of {OTHERS + 1} prompts, {nearest}; word-order gain {gain:.1f} nats a word"


def keep_run(folder: Path, run: dict) -> None:
    """Add a run to the folder's file."""
    _append(folder / FILE, run)


def send_to_bench(folder: Path, run: dict, side: dict) -> str:
    """Add an answer to the texts of the studio's bench; what to say of it."""
    row = {"prompt": run["prompt"], "response": side["text"], "rubric": side["style"], "target": side["target"]}
    row = {name: value for name, value in row.items() if value is not None}
    path = folder / own_texts.KEPT
    name = f"{side['name']} (stopped)" if side.get("stopped") else side["name"]  # half a text is marked
    _append(path, row | {"model": name, "system": " | ".join(side["systems"])})
    return f"Sent to the rubric studio: {files.shown(path)}, which it reads."


def _append(path: Path, row: dict) -> None:
    with files.writing(path):
        files.append(path, [_encodable(row)])


def _encodable(value):
    if isinstance(value, dict):
        return {name: _encodable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_encodable(part) for part in value]
    return files.encodable(value) if isinstance(value, str) else value


def read_runs(folder: Path) -> tuple[list[dict], str]:
    """The last runs of the folder's file, newest first, and why there are none if it cannot be read.

    What is no run is passed over.
    """
    try:
        rows = files.read_jsonl(folder / FILE)
    except StoreError as error:
        return [], str(error)
    return [row for row in reversed(rows) if _is_run(row)][:KEPT], ""


def _is_run(row: dict) -> bool:
    sides = row.get("sides")
    return (
        isinstance(row.get("prompt"), str)
        and isinstance(row.get("options"), dict)
        and isinstance(sides, list)
        and all(
            isinstance(side, dict)
            and all(isinstance(side.get(name), str) for name in ("model", "name", "text", "verdict"))
            and isinstance(side.get("systems"), list)
            and all(isinstance(system, str) for system in side["systems"])
            for side in sides
        )
    )


def record(run: dict) -> str:
    """One earlier run, folded; all of it escaped."""
    options = ", ".join(f"{name} {value}" for name, value in run["options"].items())
    heads = "<br>".join(views.text(f"{side['model']}: {side['verdict']}") for side in run["sides"])
    texts = "".join(
        f"<div style='flex:1 1 320px'><b>{views.text(side['model'])}</b>"
        f"{views.note('System prompt: ' + (' | '.join(filter(None, side['systems'])) or 'none'))}"
        f"{paper(side['text'], 0)}</div>"
        for side in run["sides"]
    )
    return (
        "<details style='border-top:1px solid #8886;padding:3px 0;line-height:1.4'>"
        f"<summary style='cursor:pointer'>{views.text(run['prompt'][:90])}"
        f"{views.note(orders_of(run))}<span style='opacity:.8'>{heads}</span></summary>"
        f"{views.note(options)}{views.note('Prompt: ' + run['prompt'])}"
        f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{texts}</div></details>"
    )


def orders_of(run: dict) -> str:
    """How a run's system prompts begin, and where the dial between them stood: what tells runs of one prompt apart."""
    systems = dict.fromkeys(" ".join(system.split()) for side in run["sides"] for system in side["systems"])
    begun = [f"{words[:BEGUN]}{'...' if len(words) > BEGUN else ''}" or "none" for words in systems]
    dial = f" · dial {run['dial']}" if "dial" in run else ""
    return f"under {' | '.join(begun)}{dial}"


def paper(text: str, least: int = 120) -> str:
    """An answer as it grows: escaped, with its line breaks, on a field of a least height in pixels."""
    return (
        f"<div style='border:1px solid #8886;padding:6px 10px;min-height:{least}px;{views.AS_WRITTEN}"
        f"line-height:1.45'>{views.escaped(text)}</div>"
    )
