"""After `make run` (and `make seeds`): ship the adapter and fill the marked parts of README.md (`make readme`)."""

import html
import json
import re
import shutil
import statistics

from comparisons import FULL
from gpu.table import gpu
from measured import RESULTS, result

from cpt_utils.commands.workload import recorded
from cpt_utils.evaluation import ceiling
from cpt_utils.export import write_card
from cpt_utils.plotting import LABELS
from cpt_utils.rows import TARGETS
from cpt_utils.runtime import files, profiles
from cpt_utils.runtime.files import read_jsonl

RUN = files.ROOT / "runs" / "embedded"
EXAMPLE = "Write field notes on the pigeons in a railway station."


METRICS = (
    ("accuracy (guessing: 0.33)", "accuracy"),
    ("Kendall's τ (ceiling {kendall_tau:.2f})", "kendall_tau"),
    ("Spearman's ρ (ceiling {spearman_rho:.2f})", "spearman_rho"),
    ("degenerate texts", "degenerate_rate"),
)
MODELS = ("base", "cpt", "cpt_paraphrased")


def results() -> str:
    """The steerability table: mean and spread of `make seeds` where it was run, else the last run's intervals."""
    if (RESULTS / "seeds.json").exists():
        told = result("seeds")
        mean, spread = told["mean"], told["standard_deviation"]

        def cell(model, name):
            return f"{mean[f'{model}_{name}']:.2f} ± {spread[f'{model}_{name}']:.2f}"

        both, how = mean["both_directions"], f"Mean ± standard deviation over {len(told['by_seed'])} training seeds"
    else:
        told = json.loads((RUN / "report.json").read_text("utf-8"))
        both, how = (
            told["preference"]["cpt"]["both_directions"],
            (f"One training (seed {told['seed']}); in brackets 95% intervals from a bootstrap over the prompts"),
        )

        def cell(model: str, name: str) -> str:
            measured = told["steerability"][model]
            interval = measured["ci95"].get(name)
            return f"{measured[name]:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")

    lines = ["| on 6 held-out prompts | base | tuned | tuned, paraphrased system prompts |", "|---|---|---|---|"]
    perfect = ceiling([row for row in read_jsonl(RUN / "generations.jsonl") if row["model"] == "cpt"])
    lines += [
        f"| {label.format(**perfect)} | " + " | ".join(cell(m, name) for m in MODELS) + " |" for label, name in METRICS
    ]
    versions = ", ".join(f"{name} {told['versions'][name]}" for name in ("torch", "transformers", "trl"))
    lines.append(
        f"\n{how}. Preferences right in both directions: {both:.3f}. Hardware: {told['hardware']}; {versions}."
    )
    return "\n".join(lines)


def example() -> str:
    rows = read_jsonl(RUN / "generations.jsonl")

    def text(model: str, rubric: str) -> str:
        found = next(
            r
            for r in rows
            if (r["model"], r["rubric"], r["target"], r["prompt"], r["sample"])
            == (model, rubric, TARGETS["high"], EXAMPLE, 0)
        )["response"]
        words = found.split(" ")
        cut = " ".join(words[:55]) + (" …" if len(words) > 55 else "")
        return html.escape(cut).replace("\n", "<br>").replace("|", "&#124;")

    lines = [f"> {EXAMPLE}", "", "| system prompt | before | after |", "|---|---|---|"]
    for rubric in ("chaos_cinema", "rococo", "esoteric"):
        lines.append(f"| {LABELS[rubric]}, high | {text('base', rubric)} | {text('cpt', rubric)} |")
    return "\n".join(lines)


def minutes() -> str:
    """What happens in each notebook, and how long it took in each recorded run (data/timings.json)."""
    runs = recorded()["runs"]
    names = {
        "01": "rubric_design",
        "02": "synthetic_generation",
        "03": "pair_construction",
        "04": "dpo_training",
        "05": "inference_comparison",
        "06": "capstone",
    }
    told = {
        "01": "a style as a rubric; system prompts; a judge that works offline, and how it is fooled",
        "02": "a teacher writes to a target score; checks; resumable generation; stronger teachers",
        "03": "mirrored pairs; splits; why the base model ignores its system prompt",
        "04": "the DPO loss by hand; why mirrored rows share a step; training, watched",
        "05": "base and tuned side by side; steerability, side effects, paraphrases, limits",
        "06": "a rubric of your own through all of it: a judge by hand, best-of-N, training, an honest test",
    }
    columns = [f"{run['instruction_set']}, {run['product'] / 1e9:.0f} GFLOPS in {run['number_type']}" for run in runs]
    lines = [f"| notebook | what happens | {' | '.join(columns)} |", "|---|---|" + "---|" * len(runs)]
    for number, name in names.items():
        spent = [run["seconds"].get(number) for run in runs]
        link = f"[{number} · {name.replace('_', ' ')}](notebooks/{number}_{name}.ipynb)"
        lines.append(f"| {link} | {told[number]} | {' | '.join(map(duration, spent))} |")
    return "\n".join(lines)


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "by itself"  # 06: python -m cpt_utils run --only 06
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def speed() -> str:
    """Both sides of `make bench`, from its result file."""
    told = result("bench")

    def sides(pair, digits=0):
        return [f"{pair[name]:,.{digits}f}" for name in ("stock", "ours")]

    memory = told["peak_memory_gib"]
    lines = ["| the same rows and settings, in one run | stock | this series | |", "|---|---|---|---|"]
    rows = [
        (
            "training, tokens a second (stock: TRL's `DPOTrainer`)",
            sides(told["tokens_per_second"]),
            told["train_ratio"],
        ),
        ("training, peak memory in GiB", sides(memory, 1), memory["stock"] / memory["ours"]),
        ("reference log-probabilities", ["", ""], told["reference_ratio"]),
    ]
    for dtype, measured in told["generation"].items():
        note = f", {measured['same_greedy_rows']:.0%} of texts the same"
        for way in measured["ratio"]:
            seconds = measured["seconds"][way]
            rows.append(
                (
                    f"{way}, 32 texts of 64 tokens, {dtype}{note if way == 'greedy' else ''}, seconds "
                    "(stock: `model.generate`)",
                    [f"{taken:.1f}" for taken in seconds.values()],
                    measured["ratio"][way],
                )
            )
    lines += [f"| {name} | {' | '.join(cells)} | {ratio:.1f}× |" for name, cells, ratio in rows]
    return "\n".join(
        lines
        + [
            f"\nLosses differ by at most {told['max_loss_difference']:.1%} at any step, where both sides round to "
            f"bf16, and by {told['max_loss_difference_float32']:.0e} of their size in float32. A training step runs at "
            f"{told['matmul_share']:.0%} of the rate of one large matrix product alone; four times the rows take "
            f"{told['growth']['rows']['4'] / told['growth']['rows']['1']:.1f} times as long, four times the length "
            f"{told['growth']['length']['4'] / told['growth']['length']['1']:.1f}. {busy(told)}{told['hardware']}."
        ]
    )


