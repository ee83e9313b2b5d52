"""The README's GPU table, from benchmarks/results/gpu.json: one column a machine, or a sentence that there is none."""

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "results" / "gpu.json"
NOT_RUN = "not run yet"
NOT_MEASURED = (
    "**No GPU has been used for this version.** The unsloth path, fp16 (numbers of 16 bits, for older GPUs) on "
    "a T4, and the memory of the larger models are written, reviewed and covered by `pytest -m gpu`, but not yet run. "
    "`DRY=1 make gpu` has rehearsed the steps on a processor, with tiny models and with transformers in unsloth's "
    "place; `make gpu` measures them on a GPU, and `make readme` then shows the figures here."
)
SHARED = [  # the part, the point (shared_steps.point_name), and what the row says of it
    ("embedded", "1 x six rows, 24 + 72", "TRL's step takes so many times as long: 135 million weights, 6 short rows"),
    ("embedded", "4 x six rows, 256 + 256", "24 rows of 256 + 256 tokens"),
    ("large", "1 x six rows, 256 + 256", "4 billion weights in 4 bits, 6 rows of 256 + 256 tokens"),
]
ROWS = [  # what the row says, the stage, the way to the figure, and how it is shown
    ("bf16 product, TFLOP/s", "A", ("product_tflops",), "{:.0f}"),
    ("copy on the device, GB/s, read and written", "A", ("copy_gb_per_second",), "{:.0f}"),
    ("tests marked `gpu` that passed", "B", ("passed",), "{}"),
    ("unsloth as in the notebooks, seconds a step", "C", ("as_it_is", "seconds_per_step"), "{:.2f}"),
    ("the same in float16, as on a T4", "C", ("as_on_a_t4", "seconds_per_step"), "{:.2f}"),
    (
        "`t4`, 4 billion weights, 1,024 tokens: peak by estimate, GiB",
        "D",
        ("transformers", "ours_1024", "estimate_gib"),
        "{:.1f}",
    ),
    ("peak by the driver, this series", "D", ("transformers", "ours_1024", "driver_gib"), "{:.1f}"),
    ("peak by the driver, unsloth", "D", ("unsloth", "ours_1024", "driver_gib"), "{:.1f}"),
    ("peak by the driver, stock TRL", "D", ("transformers", "stock_1024", "driver_gib"), "{:.1f}"),
    ("seconds a row, this series", "D", ("transformers", "ours_1024", "seconds_per_row"), "{:.2f}"),
    ("seconds a row, unsloth", "D", ("unsloth", "ours_1024", "seconds_per_row"), "{:.2f}"),
    ("seconds a row, stock TRL", "D", ("transformers", "stock_1024", "seconds_per_row"), "{:.2f}"),
    ("512 tokens: peak by the driver, this series", "D", ("transformers", "ours_512", "driver_gib"), "{:.1f}"),
    ("`paper`, 2,048 tokens: peak by the driver, GiB", "D", ("transformers", "paper_2048", "driver_gib"), "{:.1f}"),
    ("notebook 04 of the embedded profile, seconds", "E", ("seconds_04",), "{:.0f}"),
    ("Spearman's ρ after it", "E", ("spearman_rho",), "{:.2f}"),
    (
        "one text of 4 billion weights in 4 bits, tokens a second: this series",
        "F",
        ("transformers", "ours_1"),
        "{:.0f}",
    ),
    ("`model.generate`", "F", ("transformers", "generate_1"), "{:.0f}"),
    ("unsloth", "F", ("unsloth", "unsloth_1"), "{:.0f}"),
    ("32 texts: this series", "F", ("transformers", "ours_32"), "{:.0f}"),
    ("32 texts: `model.generate`", "F", ("transformers", "generate_32"), "{:.0f}"),
    ("32 texts: unsloth", "F", ("unsloth", "unsloth_32"), "{:.0f}"),
    ("`trl dpo` with the files of notebook 04", "G", ("outcome",), "{}"),
    *(
        (f"{label}, {way}", "I", (part, name, kind, key), "{:.2f}")
        for part, name, label in SHARED
        for way, kind, key in (
            ("TRL's with shared prompts", "measured", "shared"),
            ("this series' trainer", "measured", "packed"),
            ("counted in tokens", "tokens", "packed"),
        )
    ),
]


def cell(stages: dict, letter: str, way: tuple, form: str) -> str:
    """One figure as shown; why it is missing otherwise."""
    found = stages.get(letter)
    if found is None:
        return NOT_RUN
    if letter == "E" and found.get("weights") == "random" and way[0] in ("spearman_rho",):
        return "random weights"
    outcome = found.get("outcome", NOT_RUN)
    for name in way:
        if isinstance(found, dict) and "failure" in found:
            return found["failure"]
        if isinstance(found, dict) and "skipped" in found:
            return "skipped"
        if not isinstance(found, dict) or name not in found:
            return NOT_RUN if outcome == "passed" else outcome
        found = found[name]
    return form.format(found)


def measured() -> dict[str, dict]:
    """The results by machine; SystemExit where they hold a rehearsal's figures, which are a processor's."""
    machines = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    for name, stages in machines.items():
        if any(told.get("rehearsal") for told in stages.values()):
            raise SystemExit(
                f"{RESULTS.name} holds the figures of a rehearsal ({name}), which measure no GPU: "
                f"delete {name!r} from it."
            )
    return machines


def gpu() -> str:
    """A table with a column for each machine of the results, or a sentence that no GPU was measured."""
    if not (machines := measured()):
        return NOT_MEASURED
    lines = ["**On a GPU** (`make gpu`):", "", "| | " + " | ".join(machines) + " |", "|---" * (len(machines) + 1) + "|"]
    for label, letter, way, form in ROWS:
        cells = [cell(stages, letter, way, form) for stages in machines.values()]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    shares = [told for name, stages in machines.items() if (told := limits(name, stages))]
    return "\n".join(lines + [""] * bool(shares) + shares)


def limits(name: str, stages: dict) -> str:
    """How near generation comes to the rate at which the weights can be read, where both were measured."""
    rate = stages.get("A", {}).get("copy_gb_per_second")
    generation = stages.get("F", {})
    speed, size = generation.get("transformers", {}).get("ours_1"), generation.get("bytes_per_step")
    if not (rate and speed and size):
        return ""
    return (
        f"{name}: one text is written at {speed * size / rate / 1e9:.0%} of the rate at which its weights can be read."
    )
