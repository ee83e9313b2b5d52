"""The judge on trial, and a second judge with other eyes: runs of letters instead of style measures.

With CPT_ENDPOINT and CPT_MODEL set, a chat model stands trial as the third.
"""

import functools
import os
import random

import numpy as np
from wordfreq import zipf_frequency

from cpt_utils.evaluation import quality_of
from cpt_utils.judging import Judgement, LLMJudge, degeneracy, embedded_judge, judge_rows
from cpt_utils.prompts import load_responses
from cpt_utils.rows import TARGETS, Response


class NgramJudge:
    """Ridge regression on TF-IDF weights of character 2- to 4-grams within words, per rubric.

    It shares the graded texts with the style judge, and none of its features. It also sees words, and so topics.
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
    from cpt_utils.evaluation import nearest_target

    targets, found = list(TARGETS.values()), {}
    for row in judged:
        if row["score"] is None:
            continue
        table = found.setdefault(row["rubric"], [[0] * 3 for _ in targets])
        table[targets.index(row["target"])][targets.index(nearest_target(row["score"]))] += 1
    return found


def tricks(rubric: str, high: list[Response], low: list[Response]) -> dict[str, list[str]]:
    """Texts that no reader would give a high score, made from held-out texts of the target 95 (and 10)."""
    rng, label = random.Random(0), rubric.replace("_", " ")
    words = [row["response"].split() for row in high]
    rare = {w.strip(".,;:!?()'\"").lower() for text in words for w in text}
    rare = sorted(rare, key=lambda w: (zipf_frequency(w, "en"), w))  # a set's own order changes from run to run
    rare = [w for w in rare if len(w) > 4]
    salad = [rng.sample(text, len(text)) for text in words]
    return {
        "the text itself": [row["response"] for row in high],
        "one sentence, six times": [" ".join([" ".join(text[:12])] * 6) for text in words],
        "its words, shuffled": [" ".join(text) for text in salad],
        "rare words and commas": [", ".join(rng.sample(rare, min(60, len(rare)))) + "." for _ in words],
        "a plain text that claims the style": [
            f"This answer is written in the purest {label} style, and nobody has ever gone further in {label} than it "
            f"does. {row['response']}"
            for row in low
        ],
        "the style, on another subject": [row["response"] for row in high[1:] + high[:1]],
        "its first 20 words": [" ".join(text[:20]) for text in words],
        "two such texts in a row": [f"{a['response']} {b['response']}" for a, b in zip(high, high[1:] + high[:1])],
    }


def judges() -> dict:
    """Name -> judge: the series' own, the second, and a chat model if there is an endpoint."""
    found = {"style": embedded_judge(), "letters": ngram_judge()}
    if url := os.environ.get("CPT_ENDPOINT"):
        from cpt_utils.teachers import endpoint_teacher

        found["llm"] = LLMJudge(endpoint_teacher(os.environ["CPT_MODEL"], url, temperature=0).answer, workers=8)
    return found


def trial(generations: list[Response]) -> dict:
    """Every judge on held-out graded texts, on tricks and on length, and its agreement with the first."""
    from scipy.stats import spearmanr

    from cpt_utils.measures import words_of

    called, held = judges(), load_responses(heldout=True)
    graded = {name: judge_rows(judge, held) for name, judge in called.items()}
    found = {
        "heldout": {name: quality_of(rows) for name, rows in graded.items()},
        "confusion": {name: confusion(rows) for name, rows in graded.items()},
        "tricks": {},
        "agreement": {},
        "agreement_within": {},
        "length": {},
    }
    for rubric in sorted({row["rubric"] for row in held}):
        high = [row for row in held if (row["rubric"], row["target"]) == (rubric, TARGETS["high"])]
        low = [row for row in held if (row["rubric"], row["target"]) == (rubric, TARGETS["low"])]
        for trick, texts in tricks(rubric, high, low).items():
            rows = [{**row, "response": text} for row, text in zip(high, texts, strict=True)]
            for name, judge in called.items():
                judged = [row for row in judge_rows(judge, rows) if row["score"] is not None]
                by_rubric = found["tricks"].setdefault(trick, {}).setdefault(name, {})
                if judged:
                    by_rubric[rubric] = {
                        "score": float(np.mean([row["score"] for row in judged])),
                        "flagged": float(np.mean([row["degenerate"] for row in judged])),
                    }
    scores = {name: [row["score"] for row in judge_rows(judge, generations)] for name, judge in called.items()}

    def rho(pairs: list[tuple]) -> float:
        judged = [pair for pair in pairs if None not in pair]
        return float(spearmanr(*zip(*judged))[0]) if len(judged) > 2 else float("nan")

    for model in ("base", "cpt"):
        mine = [i for i, row in enumerate(generations) if row["model"] == model]
        cells: dict[tuple, list[int]] = {}  # texts of one rubric and target
        for i in mine:
            cells.setdefault((generations[i]["rubric"], generations[i]["target"]), []).append(i)
        for name in list(called)[1:]:

            def both(places, other=scores[name]):
                return rho([(scores["style"][i], other[i]) for i in places])

            found["agreement"].setdefault(name, {})[model] = {
                rubric: both([i for i in mine if generations[i]["rubric"] == rubric])
                for rubric in sorted({generations[i]["rubric"] for i in mine})
            }
            found["agreement_within"].setdefault(name, {})[model] = float(np.nanmean([both(c) for c in cells.values()]))
        # What is left of length within one rubric and target must not move the score.
        found["length"][model] = float(
            np.nanmean(
                [
                    rho([(len(words_of(generations[i]["response"])), scores["style"][i]) for i in cell])
                    for cell in cells.values()
                ]
            )
        )
    return found
