"""The recorded teacher's rules: complete, on topic, no near-duplicates, length not a give-away."""

import collections
import random
import re
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import spearmanr

from cpt_utils.degenerate import degeneracy
from cpt_utils.llm_judging import judge_messages
from cpt_utils.prompts import load_corpus, load_prompts, load_responses, system_prompt
from cpt_utils.rows import TARGETS
from cpt_utils.rubrics import load_rubric, shipped_rubrics
from cpt_utils.runtime.files import load_data
from cpt_utils.verdicts import parse_judgement

TOPICS = yaml.safe_load((Path(__file__).parent / "topics.yaml").read_text())


@pytest.fixture(scope="module")
def responses():
    return load_responses()


def words(text):
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def test_every_prompt_rubric_and_target_once(responses):
    keys = [(r["prompt"], r["rubric"], r["target"]) for r in responses]
    wanted = {(p["prompt"], r, t) for p in load_prompts() for r in shipped_rubrics() for t in TARGETS.values()}
    assert len(keys) == len(set(keys)) and set(keys) == wanted
    assert len(load_prompts()) >= 30 and len(load_prompts(heldout=True)) == 18
    kinds = collections.Counter(p["kind"] for p in load_prompts())
    assert abs(kinds["film"] - kinds["open"]) <= 2
    assert all(list(r) == ["prompt", "rubric", "target", "response", "model"] for r in responses)


def test_lengths(responses):
    counts = [len(r["response"].split()) for r in responses]
    assert 45 <= min(counts) and max(counts) <= 95 and np.std(counts) > 6
    targets = [r["target"] for r in responses]
    assert abs(spearmanr(counts, targets)[0]) <= 0.1
    for name in shipped_rubrics():
        mine = [i for i, r in enumerate(responses) if r["rubric"] == name]
        assert abs(spearmanr([counts[i] for i in mine], [targets[i] for i in mine])[0]) <= 0.2


def test_no_near_duplicates(responses):
    tokens = [words(r["response"]) for r in responses]
    titles = {tuple(words(t)) for t in ("portrait of a lady on fire", "the grand budapest hotel")}
    seen = {}
    for i, text in enumerate(tokens):
        for start in range(len(text) - 7):
            run = tuple(text[start : start + 8])
            assert seen.setdefault(run, i) == i or run in titles, (run, seen[run], i)
    sets = [set(text) for text in tokens]
    for i, j in combinations(range(len(tokens)), 2):
        jaccard = len(sets[i] & sets[j]) / len(sets[i] | sets[j])
        assert jaccard <= 0.5
        if jaccard > 0.2:
            assert SequenceMatcher(None, tokens[i], tokens[j], autojunk=False).ratio() <= 0.5


def test_every_response_is_on_topic(responses):
    by_prompt = {p["prompt"]: p["id"] for p in load_prompts()}
    for row in responses:
        topic = TOPICS[by_prompt[row["prompt"]]]
        assert re.search(topic, row["response"].lower()), (row["prompt"], row["response"])


def test_topic_shows_in_the_words(responses):
    """With each response left out, its words point to its own prompt among all, nine times in ten."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    matrix = (
        TfidfVectorizer(sublinear_tf=True, stop_words="english")
        .fit_transform(r["response"] for r in responses)
        .toarray()
    )
    prompts = [p["prompt"] for p in load_prompts()]
    own = np.array([prompts.index(r["prompt"]) for r in responses])
    sums = np.array([matrix[own == i].sum(0) for i in range(len(prompts))])
    right = 0
    for i, vector in enumerate(matrix):
        centroids = sums.copy()
        centroids[own[i]] -= vector
        scores = centroids @ vector / np.linalg.norm(centroids, axis=1)
        right += scores.argmax() == own[i]
    assert right / len(matrix) >= 0.9


def test_no_recorded_response_is_degenerate(responses):
    assert not [r["response"] for r in responses if degeneracy(r["response"])]


def test_system_prompts():
    texts = [
        system_prompt(rubric, q, paraphrase)
        for rubric in shipped_rubrics()
        for q in TARGETS
        for paraphrase in (False, True)
    ]
    assert len(set(texts)) == 24 and max(len(t.split()) for t in texts) <= 40
    with pytest.raises(ValueError, match="targets low, mid, high"):
        system_prompt("rococo", "huge")


def test_the_corpus_is_whole_and_split_by_hand_and_by_prompt():
    rows = load_corpus()
    hands = [row for row in rows if row["kind"] == "hand"]
    by_prompt = collections.Counter(row["prompt"] for row in hands)
    assert len(by_prompt) == 40 and set(by_prompt.values()) == {12}
    assert all(45 <= len(row["response"].split()) <= 95 for row in hands)
    kinds = collections.Counter(row["kind"].split(",")[0] for row in rows)
    assert kinds["long"] >= 120 and kinds["foreign"] >= 160
    assert len([row for row in rows if "release" in row["kind"]]) >= 60
    held = {part: {row[part] for row in rows if row["heldout"]} for part in ("hand", "prompt")}
    fits = {part: {row[part] for row in rows if not row["heldout"]} for part in ("hand", "prompt")}
    assert not held["hand"] & fits["hand"] and not held["prompt"] & fits["prompt"]
    assert not {prompt["prompt"] for prompt in load_prompts()} & {row["prompt"] for row in rows}


def test_no_two_texts_of_the_corpus_share_a_sentence():
    seen = {}
    for place, row in enumerate([*load_corpus(), *load_responses()]):
        text = words(row["response"])
        for start in range(len(text) - 11):
            assert seen.setdefault(tuple(text[start : start + 12]), place) == place, row["response"]


@pytest.fixture(scope="module")
def answered():
    """The capable judge's answers, each with the recorded row that it is about."""
    recorded = {(row["prompt"], row["rubric"], row["response"]): row for row in load_responses(heldout=True)}
    answers = load_data("judge_answers.jsonl")
    return [(one, recorded.get((one["prompt"], one["rubric"], one["response"]))) for one in answers]


def test_the_judged_texts_are_drawn_by_the_stated_rule(answered):
    def all_there(rows):
        return {row["rubric"] for row in rows} == set(shipped_rubrics()) and len({row["target"] for row in rows}) == 3

    draws = (random.Random(seed).sample(load_responses(heldout=True), 10) for seed in range(1000))
    assert [row for _, row in answered] == next(filter(all_there, draws))


def test_the_judge_was_asked_what_the_series_asks(answered):
    for one, _ in answered:
        assert one["messages"] == judge_messages(load_rubric(one["rubric"]), one["prompt"], one["response"]), (
            f"judge_messages asks something else about {one['prompt']!r} than judge_answers.jsonl has an answer to: "
            "have the ten texts judged again, without their targets in view, and mend data/README.md and notebook 02."
        )


def test_the_judge_kept_to_the_rubric_and_to_what_notebook_02_says(answered):
    scores = collections.defaultdict(list)
    for one, row in answered:
        rubric = load_rubric(one["rubric"])
        read = parse_judgement(one["answer"], rubric)
        assert set(read.by_criterion) == {criterion.name for criterion in rubric.criteria}
        assert set(read.by_criterion.values()) <= {0, 25, 50, 75, 100}
        weights = [criterion.weight for criterion in rubric.criteria]
        assert read.score == pytest.approx(np.average(list(read.by_criterion.values()), weights=weights))
        assert one["model"] == "claude"
        scores[row["target"]].append(read.score)
    low, mid, high = (scores[target] for target in TARGETS.values())
    assert max(low) < min(mid) and max(mid) < min(high)  # "three groups that do not overlap"