def busy(told: dict) -> str:
    """A sentence on one busy neighbour; nothing where an older `make bench` did not measure it."""
    if "busy_neighbour" not in told:
        return ""
    found = told["busy_neighbour"]
    return (
        f"Beside one busy program on two cores, 20 tokens take {found['generation']['ratio']:.1f} times as long, and "
        f"a training step {found['training']['ratio']:.1f}. "
    )


def ways() -> str:
    """What else one would do, with the numbers of `make ablation`."""
    methods = result("ablation")["methods"]

    def rho(name: str, key: str = "spearman_rho") -> str:
        return f"{methods[name][key][0]:.2f}"

    def second(name: str) -> str:
        return rho(name, "second_spearman_rho")

    def tried(key: str) -> list[float]:
        """Means over two seeds, with the next-token term and without it."""
        means = []
        for terms in ("SFT 0.3", "DPO only"):
            names = [f"one and a half epochs, 2e-3, {terms}{seed}" for seed in ("", ", seed 43")]
            means.append(statistics.mean(trials[name][key] for name in names))
        return means

    best = "base, best of 16"
    trials = result("recipe")["trials"]
    return (
        "**Against other ways to the same end** (three seeds each; `make ablation` measures it, notebook 05 draws it). "
        f"The best of sixteen tries of the untuned model has ρ {rho(best)} by the judge that also chose them, where "
        f"the full recipe has {rho(FULL)}; by a second judge the two have {second(best)} and {second(FULL)}. "
        "After the same 144 rows, DPO with rows shuffled, as in the original release, has "
        f"ρ {rho('DPO, rows shuffled')}, and no other learning rate that we tried helps it; mirrored batches have "
        f"{rho('DPO, mirrored batches')}, with the next-token term {rho('DPO mirrored + SFT')}. Over a whole "
        "training, judged on four training prompts kept aside (two seeds, `make recipe`), the full recipe has "
        "ρ {:.2f} with that term and {:.2f} without, ".format(*tried("spearman_rho"))
        + "accuracy {:.2f} and {:.2f}, and ".format(*tried("accuracy"))
        + "perplexity {:.0f} and {:.0f}.".format(*tried("perplexity_under_base"))
    )


def models() -> str:
    from cpt_utils.runtime.catalogue import known_models, training_memory

    t4 = profiles.load_profile("t4")
    lines = [
        "| key | base | release's tuned model | parameters | training, estimate | licence |",
        "|---|---|---|---|---|---|",
    ]
    for key, entry in known_models().items():
        need = training_memory(entry["shape"], t4)["total"]
        size = entry["parameters"]
        shown = f"{size / 1e9:.1f} B" if size >= 1e9 else f"{size / 1e6:.0f} M"
        lines.append(
            f"| `{key}` | {entry['hub']} | {entry.get('tuned', '–')} | {shown} | {need:.0f} GiB | {entry['licence']} |"
        )
    return "\n".join(lines)


def ship_adapter() -> None:
    target = files.ROOT / "cpt_utils" / "data" / "adapter"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(RUN / "adapter", target)
    report = json.loads((RUN / "report.json").read_text("utf-8"))
    write_card(target, profiles.load_profile("embedded").replace(seed=report["seed"]), report)


def filled(text: str, make) -> str:
    """The README's text with the part that bears the function's name made anew."""
    name = make.__name__
    part = f"<!-- {name} -->\n{make()}\n<!-- /{name} -->"
    text, count = re.subn(rf"(?s)<!-- {name} -->.*?<!-- /{name} -->", lambda _: part, text)
    assert count == 1, name
    return text


def main() -> None:
    path = files.ROOT / "README.md"
    text = path.read_text("utf-8")
    for make in (results, ways, speed, gpu, example, minutes, models):
        text = filled(text, make)
    ship_adapter()
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
