"""The README's comparisons: the libraries' own speed (`make bench`), other ways to the same end (`make ablation`)."""

import html
import statistics

from benchmarks.comparisons import FULL
from benchmarks.measured import result

SHUFFLED, MIRRORED = "DPO, rows shuffled", "DPO, mirrored batches"


def speed() -> str:
    """Both sides of `make bench`, from its result file."""
    bench = result("bench")
    rows, length = (bench["growth"][name]["4"] / bench["growth"][name]["1"] for name in ("rows", "length"))
    closing = (
        f"Losses differ by at most {bench['max_loss_difference']:.1%} at any step, where both sides round to "
        f"bf16, and by {bench['max_loss_difference_float32']:.0e} of their size in float32. A training step runs at "
        f"{bench['matmul_share']:.0%} of the rate of one large matrix product alone; four times the rows take "
        f"{rows:.1f} times as long, four times the length {length:.1f}. {busy(bench)}{bench['hardware']}."
    )
    return "\n".join([*table(bench), "", closing, *newest(bench)])


def table(measured: dict) -> list[str]:
    """The lines of one comparison: the libraries in some versions against the series."""
    lines = ["| the same rows and settings, in one run | stock | this series | |", "|---|---|---|---|"]
    for label, stock, ours, ratio in training_rows(measured) + generation_rows(measured["generation"]):
        lines.append(f"| {label} | {stock} | {ours} | {ratio:.1f}× |")
    return lines


def newest(bench: dict) -> list[str]:
    """The lines for the newest libraries; none where `make bench` has not measured them."""
    if "newest" not in bench:
        return []
    measured = bench["newest"]
    if "failure" in measured:
        return ["", f"The newest libraries did not get through the same work: {html.escape(measured['failure'])}"]
    versions = measured["versions"]
    heading = (
        f"**Against the newest libraries** (TRL {versions['trl']}, transformers {versions['transformers']}, torch "
        f"{versions['torch']}, in an environment of their own, in the same run; "
        f"{apart(measured['max_loss_difference_float32'])} in float32):"
    )
    return ["", heading, "", *table(measured)]


def apart(difference: float) -> str:
    """How far two sides' losses differ, relative to their size."""
    if difference == 0:
        return "losses are the same to the last digit"
    return f"losses differ by at most {difference:.0e} of their size"


def training_rows(bench: dict) -> list[tuple[str, str, str, float]]:
    """What is compared, the libraries' figure, the series' own, and their ratio."""
    tokens, memory = bench["tokens_per_second"], bench["peak_memory_gib"]
    return [
        (
            "training, tokens a second (stock: TRL's `DPOTrainer`)",
            f"{tokens['stock']:,.0f}",
            f"{tokens['ours']:,.0f}",
            bench["train_ratio"],
        ),
        (
            "training, peak memory in GiB",
            f"{memory['stock']:,.1f}",
            f"{memory['ours']:,.1f}",
            memory["stock"] / memory["ours"],
        ),
        ("reference log-probabilities", "", "", bench["reference_ratio"]),
    ]


def generation_rows(by_type: dict) -> list[tuple[str, str, str, float]]:
    """The same of generation, by number type."""
    rows = []
    for number_type, measured in by_type.items():
        notes = {"greedy": f", {measured['same_greedy_rows']:.0%} of texts the same"}
        for way, ratio in measured["ratio"].items():
            label = (
                f"{way}, 32 texts of 64 tokens, {number_type}{notes.get(way, '')}, seconds (stock: `model.generate`)"
            )
            seconds = measured["seconds"][way]
            rows.append((label, f"{seconds['plain']:.1f}", f"{seconds['ours']:.1f}", ratio))
    return rows


def busy(bench: dict) -> str:
    """A sentence on one busy neighbour; nothing where an older `make bench` did not measure it."""
    if "busy_neighbour" not in bench:
        return ""
    beside = bench["busy_neighbour"]
    return (
        f"Beside one busy program on two cores, 20 tokens take {beside['generation']['ratio']:.1f} times as long, and "
        f"a training step {beside['training']['ratio']:.1f}. "
    )


