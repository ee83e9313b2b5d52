"""The rubric as a reward: from texts to numbers of 0 to 1, and from the rewards of a group to advantages."""

from collections.abc import Callable

import numpy as np

from cpt_utils.judging import judge_rows
from cpt_utils.overall import with_sense
from cpt_utils.rows import Response
from cpt_utils.runtime.errors import JudgeError

Reward = Callable[[list[Response]], list[float]]
"""From rows {prompt, rubric, target, response} to a number of 0 to 1 each."""
SPREAD = 1e-4
"""Added to a group's standard deviation, as TRL does: a group of equal rewards divides by it."""


def nearness(judge) -> Reward:
    """1 where the judged score is the target that was asked for, falling evenly to 0 at 100 points from it.

    A text that the judge cannot read is worth 0. Whether a text is degenerate, or about something else, is not asked.
    """

    def reward(rows: list[Response]) -> list[float]:
        judged = judge_rows(judge, rows)
        return [0.0 if row["score"] is None else 1 - abs(row["score"] - row["target"]) / 100 for row in judged]

    return reward


def harmonic(judge, base_model) -> Reward:
    """The overall score of overall.with_sense, of 0 to 1: style, subject and language, none for the others' loss."""

    def reward(rows: list[Response]) -> list[float]:
        return [(row["overall"] or 0.0) / 2 for row in with_sense(judge_rows(judge, rows), base_model)]

    return reward


def least_of(*rewards: Reward) -> Reward:
    """What all of them grant: the lowest of several rewards, so that fooling one judge is not enough."""
    return lambda rows: np.min([reward(rows) for reward in rewards], axis=0).tolist()


def group_advantages(rewards, group: int) -> np.ndarray:
    """How much better each text is than the others of its group: (rewards - mean) / standard deviation, (texts,).

    `group` neighbours answer one prompt (Shao et al. 2024, arXiv 2402.03300, section 4.1). The standard deviation is
    that of a sample (n - 1), as in TRL.
    """
    rewards = np.asarray(rewards, float)
    if group < 2 or len(rewards) % group:
        raise JudgeError(
            f"{len(rewards)} rewards are no groups of {group}: give as many texts to each prompt, two at least."
        )
    groups = rewards.reshape(-1, group)
    centred = groups - groups.mean(1, keepdims=True)
    return (centred / (groups.std(1, ddof=1, keepdims=True) + SPREAD)).ravel()


def smooth(values, window: int = 5) -> np.ndarray:
    """The mean of each value and those before it, `window` at most: (values,)."""
    values = np.asarray(values, float)
    return np.array([values[max(0, place + 1 - window) : place + 1].mean() for place in range(len(values))])


def parting(reward, other, window: int = 5, least: float = 0.1) -> int | None:
    """The first step from which the reward stays above another judge's, by `least` more than it did at first.

    Both by step, smoothed (smooth). None where they do not part. That moment is where a learner should read texts:
    what rises there pleases the judge that pays, and no other.
    """
    gap = smooth(reward, window) - smooth(other, window)
    if not len(gap):
        return None
    apart = gap - gap[:window].mean() > least
    if not apart[-1]:
        return None
    together = np.flatnonzero(~apart)
    return int(together[-1] + 1) if len(together) else 0
