"""The README's tables of the notebooks (from data/timings.json) and of the models (from data/models.yaml)."""

from cpt_utils.commands.workload import recorded
from cpt_utils.runtime import profiles
from cpt_utils.runtime.catalogue import known_models, training_memory

NOTEBOOKS = {  # number: (name, what happens)
    "01": ("rubric_design", "a style as a rubric; system prompts; a judge that works offline, and how it is fooled"),
    "02": (
        "synthetic_generation",
        "a teacher writes to a target score; checks; resumable generation; stronger teachers",
    ),
    "03": (
        "pair_construction",
        "pairs mirrored over the system prompt and over the question; splits; which of the two the base model reads",
    ),
    "04": ("dpo_training", "the DPO loss by hand; why mirrored rows share a step; training, watched"),
    "05": ("inference_comparison", "base and tuned side by side; steerability, side effects, paraphrases, limits"),
    "06": (
        "capstone",
        "a rubric of your own through all of it: a judge by hand, best-of-N, training, an honest test",
    ),
    "07": ("reward", "online: the rubric as a reward (GRPO), advantages by hand, reward hacking and what stops it"),
}


def minutes() -> str:
    """What happens in each notebook, and how long it took in each recorded run."""
    runs = recorded()["runs"]
    columns = [f"{run['instruction_set']}, {run['product'] / 1e9:.0f} GFLOPS in {run['number_type']}" for run in runs]
    lines = [f"| notebook | what happens | {' | '.join(columns)} |", "|---|---|" + "---|" * len(runs)]
    for number, (name, what) in NOTEBOOKS.items():
        spent = [duration(run["seconds"].get(number)) for run in runs]
        link = f"[{number} · {name.replace('_', ' ')}](notebooks/{number}_{name}.ipynb)"
        lines.append(f"| {link} | {what} | {' | '.join(spent)} |")
    return "\n".join(lines)


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "by itself"  # 06 and 07: python -m cpt_utils run --only 06
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def models() -> str:
    """The students that the series knows, and the memory that the profile t4 is estimated to need for each."""
    t4 = profiles.load_profile("t4")
    lines = [
        "| key | base | release's tuned model | parameters | training, estimate | licence |",
        "|---|---|---|---|---|---|",
    ]
    for key, entry in known_models().items():
        need = training_memory(entry["shape"], t4)["total"]
        cells = [f"`{key}`", entry["hub"], entry.get("tuned", "–"), count(entry["parameters"]), f"{need:.0f} GiB"]
        lines.append(f"| {' | '.join(cells)} | {entry['licence']} |")
    return "\n".join(lines)


def count(parameters: int) -> str:
    if parameters < 1e9:
        return f"{parameters / 1e6:.0f} M"
    return f"{parameters / 1e9:.1f} B"
