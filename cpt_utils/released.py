"""Evaluation as in the paper: a chat model as the judge where there is one, and the release's models on trial."""

import functools
import gc
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cpt_utils.evaluation import judge_quality, macro_metrics, steerability
from cpt_utils.hub_data import PREFERENCES, RESPONSES, load_preferences, release_responses
from cpt_utils.judging import FOREIGN, embedded_judge, judge_rows
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.prompts import load_corpus, messages, system_prompt
from cpt_utils.reading import VERDICTS
from cpt_utils.rows import TARGETS, Response
from cpt_utils.rubrics import Rubric, load_rubric, shipped_rubrics
from cpt_utils.runtime import files, folders, heap
from cpt_utils.runtime.errors import DataError, ModelError, RubricError
from cpt_utils.runtime.profiles import Profile, load_profile
from cpt_utils.styles import JudgeOfEach, asked_prompts, is_said, offline_judge, own_rubrics, saved_judge
from cpt_utils.tables import read_table
from cpt_utils.teachers import endpoint_teacher, named_endpoint

METRICS = {"accuracy": "accuracy", "kendall_tau": "Kendall's tau", "spearman_rho": "Spearman's rho"}
OFFLINE = "the offline judge"
SAVED = "the judge that was saved in the studio"


@dataclass(frozen=True)
class Orders:
    """System prompts by (rubric, target), the rubrics behind them, and whose they are."""

    systems: dict[tuple[str, int], str]
    rubrics: dict[str, Rubric]
    told: str


def usual_judges(profile: Profile) -> dict:
    """Judges by name, the first of which counts: a chat model where CPT_ENDPOINT has one, then the offline judge.

    The chat model (CPT_MODEL) is asked at temperature 0, and its verdicts are kept in the run's folder. The embedded
    student is judged offline, but for criteria of which the studio says that a chat model reads them. A rubric of one's
    own is judged as was saved in the studio, or else by the chat model alone.
    """
    named = None if profile.student == "embedded" else named_endpoint("judges")
    if not named:
        return {OFFLINE: offline_judge(profile)}
    judge, name = LLMJudge(endpoint_teacher(*named, temperature=0), files.run_dir(profile) / VERDICTS), named[0]
    if not profile.rubrics:
        return {f"{name} as judge": judge, OFFLINE: offline_judge(profile)}
    said = {own: saved_judge(rubric) for own, rubric in own_rubrics(profile).items() if is_said(rubric)}
    if not said:
        return {f"{name} as judge": judge}
    told = SAVED if set(said) == set(profile.rubrics) else f"{SAVED}, or {name}"
    return {told: JudgeOfEach({own: said.get(own, judge) for own in profile.rubrics})}


@functools.cache
def offline_validity() -> str:
    """How well the offline judge tells targets apart in texts that it was not fitted on, in one sentence.

    The texts are the corpus's long ones, as the release's models write them; some follow the release's criteria.
    """
    rows = [row for row in load_corpus(heldout=True) if row["kind"].startswith("long") and row["rubric"] != FOREIGN]
    found = macro_metrics(judge_quality(embedded_judge(), rows))
    after = sum("release" in row["kind"] for row in rows)
    return (
        f"{OFFLINE}: rho {found['spearman_rho']:.2f}, accuracy {found['accuracy']:.2f} on {len(rows)} held-out texts "
        f"in the ways of large models, {after} of them after the release's criteria; it was fitted on the series' "
        "rubrics, which bear the names of the release's and have other criteria, and reads English only"
    )


def series_orders() -> Orders:
    """The system prompts and rubrics of the series."""
    names = shipped_rubrics()
    systems = {(name, target): system_prompt(name, target) for name in names for target in TARGETS.values()}
    return Orders(systems, {name: load_rubric(name) for name in names}, "the series' system prompts and rubrics")


def release_orders(responses: "str | Path" = RESPONSES, preferences: "str | Path" = PREFERENCES) -> Orders:
    """The system prompts under which the release's models were trained, and its rubrics.

    Its preferences have no targets, and its responses no system prompts: a chosen text stands in both. Where rubric
    and target have several wordings, the most frequent one counts.
    """
    table = read_table(responses)
    graded = release_responses(table, responses)
    order_of = {row["response"]: (row["rubric"], row["target"]) for row in graded if row["rubric"] in shipped_rubrics()}
    wordings: dict[tuple[str, int], Counter] = {}
    for row in load_preferences(preferences)[0]:
        order, first = order_of.get(row["chosen"][0]["content"]), row["prompt"][0]
        if order and first["role"] == "system":
            wordings.setdefault(order, Counter())[first["content"]] += 1
    if not wordings:
        raise DataError(
            f"No system prompt of {Path(preferences).name} belongs to a graded text of {Path(responses).name}: give "
            "both data sets of one release, or take series_orders()."
        )
    systems = {order: wordings[order].most_common(1)[0][0] for order in sorted(wordings)}
    texts = {row["rubric"]: str(raw["rubric"]) for row, raw in zip(graded, table, strict=True)}
    try:
        rubrics = {name: Rubric.from_text(texts[name], name) for name, _ in systems}
        told = "the release's system prompts and rubrics"
    except RubricError:  # names alone, or a layout of another time
        rubrics = {name: load_rubric(name) for name, _ in systems}
        told = "the release's system prompts, judged by the series' rubrics of the same names"
    return Orders(systems, rubrics, told)