def ways() -> str:
    """What else one would do, with the numbers of `make ablation`."""
    found = result("ablation")
    methods = found["methods"]

    def overall(name: str) -> str:
        return f"{methods[name]['overall'][0]:.2f}"

    return (
        "By the overall score from 0 to 2, on the prompts of notebook 05, which are fewer than those of the table of "
        f"scores above (`make ablation`, {seeds(found)}; the full recipe's texts are those of `make seeds`):\n\n"
        f"- **The full recipe**, trained on {methods[FULL]['rows'][0]:,.0f} rows (a row is a question under a system "
        "prompt, with a text to prefer and one to reject; what comes twice counts twice), has "
        f"{overall(FULL)}, in one try.\n"
        f"- **Without training** the system prompt alone has {overall('base')}, and a steering vector (a direction "
        f"that is added to the model's states) {overall('base, steering vector')}. The best of sixteen tries, chosen "
        f"by this very score, has {overall('base, best of 16')}.\n"
        f"- **Plain DPO on {methods[SHUFFLED]['rows'][0]:.0f} rows**, shuffled as in the original release, has "
        f"{overall(SHUFFLED)} ({other_rates(found['rates'][SHUFFLED])}, by the held-out pairs that it gets right under "
        f"both system prompts); mirrored batches of the same rows have {overall(MIRRORED)}."
    )


def seeds(found: dict) -> str:
    """How many seeds the ways have; one where there is no spread."""
    alone = [name.removeprefix("base, ") for name, way in found["methods"].items() if way["overall"][1] is None]
    return ", ".join([f"{found['how'].split('; ')[1]} each", *(f"{name} one" for name in alone)])


def in_short() -> str:
    """The finding before the folds: what mirrored batches do to ρ and to the overall score, and where the rest is."""
    rho, overall = steps("spearman_rho"), steps("overall")
    return (
        f"Mirroring the batches made {part(rho)} of the difference in ρ ({rho[0]:.2f} to {rho[1]:.2f} on the same "
        f"rows, {rho[2]:.2f} with the full recipe) and {part(overall)} of it in *overall* ({overall[0]:.2f} to "
        f"{overall[1]:.2f}, and {overall[2]:.2f}). Notebooks [08](notebooks/08_comparisons.ipynb) and "
        "[09](notebooks/09_beyond.ipynb) have the rest; what they found is folded up here, in short."
    )


def part(values: list[float]) -> str:
    """How much of the way from the first to the last value lies before the second, in a word."""
    first, second, last = values
    return "most" if second - first > (last - first) / 2 else "less than half"


def steps(measure: str) -> list[float]:
    """The same rows shuffled, then mirrored, then the full recipe."""
    methods = result("ablation")["methods"]
    return [methods[name][measure][0] for name in (SHUFFLED, MIRRORED, FULL)]


def ways_line() -> str:
    """The line under which the other ways are folded up."""
    methods = result("ablation")["methods"]
    vector, best, full = (
        f"{methods[name]['overall'][0]:.2f}" for name in ("base, steering vector", "base, best of 16", FULL)
    )
    return (
        f"<details><summary>Other ways to the same end: without training, a steering vector has {vector} overall and "
        f"the best of sixteen tries {best}; the full recipe has {full} in one try</summary>"
    )


def difference() -> str:
    """What mirrored batches change on the same rows, and what the rest of the recipe adds to that."""
    methods = result("ablation")["methods"]
    rho, overall = ([f"{value:.2f}" for value in steps(measure)] for measure in ("spearman_rho", "overall"))
    return (
        "**Why mirrored batches help.** Both rows of a mirrored pair share an optimizer step, so that what they teach "
        "regardless of the system prompt cancels (notebook 04 measures it). On the same "
        f"{methods[MIRRORED]['rows'][0]:.0f} rows this alone brings ρ from {rho[0]} to {rho[1]}: scores now rise with "
        f"their targets. *Overall* rises less by it, from {overall[0]} to {overall[1]}. The rest of the recipe brings "
        f"*overall* to {overall[2]} and ρ to {rho[2]}: more rows, pairs over the question, a higher learning rate, and "
        "a light next-token term (a second loss that asks for the chosen response word by word). The comparison does "
        "not take these apart. (That term helps a little over a whole training; in the short comparison above it does "
        "not help.) Each distinct sequence is computed once, which saves time ([How fast](#how-fast))."
    )


def other_rates(rates: dict[str, list[float]]) -> str:
    """Whether another learning rate than the comparison's has more held-out pairs right in both directions."""
    from benchmarks.trainings import RATE

    means = {float(rate): statistics.mean(shares) for rate, shares in rates.items()}
    better = [rate for rate in sorted(means) if means[rate] > means[RATE]]
    if not better:
        return "no other learning rate that we tried helps it"
    return f"of the other learning rates that we tried {', '.join(f'{rate:g}' for rate in better)} would help it"
