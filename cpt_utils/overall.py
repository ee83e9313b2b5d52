"""One score that can still fall: style, subject and language of a text, and none of them for the others' loss."""

from pathlib import Path

import numpy as np

from cpt_utils.degenerate import degeneracy, readable
from cpt_utils.rows import Response
from cpt_utils.sense import order_gains, topic_ranks

PARTS = ("follows", "subject", "language")
REACH = 50
"""Points between judged score and target at which a text follows nothing."""
SUBJECT = {1: 2.0, 2: 1.0, 3: 1.0}
"""What the own prompt's place among 26 is worth; any later one is worth nothing."""


def with_sense(rows: list[Response], base_model, folder: Path | None = None) -> list[Response]:
    """Judged rows with topic_rank and order_gain (sense) under the untuned model, their three parts and `overall`.

    After AxBench (Wu et al. 2025, arXiv 2501.17148, section 4), which has a model rate concept, relation to the
    instruction and fluency 0 to 2 each and takes the harmonic mean. Here, each 0 to 2:
    *follows* = 2 (1 - min(1, |score - target| / 50)); *subject* = 2 if the own prompt is the nearest of 26, 1 if it is
    among the three nearest; *language* = 2 min(1, word-order gain / that of the recorded texts (median)), 0 if
    degenerate.
    Rows without a score have no `follows`, those that are not English no `language`, and neither an `overall` (None).
    Whether a text is degenerate is asked again, now that its word-order gain is known.
    """
    ranks = topic_ranks(rows)
    gains = order_gains(base_model, [row["response"] for row in rows], folder)
    usual = recorded_gain(base_model, folder)
    measured = []
    for row, rank, gain in zip(rows, ranks.tolist(), gains.tolist()):
        known = None if np.isnan(gain) else gain
        degenerate = bool(degeneracy(row["response"], known))
        follows = None if row["score"] is None else 2 * (1 - min(1, abs(row["score"] - row["target"]) / REACH))
        language = _language(row["response"], degenerate, known, usual)
        parts = dict(zip(PARTS, (follows, SUBJECT.get(rank, 0.0), language), strict=True))
        sense = {"topic_rank": rank, "order_gain": gain, "degenerate": degenerate}
        measured.append({**row, **sense, **parts, "overall": harmonic_mean(parts)})
    return measured


def _language(text: str, degenerate: bool, gain: float | None, usual: float) -> float | None:
    """The part of that name; None for a sound text in another language, of which the word-order gain says nothing."""
    if degenerate:
        return 0.0
    if not readable(text):
        return None
    return 0.0 if gain is None else 2 * min(1.0, max(gain, 0.0) / usual)


def harmonic_mean(parts: dict[str, float | None]) -> float | None:
    """0 where one part is 0, None where one is None."""
    values = list(parts.values())
    if None in values:
        return None
    return len(values) / sum(1 / value for value in values) if min(values) > 0 else 0.0


def recorded_gain(base_model, folder: Path | None = None) -> float:
    """The median word-order gain of the recorded responses to held-out prompts: shipped for the embedded model."""
    from cpt_utils.prompts import load_responses

    texts = [row["response"] for row in load_responses(heldout=True)]
    return float(np.median(order_gains(base_model, texts, folder)))


def sense_metrics(rows: list[Response]) -> dict[str, float]:
    """Means of rows that come from with_sense: overall and its parts (0 to 2), topic (share), word-order gain."""
    judged = [row for row in rows if row["overall"] is not None]
    means = {name: mean_of([row[name] for row in judged]) for name in ("overall", *PARTS)}
    gains = [row["order_gain"] for row in rows if not np.isnan(row["order_gain"])]
    return means | {"topic": mean_of([row["topic_rank"] == 1 for row in rows]), "order_gain": mean_of(gains)}


def mean_of(values: list) -> float:
    """Their mean; nan where there are none."""
    return float(np.mean(values)) if values else float("nan")