def compare_released(
    key: str, profile: "str | Profile" = "paper", judges: dict | None = None, orders: Orders | None = None
) -> dict[str, dict[str, dict]]:
    """The release's tuned model of a registry key against its base: steerability by judge, of "base" and "tuned".

    One model is in memory at a time. Both answer the held-out prompts of the series, which no training saw, under
    `orders` (release_orders unless given), with the profile's sampling and lengths. Texts are kept in the run's
    folder; a second call takes them from there. Prints the paper's figures beside those of each of `judges`
    (usual_judges unless given).
    """
    from cpt_utils.models import loading

    if key not in (known := released_models()):
        raise ModelError(f"The release has no tuned model of {key!r}: use one of {', '.join(known)}.")
    profile = load_profile(profile).replace(student=key)
    judges, orders = judges or usual_judges(profile), orders or release_orders()
    prompts = asked_prompts(profile, heldout=True)
    tasks = [
        Response(prompt=prompt, rubric=rubric, target=target, system=system, sample=sample)
        for prompt in prompts
        for (rubric, target), system in orders.systems.items()
        for sample in range(profile.samples_per_prompt)
    ]
    options = {"dtype": profile.generation_dtype}
    rows = {
        "base": _answered(profile, "base", tasks, lambda: loading.load_chat_model(profile, **options)),
        "tuned": _answered(profile, "tuned", tasks, lambda: loading.load_released(key, profile, **options)),
    }
    print(f"{len(tasks)} texts a model of up to {profile.max_new_tokens} tokens: {orders.told}")
    found: dict[str, dict[str, dict]] = {}
    for which, answers in rows.items():
        found[which] = {}
        for name, judge in judges.items():
            judged = _judged(judge, answers, orders.rubrics if isinstance(judge, LLMJudge) else {})
            found[which][name] = steerability(judged, seed=profile.seed)
    print(beside_the_paper(key, {name: (found["base"][name], found["tuned"][name]) for name in judges}), end="")
    print(files.load_data("paper.yaml")["apart"])
    if OFFLINE in judges:
        print(offline_validity())
    return found


def released_models() -> list[str]:
    """Keys of the models of which the release has a tuned version."""
    from cpt_utils.runtime.catalogue import known_models

    return [key for key, entry in known_models().items() if "tuned" in entry]


def beside_the_paper(key: str, measured: dict[str, tuple[dict, dict]]) -> str:
    """Lines "base -> tuned" of the paper and of each judge's (base, tuned) steerability; "" for models it has not."""
    paper = files.load_data("paper.yaml")
    if key not in paper["models"]:
        return ""
    lines = [f"{key:36}" + "".join(f"{heading:>18}" for heading in METRICS.values())]
    told = {f"the paper ({paper['judge']})": [paper["models"][key][metric] for metric in METRICS]}
    told |= {f"here, {name}": [[one[metric] for one in pair] for metric in METRICS] for name, pair in measured.items()}
    for name, cells in told.items():
        lines.append(f"{name[:36]:36}" + "".join(f"{f'{base:.2f} -> {tuned:.2f}':>18}" for base, tuned in cells))
    return "\n".join(lines) + "\n"


def _answered(profile: Profile, which: str, tasks: list[Response], load) -> list[Response]:
    """The tasks with a model's responses: those kept in the run's folder, or new ones, for which it is loaded."""
    from cpt_utils.models.conversation import chat

    options = dict(profile.sampling, max_new_tokens=profile.max_new_tokens, seed=profile.seed)
    asked = files.json_hash([profile.student, which, profile.four_bit, tasks, options], 16)
    path = files.run_dir(profile) / f"released-{profile.student}.jsonl"
    kept = files.read_jsonl(path)
    if len(rows := [row for row in kept if row.get("asked") == asked]) == len(tasks):
        return rows
    chat_model = load()
    turns = [messages(task["prompt"], task["system"]) for task in tasks]
    texts = chat(chat_model, turns, progress=f"{which} model", **options)
    del chat_model
    _release_memory()
    rows = [{**task, "response": text, "model": which, "asked": asked} for task, text in zip(tasks, texts, strict=True)]
    written = [row for row in kept if row.get("model") != which] + rows
    folders.write_lines(path, written)
    return rows


def _release_memory() -> None:
    """The next model needs the room of this one."""
    import torch

    gc.collect()
    heap.release_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _judged(judge, rows: list[Response], rubrics: dict[str, Rubric]) -> list[Response]:
    """Rows with their scores, by `rubrics` where there is one of the name."""
    judged = judge_rows(judge, [{**row, "rubric": rubrics.get(row["rubric"], row["rubric"])} for row in rows])
    return [{**new, "rubric": row["rubric"]} for new, row in zip(judged, rows, strict=True)]
