"""The README's tables of the notebooks (data/timings.json), of the models (data/models.yaml), of `make serving`."""

from benchmarks.measured import result
from cpt_utils.commands.workload import recorded
from cpt_utils.runtime import profiles
from cpt_utils.runtime.catalogue import known_models, training_memory
from tools.stamp import repository

NOTEBOOKS = {  # number: (name, what happens)
    "01": ("rubric_design", "a style as a rubric; system prompts; a judge that works offline, and how it is fooled"),
    "02": (
        "synthetic_generation",
        "a teacher writes to a target score; checks; resumable generation; stronger teachers",
    ),
    "03": (
        "pair_construction",
        "pairs mirrored over the system prompt and over the question; splits; which half an untrained model reads",
    ),
    "04": (
        "dpo_training",
        "the loss of DPO (*direct preference optimization*) by hand; why a pair and its mirror image share a step; "
        "training, watched",
    ),
    "05": ("inference_comparison", "base and tuned side by side; steerability, side effects, paraphrases, limits"),
    "06": (
        "capstone",
        "a rubric of your own through all of it: a judge by hand, best-of-N, training, a test on held-out prompts",
    ),
    "07": (
        "reward",
        "online: the rubric as a reward (group relative policy optimization, GRPO), advantages by hand, reward hacking "
        "and what stops it",
    ),
    "08": (
        "comparisons",
        "other ways to the same end; why batches are mirrored; what was never trained; judges on trial",
    ),
    "09": (
        "beyond",
        "does a style hold in other turns, kinds of text and languages; what is lost; orders not trained; two "
        "styles at once",
    ),
}


NEEDS = {  # beside Python and the packages
    "01": "any CPU",
    "02": "any CPU; an API key only for teachers elsewhere",
    "03": "any CPU",
    "04": "any CPU; a GPU for larger models",
    "05": "any CPU; trained by you or as shipped",
    "06": "any CPU",
    "07": "any CPU",
    "08": "any CPU; trains and writes nothing",
    "09": "any CPU; trains nothing",
}


UNTIMED = {"06": "between 05 and 04", "07": "about as long as 04", "08": "seconds", "09": "about a minute"}
"""Those that run by themselves, by estimate: `run --only 06,07,08,09`."""


def minutes() -> str:
    """Each notebook: what happens, what it needs, how long it took in the recorded runs, and a start on Colab."""
    runs = recorded()["runs"]
    lines = ["| notebook | what happens | needs | time | |", "|---|---|---|---|---|"]
    for number, (name, what) in NOTEBOOKS.items():
        spent = [run["seconds"][number] for run in runs if number in run["seconds"]]
        path = f"notebooks/{number}_{name}.ipynb"
        title = name.replace("_", " ").capitalize().replace("Dpo", "DPO")
        link = f"[{number} · {title}]({path})"
        lines.append(f"| {link} | {what} | {NEEDS[number]} | {span(spent) or UNTIMED[number]} | {colab(path)} |")
    timed = [number for number in NOTEBOOKS if number not in UNTIMED]
    machines = " and ".join(f"{run['instruction_set']} ({run['number_type']})" for run in runs)
    slow = result("slow")  # a processor that has no AVX-512, and is not merely held to do without
    lines += [
        "",
        f"Times of {timed[0]} to {timed[-1]} are those of two recorded runs on two CPU cores with {machines}, those of "
        f"{min(UNTIMED)} to {max(UNTIMED)} are estimates; a slower processor, with "
        f"{slow['instruction_set']} alone, took {duration(sum(slow['seconds'].values()))} for 01 to 05, of which "
        f"{duration(slow['seconds']['04'])} were 04. `make check` says yours.",
    ]
    return "\n".join(lines)


def colab(path: str) -> str:
    """A badge that opens a notebook on Colab."""
    badge = "https://colab.research.google.com/assets/colab-badge.svg"
    address = f"https://colab.research.google.com/github/{repository()}/blob/main/{path}"
    return f"[![Open in Colab]({badge})]({address})"


def span(seconds: list[float]) -> str:
    """From the fastest to the slowest run, in few words; nothing where there is none."""
    if not seconds:
        return ""
    fast, slow = duration(min(seconds)), duration(max(seconds))
    unit = fast.split()[1]
    told = f"{fast.removesuffix(f' {unit}') if slow.endswith(unit) else fast} to {slow}"
    return told.replace(" ", "\N{NO-BREAK SPACE}")


def duration(seconds: float) -> str:
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


def serving() -> str:
    """What more requests at a time bring, as multiples of one at a time."""
    measured = {int(workers): told for workers, told in result("serving").items()}
    at_a_time = sorted(measured)

    def gains(figure: str) -> str:
        alone = measured[at_a_time[0]]["found"][figure]
        return " | ".join(f"{measured[workers]['found'][figure] / alone:.1f}" for workers in at_a_time)

    first = measured[at_a_time[0]]
    requests, tokens = (first["found"][name] for name in ("requests", "tokens"))
    lines = [
        f"| requests at a time | {' | '.join(map(str, at_a_time))} |",
        "|---" * (len(at_a_time) + 1) + "|",
        f"| tokens a second, against one at a time | {gains('tokens_per_second')} |",
        f"| the same by the processor's time, which neighbours hardly change | {gains('tokens_per_computed_second')} |",
        "",
        "Measured by `make serving` against `transformers serve` with continuous batching, the embedded model on one "
        f"thread, {requests} requests of {tokens // requests} tokens: {first['hardware'].split(',')[0]}, transformers "
        f"{first['versions']['transformers']}.",
    ]
    return "\n".join(lines)
