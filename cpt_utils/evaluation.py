"""Does the model follow its system prompt? Steerability, preferences and side effects."""

import math
from collections import Counter

import numpy as np

from cpt_utils.judging import judge_rows
from cpt_utils.measures import repetition, style_measures, words_of
from cpt_utils.models.logps import perplexity, response_logps
from cpt_utils.overall import sense_metrics
from cpt_utils.prompts import messages, system_prompt
from cpt_utils.rows import TARGETS, PreferenceRow, Response, Task, nearest_target, target_name
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import JudgeError, PairError
from cpt_utils.sense import copied


def evaluation_tasks(prompts: list[str], rubrics: list[str], system_prompts=system_prompt) -> list[Task]:
    """One task {prompt, rubric, target, system} per prompt, rubric and target."""
    return [
        Task(prompt=prompt, rubric=rubric, target=target, system=system_prompts(rubric, target))
        for prompt in prompts
        for rubric in rubrics
        for target in TARGETS.values()
    ]


def answer_tasks(chat_model, tasks: list[Task], judge, samples: int = 1, seed: int = 0, **options) -> list[Response]:
    """Generate `samples` answers to every task and judge them: rows with response, score, degenerate."""
    from cpt_utils.models.conversation import chat

    tasks = [{**task, "sample": sample} for task in tasks for sample in range(samples)]  # one prompt, one prefill
    texts = chat(chat_model, [messages(task["prompt"], task["system"]) for task in tasks], seed=seed, **options)
    return judge_rows(judge, [{**task, "response": text} for task, text in zip(tasks, texts)])


def rank_metrics(rows: list[Response]) -> dict[str, float]:
    """Accuracy, Kendall's tau (b) and Spearman's rho of rows {target, score, degenerate}.

    Rows that have been through overall.with_sense get its means (sense_metrics) as well.
    """
    from scipy.stats import kendalltau, spearmanr

    targets = [row["target"] for row in rows]
    scores = [row["score"] for row in rows]
    # A degenerate text follows nothing, whatever its score happens to be.
    right = [not r["degenerate"] and nearest_target(r["score"]) == r["target"] for r in rows]
    tau = rho = 0.0
    if len(set(scores)) > 1 and len(set(targets)) > 1:  # else there is no ranking, and no correlation
        tau, rho = float(kendalltau(targets, scores)[0]), float(spearmanr(targets, scores)[0])
    ranks = {"accuracy": float(np.mean(right)), "kendall_tau": tau, "spearman_rho": rho}
    return sense_metrics(rows) | ranks if rows and "overall" in rows[0] else ranks


def steerability(rows: list[Response], resamples: int = 1000, seed: int = 0) -> dict:
    """How well judged scores follow targets (arXiv 2506.11702, section 4).

    `rows` hold prompt, rubric, target, score and degenerate. Accuracy: the score is nearest to the
    row's own target, and the text is not degenerate. Tau (b) and rho: per rubric, then averaged; the
    figures over all rows together are under "pooled". "ci95": bootstrap over prompts. Rows that a judge
    could not score (None, nan) are left out and counted under "unjudged".
    """
    if not rows:
        raise JudgeError("There are no texts to measure: write some first (answer_tasks).")
    judged = scored(rows)
    if not judged:
        raise JudgeError(f"None of the {len(rows)} texts has a score: see what the judge says of one (judge.score).")
    by_rubric = metrics_by_rubric(judged)
    return {
        **macro_metrics(by_rubric),
        "ci95": confidence_intervals(judged, resamples, seed),
        "by_rubric": by_rubric,
        "pooled": rank_metrics(judged),
        "degenerate_rate": float(np.mean([row["degenerate"] for row in judged])),
        "texts": len(judged),
        "unjudged": len(rows) - len(judged),
    }


def scored(rows: list[Response]) -> list[Response]:
    """Rows with a number for a score: a judge may give none, and nan would rank anywhere."""
    return [row for row in rows if row["score"] is not None and math.isfinite(row["score"])]


def metrics_by_rubric(rows: list[Response]) -> dict[str, dict[str, float]]:
    """Each rubric's rank_metrics."""
    groups: dict[str, list[Response]] = {}
    for row in rows:
        groups.setdefault(row["rubric"], []).append(row)
    return {rubric: rank_metrics(groups[rubric]) for rubric in sorted(groups)}


def highest_rho(texts: int) -> float:
    """Rho of scores in perfect order, with so many texts for each of three targets: targets are tied, scores are not.

    1 for one text; falls towards the square root of 8/9 (0.943).
    """
    return math.sqrt(8 * texts**2 / (9 * texts**2 - 1))


def macro_metrics(by_rubric: dict[str, dict[str, float]]) -> dict[str, float]:
    """The mean of the rubrics' metrics, in which each rubric counts the same."""
    mean = {}
    for name in next(iter(by_rubric.values())):
        mean[name] = float(np.mean([metrics[name] for metrics in by_rubric.values()]))
    return mean


