"""How long the notebooks take on this machine: their work, counted from a profile, and recorded runs.

`python -m cpt_utils.commands.cost` prints the estimate that `make run` begins with. With
`--record runs/embedded/report.json`, on a machine that has just run the embedded profile and does nothing else,
keeps that run in data/timings.json together with the machine's rates (rates.py).

How: the operations of a notebook are counted for two kinds of work, training (with all reading of whole texts)
and writing. A recorded run says what share of one product's rate each kind reaches, and how many seconds of a
notebook its operations do not explain: loading, drawing, judging. Elsewhere the operations are divided by that
machine's rates, and the other seconds are taken as they were. On the recorded machine this gives the recorded run.
"""

import argparse
import json
import math
from pathlib import Path

from cpt_utils import runtime
from cpt_utils.commands import rates
from cpt_utils.commands.workload import KINDS, TIMINGS, pass_flops, recorded, weights, work
from cpt_utils.prompts import load_responses
from cpt_utils.runtime import files, machine, needs, profiles
from cpt_utils.runtime.catalogue import find_model
from cpt_utils.runtime.durations import minutes
from cpt_utils.runtime.errors import SettingsError
from cpt_utils.runtime.profiles import Profile

SERIES = ("01", "02", "03", "04", "05")  # what `make run` runs


def likeliest(product: float, number_type: str) -> dict:
    """The recorded run that this machine is most like: of its number type if there is one, and near in its rate."""
    runs = recorded()["runs"]
    if not runs:
        raise SettingsError(f"{TIMINGS.name} holds no run: record one with python -m cpt_utils.commands.cost --record.")
    same = [run for run in runs if run["number_type"] == number_type] or runs
    return min(same, key=lambda run: abs(math.log(run["product"] / product)))


def speeds_for(profile: Profile, product: float, run: dict, measured: dict[str, float]) -> dict[str, float]:
    """Operations a second of each kind of work, for a profile's student.

    `product` is the rate of one product here, `measured` what the embedded model reached here: its own speeds,
    where it was tried. Where it was not, and for other students, a kind reaches the share of the product's rate
    that it has in the recorded run; but a step of writing takes as long for each layer as it did with the embedded
    model, as a GPU spends that time on starting the products and not on their size.
    """
    speeds = {kind: product * run[kind] / run["product"] for kind in KINDS}
    if profile.student == "embedded":
        return speeds | measured
    if "writing" in measured:
        known = profiles.load_profile("embedded")
        speeds["writing"] = min(speeds["writing"], measured["writing"] * step_size(profile) / step_size(known))
    return speeds


def step_size(profile: Profile) -> float:
    """Operations of one step of writing, for each layer of the student."""
    return weights(profile) * profile.sampling.batch_size / find_model(profile.student)["shape"]["layers"]


def seconds_by_notebook(profile: Profile, speeds: dict[str, float], run: dict) -> dict[str, float]:
    """{notebook: seconds} at these speeds (operations a second by kind), for the notebooks of a recorded run."""
    there, here, seconds = work(profiles.load_profile(run["profile"])), work(profile), {}
    for number, measured in run["seconds"].items():
        explained = sum(there[number][kind] / run[kind] for kind in KINDS)
        counted = min(1.0, measured / explained) if explained else 1.0
        rest = max(0.0, measured - explained)
        seconds[number] = rest + counted * sum(here[number][kind] / speeds[kind] for kind in KINDS)
    return seconds


def estimate(profile: Profile) -> tuple[dict[str, float], str]:
    """Seconds of each notebook from a measurement of two seconds, and what was measured."""
    number_type = machine.number_type()
    product = rates.product_rate(number_type, profile.student, seconds=2.0)
    run = likeliest(product, number_type)
    rate = f"{product / 1e9:.0f} GFLOPS in {number_type}"
    return seconds_by_notebook(profile, speeds_for(profile, product, run, {}), run), rate


def record(report_path: Path) -> dict:
    """Measure this machine, and keep its run in data/timings.json in place of one of the same kind."""
    report = json.loads(report_path.read_text("utf-8"))
    profile = runtime.start(report["profile"])
    write_timings(recorded() | {"characters_per_token": characters_per_token()})
    trained = rates.training(profile, pass_flops)
    run = {
        "hardware": machine.hardware(),
        "instruction_set": machine.instruction_set(),
        "number_type": machine.number_type(),
        "profile": report["profile"],
        "command": "make run, then python -m cpt_utils.commands.cost --record",
        "product": rates.product_rate(machine.number_type(), seconds=2.0),
        "training": trained["flops"],
        "writing": rates.writing(profile)["flops"],
        "memory_gib": trained["memory_gib"],
        "seconds": {name: spent for name, spent in report["seconds"].items() if name in work(profile)},
    }
    timings, same = recorded(), ("instruction_set", "number_type")
    others = [one for one in timings["runs"] if any(one[name] != run[name] for name in same)]
    write_timings(timings | {"runs": [*others, files.rounded(run)]})
    return run


def write_timings(timings: dict) -> None:
    files.write_whole(TIMINGS, json.dumps(timings, indent=1) + "\n")


def characters_per_token() -> float:
    """Of the recorded responses, under the embedded model's tokenizer."""
    from transformers import AutoTokenizer

    from cpt_utils.models.embedded import embedded_source

    tokenizer = AutoTokenizer.from_pretrained(embedded_source())
    texts = [row["response"] for row in load_responses()]
    return round(sum(map(len, texts)) / sum(map(len, tokenizer(texts)["input_ids"])), 3)


def why_not(profile: Profile, free: float) -> str:
    """Why a profile cannot run here, in a few words, or ""."""
    if profile.student == "embedded":
        return ""
    if machine.device() != "cuda":
        return "it needs a CUDA GPU"
    try:
        needs.check_four_bit(profile)
        needs.check_memory(profile, free)
    except SettingsError as error:
        return str(error).rstrip(".")
    return ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cpt_utils.commands.cost", description="How long the notebooks take here"
    )
    parser.add_argument("--only", help="numbers of the notebooks, such as 03,04", default=",".join(SERIES))
    parser.add_argument("--record", type=Path, metavar="REPORT", help="keep this machine's run as a reference")
    options = parser.parse_args(arguments)
    if options.record:
        print(json.dumps(record(options.record), indent=1))
        return 0
    wanted = options.only.split(",")
    # Of another notebook no run is recorded: nothing is said rather than too little.
    if all(set(wanted) <= set(run["seconds"]) for run in recorded()["runs"]):
        seconds, measured = estimate(profiles.load_profile())
        print(f"{minutes(sum(seconds[number] for number in wanted))} here (measured: {measured})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
