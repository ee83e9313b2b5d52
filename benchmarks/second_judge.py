"""The judge on trial, and a second judge with other eyes: runs of letters instead of style measures.

With CPT_ENDPOINT and CPT_MODEL set, a chat model stands trial as the third.
"""

import functools
import os
import random
from itertools import chain

import numpy as np
from wordfreq import zipf_frequency

from cpt_utils.degenerate import degeneracy
from cpt_utils.evaluation import quality_of
from cpt_utils.judging import Judgement, embedded_judge, judge_rows
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.measures import words_of
from cpt_utils.prompts import load_responses
from cpt_utils.rows import TARGETS, Response, nearest_target


class NgramJudge:
    """Ridge regression on TF-IDF weights of character 2- to 4-grams within words, per rubric.

    It knows the recorded texts among those of the style judge, and none of its features. It also sees words, and so
    topics.
    """

    def __init__(self, rows: list[Response]):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import GroupKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline

        self.models = {}
        for rubric in sorted({row["rubric"] for row in rows}):
            mine = [row for row in rows if row["rubric"] == rubric]
            texts, prompts = [row["response"] for row in mine], [row["prompt"] for row in mine]
            targets = np.array([row["target"] for row in mine], float)
            model = make_pipeline(
                TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, lowercase=False, min_df=2),
                Ridge(alpha=0.3),
            )
            # So many features shrink the scores of new texts; other prompts' scores say by how much.
            unseen = cross_val_predict(model, texts, targets, groups=prompts, cv=GroupKFold(5))
            slope = np.cov(unseen, targets)[0, 1] / unseen.var(ddof=1)
            self.models[rubric] = model.fit(texts, targets), unseen.mean(), slope, targets.mean()

    def score(self, rubric: str, prompt: str, response: str) -> Judgement:
        model, middle, slope, mean = self.models[rubric]
        score = mean + slope * (model.predict([response])[0] - middle)
        reason = degeneracy(response)
        return Judgement(float(np.clip(score, 0, 100)), bool(reason), reason=reason)


@functools.cache
def ngram_judge() -> NgramJudge:
    """Fitted on the recorded responses to the training prompts."""
    return NgramJudge(load_responses(heldout=False))


def confusion(judged: list[Response]) -> dict[str, list[list[int]]]:
    """Per rubric, how many texts of each target (rows: 10, 50, 95) are nearest to each target (columns)."""
    targets, tables = list(TARGETS.values()), {}
    for row in judged:
        if row["score"] is None:
            continue
        table = tables.setdefault(row["rubric"], [[0] * 3 for _ in targets])
        table[targets.index(row["target"])][targets.index(nearest_target(row["score"]))] += 1
    return tables


def tricks(rubric: str, high: list[Response], low: list[Response]) -> dict[str, list[str]]:
    """Texts that no reader would give a high score, made from held-out texts of the target 95 (and 10)."""
    chance, label = random.Random(0), rubric.replace("_", " ")
    texts = [row["response"] for row in high]
    words = [text.split() for text in texts]
    rare = [word for word in rarest_first(words) if len(word) > 4]
    claim = (
        f"This answer is written in the purest {label} style, and nobody has ever gone further in {label} than it does."
    )
    shifted = texts[1:] + texts[:1]
    return {
        "the text itself": texts,
        "one sentence, six times": [" ".join(text[:12] * 6) for text in words],
        "its words, shuffled": [" ".join(chance.sample(text, len(text))) for text in words],
        "rare words and commas": [", ".join(chance.sample(rare, min(60, len(rare)))) + "." for _ in words],
        "a plain text that claims the style": [f"{claim} {row['response']}" for row in low],
        "the style, on another subject": shifted,
        "its first 20 words": [" ".join(text[:20]) for text in words],
        "two such texts in a row": [f"{first} {second}" for first, second in zip(texts, shifted)],
    }


def rarest_first(texts: list[list[str]]) -> list[str]:
    """All words without their punctuation, each once; equally rare ones by their letters."""
    words = {word.strip(".,;:!?()'\"").lower() for word in chain.from_iterable(texts)}
    return [word for _, word in sorted((zipf_frequency(word, "en"), word) for word in words)]


