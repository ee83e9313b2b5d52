"""What texts are told by in each measurement: overall with its parts, topic, word-order gain, and rho by three judges.

"score" is the series' judge, of which overall is made too, "meaning" one of sentence embeddings alone, and "letters"
one of runs of letters: nothing was trained or chosen by it, while vectors and the recipe were chosen by the first.
"""

import numpy as np

from benchmarks.answers import by_prompt
from benchmarks.measured import kept_texts
from benchmarks.second_judge import ngram_judge
from benchmarks.trainings import FOLDER
from cpt_utils.evaluation import macro_metrics, metrics_by_rubric, scored
from cpt_utils.judging import embedded_judge, judge_rows
from cpt_utils.overall import sense_metrics, with_sense
from cpt_utils.rows import Response

SCORES = ("score", "meaning", "letters")


def other_judges() -> dict:
    """The judges beside the series' own, by the names of their scores."""
    return {"meaning": embedded_judge("meaning"), "letters": ngram_judge()}


def judged(rows: list[Response], base) -> list[Response]:
    """The rows {prompt, rubric, target, response} with all three scores, and with_sense of the first under `base`."""
    found = with_sense(judge_rows(embedded_judge(), rows), base, FOLDER)
    for name, judge in other_judges().items():
        scores = [row["score"] for row in judge_rows(judge, rows)]
        found = [row | {name: score} for row, score in zip(found, scores, strict=True)]
    return found


def texts_of(name: str, unit: str) -> list[Response]:
    """The kept texts of a unit; a gain that could not be measured, which a file keeps as none, is nan again."""
    rows = kept_texts(name, unit)
    return [row | {"order_gain": float("nan") if row["order_gain"] is None else row["order_gain"]} for row in rows]


def columns(rows: list[Response]) -> dict:
    """Of judged rows: overall [mean, standard error over prompts], means of its parts, shares, and rho by each judge.

    Texts without an overall (overall.with_sense) are "unread"; where all are, overall is none.
    """
    overall, prompts = [row["overall"] for row in rows], [row["prompt"] for row in rows]
    unread = overall.count(None)
    return sense_metrics(rows) | {
        "overall": by_prompt(overall, prompts) if unread < len(rows) else None,
        "degenerate": float(np.mean([row["degenerate"] for row in rows])),
        "unread": unread,
        "rho": {score: rho(rows, score) for score in SCORES},
    }


def rho(rows: list[Response], score: str) -> float | None:
    """Spearman's rho of targets and a judge's scores, the mean of the rubrics'; None where that judge read nothing.

    Of two targets alone it is 0.87 at most, as texts that share a target are tied.
    """
    read = scored([row | {"score": row[score]} for row in rows])
    return macro_metrics(metrics_by_rubric(read))["spearman_rho"] if read else None
