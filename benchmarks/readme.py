"""After `make run` and `make seeds`: ship the adapter and fill the marked parts of README.md (`make readme`)."""

import html
import json
import re
import shutil

from cpt_utils import runtime
from cpt_utils.embedded import sha256
from cpt_utils.plotting import LABELS

RUN = runtime.ROOT / "runs" / "embedded"
EXAMPLE = "Write a short speech for the opening of a village library."


def results() -> str:
    seeds = json.loads((runtime.ROOT / "benchmarks" / "results" / "seeds.json").read_text())
    mean, spread = seeds["mean"], seeds["standard_deviation"]
    cell = lambda name: f"{mean[name]:.2f} ± {spread[name]:.2f}"  # noqa: E731
    lines = [
        "| on 6 held-out prompts | base | tuned | tuned, paraphrased system prompts |",
        "|---|---|---|---|",
    ]
    for label, name in (("accuracy (guessing: 0.33)", "accuracy"), ("Kendall's τ (ceiling 0.84)", "kendall_tau"),
                        ("Spearman's ρ (ceiling 0.94)", "spearman_rho"), ("degenerate texts", "degenerate_rate")):
        lines.append(f"| {label} | " + " | ".join(
            cell(f"{model}_{name}") for model in ("base", "cpt", "cpt_paraphrased")) + " |")
    count = len(seeds["by_seed"])
    lines.append(f"\nMean ± standard deviation over {count} training seeds; preferences right in both "
                 f"directions: {cell('both_directions')}. Hardware: {seeds['hardware']}; torch "
                 f"{seeds['versions']['torch']}, transformers {seeds['versions']['transformers']}, "
                 f"trl {seeds['versions']['trl']}.")
    return "\n".join(lines)


def example() -> str:
    rows = [json.loads(x) for x in (RUN / "generations.jsonl").read_text("utf-8").split("\n") if x]

    def text(model: str, rubric: str) -> str:
        found = next(r for r in rows if (r["model"], r["rubric"], r["qualifier"], r["prompt"], r["sample"])
                     == (model, rubric, "high", EXAMPLE, 0))["response"]
        words = found.split(" ")
        cut = " ".join(words[:55]) + (" …" if len(words) > 55 else "")
        return html.escape(cut).replace("\n", "<br>").replace("|", "&#124;")

    lines = [f"> {EXAMPLE}", "", "| system prompt | before | after |", "|---|---|---|"]
    for rubric in ("chaos_cinema", "rococo", "esoteric"):
        lines.append(f"| {LABELS[rubric]}, high | {text('base', rubric)} | {text('cpt', rubric)} |")
    return "\n".join(lines)


def minutes() -> str:
    report = json.loads((RUN / "report.json").read_text())
    names = {"01": "rubric_design", "02": "synthetic_generation", "03": "pair_construction",
             "04": "dpo_training", "05": "inference_comparison"}
    told = {
        "01": "a style as a rubric; system prompts; a judge that works offline, and how it is fooled",
        "02": "a teacher writes to a target score; checks; resumable generation; stronger teachers",
        "03": "mirrored pairs; splits; why the base model ignores its system prompt",
        "04": "the DPO loss by hand; why mirrored rows share a step; training, watched",
        "05": "base and tuned side by side; steerability, side effects, paraphrases, limits",
    }
    lines = ["| notebook | what happens | on 2 CPU cores |", "|---|---|---|"]
    for number, name in names.items():
        seconds = report["seconds"][number]
        shown = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
        lines.append(f"| [{number} · {name.replace('_', ' ')}](notebooks/{number}_{name}.ipynb) | {told[number]} "
                     f"| {shown} |")
    return "\n".join(lines)


CARD = """---
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
library_name: peft
license: apache-2.0
---
# A configurable SmolLM2-135M-Instruct

LoRA adapter (r = {r}, alpha = {alpha}, all linear layers, stored as bf16) trained by notebook 04 with DPO on
mirrored pairs plus a next-token term: {rows} rows, {steps} steps, seed {seed}. It follows the system prompts in
`system_prompts.yaml`: four styles at three strengths.

On six held-out prompts: accuracy {accuracy:.2f}, Kendall's tau {kendall_tau:.2f}, Spearman's rho {spearman_rho:.2f},
by the series' offline judge. Hardware: {hardware}.

For teaching. It learns style, not sense: facts in its texts are invented, and nothing filters what it writes.
Trained on synthetic texts only (see the data card one folder up).

sha256 of adapter_model.safetensors: {digest}
"""


def ship_adapter() -> None:
    target = runtime.ROOT / "cpt_utils" / "data" / "adapter"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(RUN / "adapter", target)
    report = json.loads((RUN / "report.json").read_text())
    card = CARD.format(
        **runtime.load_profile("embedded")["lora"], **report["steerability"]["cpt"],
        rows=report["data"]["train_rows"], steps=report["training"]["steps"], seed=report["seed"],
        hardware=report["hardware"], digest=sha256(target / "adapter_model.safetensors"),
    )
    (target / "README.md").write_text(card, "utf-8")


def main() -> None:
    ship_adapter()
    path = runtime.ROOT / "README.md"
    text = path.read_text("utf-8")
    for make in (results, example, minutes):
        name = make.__name__
        text, count = re.subn(rf"(?s)<!-- {name} -->.*?<!-- /{name} -->",
                              lambda _: f"<!-- {name} -->\n{make()}\n<!-- /{name} -->", text)
        assert count == 1, name
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