def judges() -> dict:
    """Name -> judge: the series' own, the second, and a chat model if there is an endpoint."""
    called = {"style": embedded_judge(), "letters": ngram_judge()}
    if url := os.environ.get("CPT_ENDPOINT"):
        from cpt_utils.teachers import endpoint_teacher

        called["llm"] = LLMJudge(endpoint_teacher(os.environ["CPT_MODEL"], url, temperature=0))
    return called


def trial(generations: list[Response]) -> dict:
    """Every judge on held-out graded texts, on tricks and on length, and its agreement with the first."""
    called, held = judges(), load_responses(heldout=True)
    graded = {name: judge_rows(judge, held) for name, judge in called.items()}
    scores = {name: scores_of(judge, generations) for name, judge in called.items()}
    return {
        "heldout": {name: quality_of(rows) for name, rows in graded.items()},
        "confusion": {name: confusion(rows) for name, rows in graded.items()},
        "tricks": tricked(called, held),
        **agreement(generations, scores),
        "length": length_alone(generations, scores["style"]),
    }


def scores_of(judge, rows: list[Response]) -> list[float | None]:
    return [row["score"] for row in judge_rows(judge, rows)]


def tricked(called: dict, held: list[Response]) -> dict[str, dict[str, dict]]:
    """Mean score and share of flagged texts, by trick, judge and rubric; without what a judge gave no answer to."""
    measured: dict[str, dict[str, dict]] = {}
    for rubric in sorted({row["rubric"] for row in held}):
        high = [row for row in held if (row["rubric"], row["target"]) == (rubric, TARGETS["high"])]
        low = [row for row in held if (row["rubric"], row["target"]) == (rubric, TARGETS["low"])]
        for trick, texts in tricks(rubric, high, low).items():
            rows = [{**row, "response": text} for row, text in zip(high, texts, strict=True)]
            for name, judge in called.items():
                by_rubric = measured.setdefault(trick, {}).setdefault(name, {})
                judged = [row for row in judge_rows(judge, rows) if row["score"] is not None]
                if judged:
                    by_rubric[rubric] = {
                        "score": float(np.mean([row["score"] for row in judged])),
                        "flagged": float(np.mean([row["degenerate"] for row in judged])),
                    }
    return measured


def agreement(generations: list[Response], scores: dict[str, list]) -> dict[str, dict]:
    """Spearman's rho of every other judge with the first, by judge and model.

    "agreement" is by rubric; "agreement_within" the mean over texts of one rubric and target.
    """
    style, *others = scores
    by_rubric, within = {name: {} for name in others}, {name: {} for name in others}
    for model in ("base", "cpt"):
        for name in others:
            both = list(zip(scores[style], scores[name]))
            rubrics = places(generations, model, "rubric")
            by_rubric[name][model] = {rubric: rho(both, rubrics[rubric,]) for (rubric,) in sorted(rubrics)}
            cells = places(generations, model, "rubric", "target")
            within[name][model] = float(np.nanmean([rho(both, cell) for cell in cells.values()]))
    return {"agreement": by_rubric, "agreement_within": within}


def length_alone(generations: list[Response], scores: list) -> dict[str, float]:
    """What is left of length within one rubric and target must not move the score: mean rho by model."""
    both = [(len(words_of(row["response"])), score) for row, score in zip(generations, scores)]
    left = {}
    for model in ("base", "cpt"):
        cells = places(generations, model, "rubric", "target")
        left[model] = float(np.nanmean([rho(both, cell) for cell in cells.values()]))
    return left


def places(rows: list[Response], model: str, *columns: str) -> dict[tuple, list[int]]:
    """Where the rows of a model stand, by their values in these columns."""
    groups: dict[tuple, list[int]] = {}
    for place, row in enumerate(rows):
        if row["model"] == model:
            groups.setdefault(tuple(row[column] for column in columns), []).append(place)
    return groups


def rho(pairs: list[tuple], chosen: list[int]) -> float:
    """Spearman's rho of the pairs in these places; nan for fewer than three with both values."""
    from scipy.stats import spearmanr

    judged = [pairs[place] for place in chosen if None not in pairs[place]]
    if len(judged) < 3:
        return float("nan")
    return float(spearmanr(*zip(*judged))[0])
