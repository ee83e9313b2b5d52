"""A look without any judge: how far, and how straight, a tuned model moved towards the recorded texts."""

import numpy as np

from cpt_utils.measures import style_matrix
from cpt_utils.rows import Response
from cpt_utils.runtime.errors import JudgeError


def style_shift(base: list[Response], tuned: list[Response], recorded: list[Response]) -> dict[str, dict[str, float]]:
    """How each rubric and target ("rococo 95") moved, in standardised style measures.

    With the means z0 of the base model's texts, z* of the recorded ones and z of the tuned model's:
    way = projection of (z - z0) on (z* - z0), as a share of |z* - z0|: 0 not moved, 1 as far as the recorded texts.
    miscalibration = |projection of (z* - z) on (z* - z0)| / |z* - z0|: what is missing or too much.
    orthogonality = |rejection of (z - z0) from (z* - z0)| / |z - z0|: 0 straight there, 1 only elsewhere.
    After Chang et al., "A Course Correction in Steerability Evaluation" (arXiv 2505.23816, section 3).
    The spread that standardises is that of the recorded texts.
    """
    if not (base and tuned and recorded):
        raise JudgeError("A shift needs texts of all three: the base model, the tuned one and the recorded teacher.")
    spread = style_matrix([row["response"] for row in recorded]).std(0)
    spread[spread < 1e-9] = np.inf  # a measure that never varies in the recorded texts says nothing
    starts, ends, goals = (_centres(rows, spread) for rows in (base, tuned, recorded))
    return {
        f"{rubric} {target}": moved(starts[rubric, target], ends[rubric, target], goals[rubric, target])
        for rubric, target in sorted(set(starts) & set(ends) & set(goals))
    }


def _centres(rows: list[Response], spread: np.ndarray) -> dict[tuple, np.ndarray]:
    """The mean standardised measures of the rows of each (rubric, target)."""
    cells: dict[tuple, list[str]] = {}
    for row in rows:
        cells.setdefault((row["rubric"], row["target"]), []).append(row["response"])
    return {cell: (style_matrix(texts) / spread).mean(0) for cell, texts in cells.items()}


def moved(start: np.ndarray, end: np.ndarray, goal: np.ndarray) -> dict[str, float]:
    """Way, miscalibration and orthogonality of a move from start to end, where goal was meant: (measures,) each."""
    way, step = goal - start, end - start
    length, went = float(np.linalg.norm(way)), float(np.linalg.norm(step))
    if length < 1e-9:  # means of the same texts in another order differ by rounding
        return {"way": 1.0, "miscalibration": 0.0, "orthogonality": float(went >= 1e-9)}
    along = float(step @ way) / length
    aside = np.linalg.norm(step - along * way / length)
    return {
        "way": along / length,
        "miscalibration": abs(length - along) / length,
        "orthogonality": float(aside / went) if went >= 1e-9 else 0.0,
    }
