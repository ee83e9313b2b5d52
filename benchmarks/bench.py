"""Stock TRL and transformers against this series, same rows and settings, in one run: `make bench`.

The libraries stand twice: at the series' pins, and (--newest) in the newest versions, in an environment of their own.
Prints ratios, writes benchmarks/results/bench.json (and a figure of how cost grows), and ends with one line of JSON.
Absolute times mean little on a shared machine, so all sides take turns, and medians are compared.
"""

import argparse
import json
from pathlib import Path

from benchmarks import neighbour
from benchmarks.measured import keep
from benchmarks.speed import growth
from benchmarks.speed.plan import write_plan
from benchmarks.speed.ratios import compared, play
from benchmarks.speed.turns import sides
from cpt_utils import runtime
from cpt_utils.commands.rates import product_rate
from cpt_utils.models.loading import load_student
from cpt_utils.runtime import machine

NUMBER_TYPES = ["float32", "bfloat16"]


def compare(folder: Path, repeats: int, newest: str | None = None) -> dict:
    """What `folder`/plan.json says, done by all sides in turn: the libraries at the pins, and under "newest" theirs."""
    with sides(folder, newest) as started:
        answers = play(started, repeats, NUMBER_TYPES)
    report = compared(answers["stock"], answers["ours"], NUMBER_TYPES)
    rate = answers["ours"]["training"][-1]["step_flops"] / report["seconds_per_step"]["ours"]
    report["matmul_share"] = rate / product_rate(machine.number_type())
    if newest:
        report["newest"] = against_newest(answers)
    return report


def against_newest(answers: dict) -> dict:
    """The same figures for the newest libraries, with their versions; or {"failure": what they said}."""
    if "failure" in answers["newest"]:
        return answers["newest"]
    versions = answers["newest"]["versions"][0]
    return {"versions": versions} | compared(answers["newest"], answers["ours"], NUMBER_TYPES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--newest", metavar="PYTHON", help="of an environment with the newest libraries: `make newest`")
    options = parser.parse_args()
    changes = {"max_steps": options.steps, "logging_steps": 1}
    profile = runtime.start("embedded", **changes)
    report = {"busy_neighbour": neighbour.in_own_process()}
    student = load_student(profile)
    write_plan(profile, student, changes, growth.FOLDER)
    report |= compare(growth.FOLDER, options.repeats, options.newest)
    report["slider_ms"] = growth.slider_ms()
    keep("bench", report)  # what follows takes longest
    report["growth"] = growth.growth(profile, student)
    growth.draw(report["growth"])
    keep("bench", report)
    show("the libraries at the pins", report)
    if options.newest:
        show("the newest libraries", report["newest"])
    beside = report["busy_neighbour"]
    print(
        f"beside one busy program, on {beside['threads']} threads: 20 tokens "
        f"{beside['generation']['ratio']:.2f}x as long, a training step {beside['training']['ratio']:.2f}x"
    )
    print(machine.hardware())
    print(json.dumps(last_line(report)))


def show(name: str, report: dict) -> None:
    """A few lines of what a comparison came to."""
    if "failure" in report:
        print(f"{name}: {report['failure']}")
        return
    memory = report["peak_memory_gib"]
    print(
        f"{name}: training {report['train_ratio']:.2f}x, "
        f"peak memory {memory['stock']:.1f} GiB against {memory['ours']:.1f} GiB"
    )
    for number_type, measured in report["generation"].items():
        ratios = ", ".join(f"{way} {ratio:.2f}x" for way, ratio in measured["ratio"].items())
        print(f"generation, {number_type}: {ratios} | same greedy rows {measured['same_greedy_rows']:.0%}")


def last_line(report: dict) -> dict:
    """The figures that a program may read off the end of the output."""
    beside = report["busy_neighbour"]
    figures = {name: round(report[name], 4) for name in ("train_ratio", "reference_ratio")}
    figures["busy_neighbour_ratio"] = round(max(beside[kind]["ratio"] for kind in ("generation", "training")), 4)
    figures["hardware"] = machine.hardware()
    figures["generate_ratio"] = greedy_ratio(report)
    figures |= {name: round(report[name], 5) for name in ("matmul_share", "max_loss_difference")}
    figures["max_loss_difference_float32"] = report["max_loss_difference_float32"]
    newest = report.get("newest", {})
    if "train_ratio" in newest:
        figures["newest_train_ratio"] = round(newest["train_ratio"], 4)
        figures["newest_generate_ratio"] = greedy_ratio(newest)
    return figures


def greedy_ratio(report: dict) -> float:
    return round(report["generation"]["float32"]["ratio"]["greedy"], 4)


if __name__ == "__main__":
    main()