def confidence_intervals(rows: list[Response], resamples: int, seed: int) -> dict[str, list[float]]:
    """[low, high] of 95% for each of macro_metrics, from a bootstrap over prompts; {} where there is one prompt."""
    by_prompt: dict[str, list[Response]] = {}
    for row in rows:
        by_prompt.setdefault(row["prompt"], []).append(row)
    groups, rng = list(by_prompt.values()), np.random.default_rng(seed)
    if len(groups) < 2 or not resamples:
        return {}
    draws = [macro_metrics(metrics_by_rubric(resample(groups, rng))) for _ in range(resamples)]
    intervals = {}
    for name in draws[0]:
        low, high = np.percentile([draw[name] for draw in draws], (2.5, 97.5))
        intervals[name] = [float(low), float(high)]
    return intervals


def resample(groups: list[list[Response]], rng: np.random.Generator) -> list[Response]:
    """The rows of as many groups, drawn with replacement."""
    drawn, copies = [], Counter()
    for i in rng.integers(len(groups), size=len(groups)):
        # A text drawn twice must not tie with itself: ties of scores change tau and rho.
        drawn += [{**row, "score": row["score"] + 1e-9 * copies[i]} for row in groups[i]]
        copies[i] += 1
    return drawn


def criterion_means(judge, rubric: Rubric, rows: list[Response]) -> dict[str, dict[str, float]]:
    """Mean score (0 to 100) that the judge gives each criterion of the rubric, by target name: {criterion: {target:}}.

    Left out are targets that no row has, and what has no score: all of an empty text, for one, though its total is 0.
    """
    found: dict[str, dict[str, list[float]]] = {criterion.name: {} for criterion in rubric.criteria}
    for row in sorted(rows, key=lambda row: row["target"]):
        for name, score in judge.score(rubric, row["prompt"], row["response"]).by_criterion.items():
            if name in found and math.isfinite(score):
                found[name].setdefault(target_name(row["target"]), []).append(score)
    return {name: {target: float(np.mean(some)) for target, some in by.items()} for name, by in found.items()}


def side_effects(texts: list[str], base_model, training_texts: list[str] | None = None) -> dict[str, float]:
    """What steering costs: repeated 4-grams, distinct bigrams, perplexity under the base, length, unknown words.

    With `training_texts`, also the percentage of the texts' five-word runs that stand in one of them.
    """
    words = [words_of(text) for text in texts]
    bigrams = [tuple(w[i : i + 2]) for w in words for i in range(len(w) - 1)]
    effects = {
        "repetition_rate": float(np.mean([repetition(text) for text in texts])),
        "distinct_2": len(set(bigrams)) / max(len(bigrams), 1),
        "perplexity_under_base": perplexity(base_model, texts),
        "mean_words": float(np.mean([len(w) for w in words])),
        "unknown_percent": float(np.mean([style_measures(text)["unknown_words"] for text in texts])),
    }
    return effects if training_texts is None else effects | {"copied_percent": 100 * copied(texts, training_texts)}


def preference_margins(chat_model, rows: list[PreferenceRow], folder=None) -> np.ndarray:
    """log p(chosen) - log p(rejected) of each row under the model: (rows,), in nats.

    What is computed is kept in `folder` (logps.response_logps), so that no text is asked for twice.
    """
    logps = response_logps(chat_model, rows, folder)
    return logps[:, 0] - logps[:, 1]


def preference_accuracy(margins: np.ndarray) -> dict[str, float]:
    """Share of rows whose chosen response wins, and of mirrored pairs in which both rows are right.

    `margins`: one per row, where rows 2k and 2k+1 are a mirrored pair (pairs.build_mirrored_pairs). An odd number of
    them is no pairs: a PairError.
    """
    right = np.asarray(margins) > 0
    if len(right) % 2:
        raise PairError(f"{len(right)} rows are no mirrored pairs: give both rows of every pair.")
    return {"accuracy": float(right.mean()), "both_directions": float((right[0::2] & right[1::2]).mean())}


def best_of_n(scores: np.ndarray, targets: np.ndarray, n: int) -> float:
    """Expected distance to the target of the best of n answers: scores (tasks, samples), targets (tasks,).

    Averages over all subsets of n samples, in closed form from the sorted distances.
    """
    distances = np.sort(np.abs(scores - targets[:, None]), axis=1)
    total = distances.shape[1]
    weights = [math.comb(total - 1 - i, n - 1) / math.comb(total, n) for i in range(total)]
    return float((distances * weights).sum(1).mean())


def judge_quality(judge, rows: list[Response]) -> dict[str, dict[str, float]]:
    """Spearman and three-way accuracy of a judge on rows {prompt, rubric, target, response}, per rubric.

    Rows that the judge could not score are left out, and so is a rubric without any others.
    """
    return quality_of(judge_rows(judge, rows))


def quality_of(judged: list[Response]) -> dict[str, dict[str, float]]:
    """The same from rows that are judged already (judge_rows)."""
    return metrics_by_rubric(scored(judged))
