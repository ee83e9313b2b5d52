"""Exercises in the notebooks: starters are unsolved, solutions right, and planned mistakes are named."""

import ast
import inspect
import itertools
import operator
import random
import re
import statistics
from collections import Counter

import nbformat
import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch.nn.functional import logsigmoid

from cpt_utils.exercises import nb01, nb02, nb03, nb04, nb04_pairs, nb05, nb06, nb07, nb08, nb09
from cpt_utils.exercises.warm_ups import WARM_UPS
from cpt_utils.runtime.cell_order import bound_names
from cpt_utils.runtime.files import ROOT

MODULES = (nb01, nb02, nb03, nb04, nb04_pairs, nb05, nb06, nb07, nb08, nb09)
CHECKS = {number: {} for number in ("01", "02", "03", "04", "05", "06", "07", "08", "09")}  # by the notebook's number
for module in MODULES:
    own = {name: value for name, value in vars(module).items() if name.startswith("check_")}
    CHECKS[re.search(r"nb(\d\d)", module.__name__)[1]] |= own

CALL = re.compile(r"^_ = (check_\w+)\(", re.MULTILINE)
SOLUTION = re.compile(r"<summary>Solution</summary>\n\n```python\n(.*?)\n```\n\n</details>", re.DOTALL)
OPEN = re.compile(r"<summary>One answer to the open question</summary>\n\n(.+?)\n\n</details>", re.DOTALL)
TITLE = re.compile(r"### .+ · (●○○|●●○|●●●) · \d+ minutes\n")


def found() -> list[tuple[str, str, str, str, str]]:
    """(notebook, check, task, starter, help) of every exercise in the notebooks."""
    exercises = []
    for path in sorted((ROOT / "notebooks").glob("0[1-9]_*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        for before, cell, after in zip(cells, cells[1:], cells[2:]):
            if cell.cell_type == "code" and (match := CALL.search(cell.source)):
                assert TITLE.match(before.source), before.source[:80]
                exercises.append((path.stem, match[1], before.source, cell.source, after.source))
    return exercises


EXERCISES = found()
NAMES = [name for _, name, *_ in EXERCISES]


def check(name, *answers, **first):
    (known,) = (checks[name] for checks in CHECKS.values() if name in checks)
    return known(*answers, **first)


@pytest.mark.parametrize("number", ["01", "02", "03", "04", "05", "06", "07", "08", "09"])
def test_every_notebook_has_exercises(number):
    assert sum(stem.startswith(number) for stem, *_ in EXERCISES) >= 2


def test_every_check_is_used_once_in_its_notebook():
    used = sorted((stem[:2], name) for stem, name, *_ in EXERCISES)
    assert used == sorted((number, name) for number, checks in CHECKS.items() for name in checks)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("0[1-9]_*.ipynb")), ids=lambda path: path.stem)
def test_no_other_cell_needs_what_an_exercise_defines(path):
    """Exercises stand in the middle: they may be left out, or hold a wrong answer."""
    made_by, needed = {}, []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        bound, exercise = bound_names(cell.source), bool(CALL.search(cell.source))
        nodes = ast.walk(ast.parse(cell.source))
        loaded = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        if not exercise:
            needed += [name for name in loaded - bound if made_by.get(name)]
        imported = bound_names("\n".join(re.findall(r"^(?:from|import) .+", cell.source, re.MULTILINE)))
        made_by |= {name: exercise for name in bound - {"_"} if not (exercise and name in imported & set(made_by))}
    assert not needed


@pytest.mark.parametrize(("name", "starter"), [(n, s) for _, n, _, s, _ in EXERCISES], ids=NAMES)
def test_starter_is_not_solved_and_does_not_raise(name, starter, capsys):
    exec(starter, {})
    first, second = capsys.readouterr().out.splitlines()
    assert first == "Warm-up: not answered yet." and second.startswith("Not solved yet: ")
    assert len(starter.splitlines()) <= 30 and max(map(len, starter.splitlines())) <= 100


def tasks():
    """(check, task, starter, help) of every exercise."""
    return [(name, task, starter, text) for _, name, task, starter, text in EXERCISES]


@pytest.mark.parametrize(("name", "task", "starter", "text"), tasks(), ids=NAMES)
def test_an_exercise_has_three_grades_and_a_stub_that_says_what_it_takes(name, task, starter, text):
    places = [task.index(f"**{grade}.**") for grade in ("Warm-up", "Task", "Open question")]
    assert places == sorted(places) and len(OPEN.search(text)[1].split()) >= 15
    for function in ast.walk(ast.parse(starter)):
        if isinstance(function, ast.FunctionDef):
            assert ast.get_docstring(function) and function.returns, f"{name}: docstring and types"
            assert all(argument.annotation for argument in function.args.args), f"{name}: types of the arguments"


@pytest.mark.parametrize(("name", "task", "starter", "text"), tasks(), ids=NAMES)
def test_solution_is_correct(name, task, starter, text, capsys):
    assert text.startswith("<details><summary>Hint</summary>\n\n") and text.count("</details>") == 3
    body = ast.parse(starter).body
    imports = [ast.unparse(node) for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    namespace = {}
    exec("\n".join([*imports, SOLUTION.search(text)[1], ast.unparse(body[-1])]), namespace)
    *_, first, last = capsys.readouterr().out.splitlines()  # a solution may print, too
    assert first == "Warm-up: right." and last.startswith("Correct: ") and namespace["_"] is True


@pytest.mark.parametrize("name", NAMES)
def test_each_likely_answer_to_a_warm_up_has_its_own_words(name, capsys):
    right, slips = WARM_UPS[name]
    for answer, words in [(right, "right."), *slips.items()]:
        assert check(name, ..., warm_up=answer) is False
        assert capsys.readouterr().out.splitlines()[0] == f"Warm-up: {words}"
    check(name, ..., warm_up=-987)
    assert capsys.readouterr().out.startswith("Warm-up: -987 is not it.")


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("check_weights", sum((95, 70, 90, 10, 20)), "the plain sum of the five scores"),
        ("check_weights", 0.675, "in points of 100"),
        ("check_advantages", 0.3, "you subtracted the mean; now divide by the standard deviation"),
    ],
)
def test_a_likely_answer_to_a_warm_up_is_told_what_is_missing(name, answer, words, capsys):
    check(name, ..., warm_up=answer)
    assert words in capsys.readouterr().out


def test_right_functions_of_another_make_pass(capsys):
    assert check("check_near_duplicates", thinned) and check("check_read_target", by_word)
    capsys.readouterr()


def test_the_hint_below_the_studio_names_the_texts_that_win():
    """Notebook 01: with the studio's first prompt, by one weight, and by a criterion that counts commas backwards."""
    from cpt_utils.measures import style_measures
    from cpt_utils.prompts import load_prompts
    from cpt_utils.rubrics import Rubric, load_rubric
    from cpt_utils.ways import Counted, ways_of
    from cpt_utils.widgets import drafts, live
    from cpt_utils.widgets.states import State

    rubric, prompt = load_rubric("rococo"), load_prompts()[0]["prompt"]
    texts = live.texts_for(prompt)
    commas = [style_measures(text)["commas"] for text in texts.values()]
    few = {"New criterion 1": Counted("commas", max(commas), min(commas))}

    def winner(draft, place, ways=()):
        changed = drafts.with_weights(draft, drafts.rebalance(drafts.weights_of(draft), place, 80))
        state = State("", Rubric.checked(changed), ways_of(rubric) | dict(ways))
        scores = state.standing(texts.values()).scores
        return max(texts, key=lambda label: scores[texts[label]])

    assert "Blade Runner" in prompt and drafts.names_of(rubric.model_dump())[3] == "Self-mockery"
    assert winner(rubric.model_dump(), 3) == "Chaos Cinema, high"
    assert winner(drafts.add_criterion(rubric.model_dump()), 5, few) == "Rococo, low"
    (path,) = (ROOT / "notebooks").glob("01_*.ipynb")
    (hint,) = re.findall(r"Hint for both tasks</summary>(.+?)</details>", nbformat.read(path, 4).cells[38].source, re.S)
    assert "*Chaos Cinema, high* wins" in hint and "*Rococo, low* wins" in hint


def test_warm_ups_that_can_be_run_are_right():
    from cpt_utils.judging import embedded_judge
    from cpt_utils.measures import repetition

    phrase = "The silken rain, " * 10
    assert embedded_judge().score("rococo", "", phrase).reason == WARM_UPS["check_fool_the_judge"][0]
    assert repetition(phrase, 3) > 0.5
    scores = (95, 70, 90, 10, 20)
    assert np.dot(scores, (30, 25, 20, 15, 10)) / 100 == WARM_UPS["check_weights"][0]
    assert spearmanr([50, 40, 30], [10, 50, 95])[0] == pytest.approx(WARM_UPS["check_length_shortcuts"][0])
    policy, reference = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-2.0, -2.5]])
    assert 0.1 * (policy - reference).sum() == pytest.approx(WARM_UPS["check_implicit_reward"][0])
    assert margin(-8.0, -9.5, -9.0, -8.8, 0.1) == pytest.approx(WARM_UPS["check_dpo_loss"][0])
    assert hand_gradients(0.0, 0.0, 0.1)[0][0] == WARM_UPS["check_mirrored_gradients"][0]
    choices = [min(pair) for pair in ((1, 3), (1, 5), (3, 5))]
    assert np.mean(choices) == WARM_UPS["check_best_of_n"][0]
    assert len(opposed({"A": 0.8, "B": 0.6, "C": 0.7}, {"A": 0.5, "B": 0.6, "C": 0.4})) == WARM_UPS["check_opposed"][0]
    assert advantages([0.2, 0.5, 0.8])[-1] == pytest.approx(WARM_UPS["check_advantages"][0])


# --------------------------------------------------------------- planned mistakes: (check, answers, message)

NAMES_OF_CRITERIA = (
    "Ornamental diction",
    "Winding syntax",
    "Excess and accumulation",
    "Self-mockery",
    "Courtly address",
)


def weights(*numbers):
    return dict(zip(NAMES_OF_CRITERIA, numbers))


SALAD = (
    "O gilded velvet, porcelain cherub, silken garland; sumptuous filigree, perfumed brocade, resplendent "
    "chandelier; exquisite pearl, alas, gossamer ribbon! Baroque marble, opulent plume, golden lace, swoon."
)


def rho_by_rubric(rows, measure=lambda text: len(text.split())):
    rubrics = {row["rubric"] for row in rows}
    groups = {name: [row for row in rows if row["rubric"] == name] for name in rubrics}
    return {
        name: spearmanr([measure(r["response"]) for r in mine], [r["target"] for r in mine])[0]
        for name, mine in groups.items()
    }


def one_pool(rows):
    pooled = spearmanr([len(r["response"].split()) for r in rows], [r["target"] for r in rows])[0]
    return {row["rubric"] for row in rows} if abs(pooled) >= 0.5 else set()


def only_neighbours(texts, limit):
    words = [set(text.lower().split()) for text in texts]
    return [
        t for i, t in enumerate(texts) if not i or len(words[i] & words[i - 1]) / len(words[i] | words[i - 1]) < limit
    ]


def all_before(texts, limit):
    words = [set(text.lower().split()) for text in texts]
    return [
        t
        for i, t in enumerate(texts)
        if all(len(words[i] & other) / len(words[i] | other) < limit for other in words[:i])
    ]


def case_sensitive(texts, limit):
    kept = []
    for text in texts:
        words = set(text.split())
        if all(len(words & set(k.split())) / len(words | set(k.split())) < limit for k in kept):
            kept.append(text)
    return kept


def in_either(one, other):
    return len(one | other)


def in_the_shorter(one, other):
    return min(len(one), len(other))


def thinned(texts, limit, below=operator.lt, size=in_either):
    kept = []
    for text in texts:
        words = set(text.lower().split())
        others = [set(other.lower().split()) for other in kept]
        if all(below(len(words & other) / size(words, other), limit) for other in others):
            kept.append(text)
    return kept


def by_split(text):
    words = text.lower().split()
    if "50/100" in text:
        return 50
    for word, target in (("high", 95), ("low", 10)):
        if word in words:
            return target
    raise ValueError


def by_substring(text, order=("high", "low")):
    text = text.lower()
    if "50/100" in text:
        return 50
    for word in order:
        if word in text:
            return {"high": 95, "low": 10}[word]
    raise ValueError


def by_word(text, order=("50/100", "high", "low"), otherwise=None):
    for word in order:
        if re.search(rf"\b{word}\b", text.lower()):
            return {"50/100": 50, "high": 95, "low": 10}[word]
    if otherwise:
        return otherwise
    raise ValueError


def in_place(row, system):
    row["prompt"][0]["content"] = system
    row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    row["chosen_target"], row["rejected_target"] = row["rejected_target"], row["chosen_target"]
    return row


def shallow(row, system):
    new = dict(row)
    new["prompt"][0]["content"] = system
    return new


def mirrored(row, system, **other):
    turns = [{"role": "system", "content": system}, row["prompt"][1]]
    return (
        row
        | {
            "prompt": turns,
            "chosen": row["rejected"],
            "rejected": row["chosen"],
            "chosen_target": row["rejected_target"],
            "rejected_target": row["chosen_target"],
        }
        | {name: value(row) for name, value in other.items()}
    )


def split_by(key, rows, share, seed):
    units = sorted({key(row) for row in rows})
    drawn = set(random.Random(seed).sample(units, round(share * len(units))))
    return [r for r in rows if key(r) not in drawn], [r for r in rows if key(r) in drawn]


def question(row):
    return row["prompt"][1]["content"]


def by_row(rows, share, seed):
    mixed = random.Random(seed).sample(rows, len(rows))
    cut = round(share * len(rows))
    return mixed[cut:], mixed[:cut]


def margin(c, r, rc, rr, beta):
    return beta * ((c - rc) - (r - rr))


def b_outside(*row):
    return row[4] * -logsigmoid(margin(*row[:4], 1)).mean()


def hand_gradients(a, b, beta, sign=-1.0, front=None, other=(-1, 1)):
    front = beta if front is None else front
    slopes = [(p, q, sign * front / (1 + np.exp(beta * (p * a + q * b)))) for p, q in ((1, 1), other)]
    return [[s * p, s * q] for p, q, s in slopes]


def opposed(first, second, wanted=lambda product: product < 0, pairs=itertools.combinations):
    gaps = {(a, b): (first[a] - first[b]) * (second[a] - second[b]) for a, b in pairs(first, 2)}
    return [pair for pair, product in gaps.items() if wanted(product)]


def luck_of(differences, reached=lambda mean, own: mean >= own - 1e-9):
    patterns = itertools.product((1, -1), repeat=len(differences))
    return np.mean([reached(np.mean(np.multiply(p, differences)), np.mean(differences)) for p in patterns])


def gap_of(rows, ddof=1, power=0.5):
    gaps = []
    for prompt in dict.fromkeys(row["prompt"] for row in rows):
        high, low = ([r["score"] for r in rows if (r["prompt"], r["side"]) == (prompt, s)] for s in ("high", "low"))
        gaps.append(np.mean(high) - np.mean(low))
    return np.mean(gaps), np.std(gaps, ddof=ddof) / len(gaps) ** power


def unpaired(rows):
    high, low = ([row["score"] for row in rows if row["side"] == side] for side in ("high", "low"))
    return np.mean(high) - np.mean(low), np.sqrt(np.var(high, ddof=1) / len(high) + np.var(low, ddof=1) / len(low))


def two_slopes(asked, judged, constant=True):
    table = np.c_[np.array(asked, float), np.ones(len(asked))[:, None]] if constant else np.array(asked, float)
    return tuple(np.linalg.lstsq(table, np.array(judged, float), rcond=None)[0][:2])


def near(score):
    return min((10, 50, 95), key=lambda target: abs(target - score))


def hits(rows):
    return sum(near(row["score"]) == row["target"] and not row["degenerate"] for row in rows)


def rhos(rows, measure=spearmanr, constant=0.0):
    values = []
    for name in sorted({row["rubric"] for row in rows}):
        mine = [row for row in rows if row["rubric"] == name]
        scores = [row["score"] for row in mine]
        flat = len(set(scores)) == 1
        values.append((constant if flat else measure([r["target"] for r in mine], scores)[0], len(mine)))
    return values


def prompt_bootstrap(rows, draws, rng, percents=(2.5, 97.5), replace=True, unique=False):
    prompts = sorted({row["prompt"] for row in rows})
    groups = {p: [row["distance"] for row in rows if row["prompt"] == p] for p in prompts}
    means = []
    for _ in range(draws):
        drawn = rng.choice(prompts, len(prompts), replace=replace)
        means.append(np.mean([d for p in (set(drawn) if unique else drawn) for d in groups[p]]))
    return np.percentile(means, percents)


def row_bootstrap(rows, draws, rng):
    values = np.array([row["distance"] for row in rows])
    return np.percentile([rng.choice(values, len(values)).mean() for _ in range(draws)], [2.5, 97.5])


LN2 = float(np.log(2))
LOSS = {"start": LN2, "start, beta 0.5": LN2, "ignores s": 1.1269, "follows s": 0.1269}
SHOUT = [lambda t: 100 * sum(len(w) > 1 and w.isupper() for w in t.split()) / len(t.split())]


def spread(rewards, ddof=1):
    return np.std(rewards, ddof=ddof) or 1.0


def advantages(rewards, ddof=1):
    return (rewards - np.mean(rewards)) / spread(rewards, ddof)


def sound(rows):
    return [row for row in rows if not row["degenerate"]]


MISTAKES = [
    ("check_weights", [weights(30, 25, 20, 15, 10)], "Text A is not beaten yet"),
    ("check_weights", [weights(20, 20, 20, 20, 20)], "Text B is not beaten yet"),
    ("check_weights", [weights(30, 20, 5, 25, 25)], "sum to 105"),
    ("check_weights", [weights(0.3, 0.2, 0.05, 0.25, 0.2)], "percentages"),
    ("check_weights", [weights(35, 20, 0, 25, 20)], "every criterion must count"),
    ("check_weights", [weights(10, 10, 5, 50, 25)], "has to stay the heaviest"),
    ("check_weights", [weights(*["30"] * 5)], "not the form"),
    ("check_shouting", [lambda t: sum(len(w) > 1 and w.isupper() for w in t.split())], "bare count"),
    ("check_shouting", [lambda t: SHOUT[0](t or "a") / 100], "multiply by 100"),
    (
        "check_shouting",
        [lambda t: 100 * sum(w.isupper() for w in t.split()) / max(len(t.split()), 1)],
        'single capitals such as "I"',
    ),
    ("check_shouting", SHOUT, "stopped for an empty text with ZeroDivisionError"),
    ("check_shouting", [lambda t: SHOUT[0](t or "a") * len(t.split()) / max(len(t), 1)], "divide by characters"),
    (
        "check_shouting",
        [lambda t: 100 * sum(c.isupper() for c in t) / max(len(t.split()), 1)],
        "capital letters are counted",
    ),
    (
        "check_shouting",
        [lambda t: 100 * sum(w[0].isupper() for w in t.split()) / max(len(t.split()), 1)],
        "begins with a capital",
    ),
    ("check_fool_the_judge", ["A very plain text about umbrellas. " * 4, "repetition"], "you need 70"),
    ("check_fool_the_judge", [SALAD, "none"], "its flag is 'keyword salad'"),
    ("check_fool_the_judge", [SALAD, "repetition"], "the text counts as a keyword salad"),
    ("check_fool_the_judge", ["velvet pearl", "none"], "2 words"),
    ("check_fool_the_judge", [SALAD, "salad"], "choose one of"),
    ("check_read_target", [by_substring], '"high" inside "highlights"'),
    ("check_read_target", [lambda t: by_substring(t, ("low", "high"))], '"low" inside "slow"'),
    ("check_read_target", [by_split], '"high." keeps its full stop'),
    ("check_read_target", [lambda t: by_split(t.replace(".", " "))], "split at spaces"),
    ("check_read_target", [lambda t: by_word(t, ("high", "low", "50/100"))], '"high" is tried before 50/100'),
    ("check_read_target", [lambda t: by_word(t, ("low", "high", "50/100"))], '"low" is tried before 50/100'),
    ("check_read_target", [lambda t: by_word(t, otherwise=50)], "wrong label goes by"),
    ("check_read_target", [lambda t: by_word(t.replace("HIGH", "?"))], "capitals are not read"),
    ("check_length_shortcuts", [lambda rows: {n for n, r in rho_by_rubric(rows).items() if r >= 0.5}], "abs()"),
    (
        "check_length_shortcuts",
        [lambda rows: [n for n, r in rho_by_rubric(rows, len).items() if r**2 > 0.25]],
        "count characters",
    ),
    ("check_length_shortcuts", [one_pool], "pooled"),
    (
        "check_length_shortcuts",
        [lambda rows: [n for n, r in rho_by_rubric(rows).items() if abs(r) < 0.5]],
        "that are fine",
    ),
    ("check_length_shortcuts", [lambda rows: True], "a set is asked for"),
    ("check_near_duplicates", [lambda texts, limit: list(dict.fromkeys(texts))], "Only exact copies"),
    ("check_near_duplicates", [lambda texts, limit: thinned(texts, limit, operator.le)], "below the limit, so use <"),
    ("check_near_duplicates", [only_neighbours], "only neighbours"),
    ("check_near_duplicates", [case_sensitive], "text.lower()"),
    ("check_near_duplicates", [lambda texts, limit: thinned(texts[::-1], limit)[::-1]], "later of two similar"),
    ("check_near_duplicates", [lambda texts, limit: thinned(texts, limit, size=in_the_shorter)], "shorter text"),
    ("check_near_duplicates", [all_before], "dropped ones, too"),
    (
        "check_near_duplicates",
        [lambda texts, limit: [t for t in texts if t not in thinned(texts, limit)]],
        "what should be dropped",
    ),
    (
        "check_near_duplicates",
        [lambda texts, limit: case_sensitive([t.lower() for t in texts], limit)],
        "would be right",
    ),
    ("check_count_rows", [lambda p, r, k: p * r * k * (k - 1) // 2], "The mirror is forgotten"),
    ("check_count_rows", [lambda p, r, k: p * r * k], "The pairs are forgotten"),
    ("check_count_rows", [lambda p, r, k: p * r * k * 2], "five give ten"),
    ("check_count_rows", [lambda p, r, k: k * (k - 1)], "Prompts and rubrics are missing"),
    ("check_count_rows", [lambda p, r, k: r * k * (k - 1)], "prompts are missing"),
    ("check_count_rows", [lambda p, r, k: p * r * k**2], "paired with itself"),
    ("check_count_rows", [lambda p, r, k: p * r * 2 * (k - 1)], "only neighbouring"),
    ("check_count_rows", [lambda p, r, k: p * k * (k - 1)], "rubrics are missing"),
    ("check_mirror", [in_place], "given row has changed"),
    ("check_mirror", [shallow], "given row has changed"),
    ("check_mirror", [lambda row, s: mirrored(row, s, prompt=lambda r: r["prompt"])], "same system prompt"),
    (
        "check_mirror",
        [lambda row, s: mirrored(row, s, chosen=lambda r: r["chosen"], rejected=lambda r: r["rejected"])],
        "same text is chosen",
    ),
    ("check_mirror", [lambda row, s: mirrored(row, s, rejected=lambda r: r["rejected"])], "are the same text"),
    (
        "check_mirror",
        [lambda row, s: mirrored(row, s, chosen_target=lambda r: 10, rejected_target=lambda r: 95)],
        "not their targets",
    ),
    ("check_mirror", [lambda row, s: mirrored(row, s, pair_id=lambda r: "8")], "pair_id has changed"),
    ("check_split", [by_row], "rows are split"),
    ("check_split", [lambda *a: split_by(lambda row: row["pair_id"], *a)], "pairs are split"),
    ("check_split", [lambda *a: split_by(lambda row: str(row["prompt"]), *a)], "conversations are split"),
    ("check_split", [lambda *a: split_by(question, *a)[::-1]], "train first"),
    ("check_split", [lambda rows, share, seed: (rows, [])], "One side is empty"),
    ("check_split", [lambda rows, share, seed: split_by(question, rows, share, 0)], "Every seed"),
    ("check_split", [lambda rows, share, seed: split_by(question, rows, share, None)], "two different splits"),
    ("check_split", [lambda *a: [part[1:] for part in split_by(question, *a)]], "2 are lost"),
    ("check_loss_predictions", [LOSS | {"start": 0}], "put 0 into -log sigmoid"),
    ("check_loss_predictions", [LOSS | {"start": 0.5}], "a probability"),
    ("check_loss_predictions", [LOSS | {"start": 1}], "base 2"),
    ("check_loss_predictions", [LOSS | {"start": -LN2}], "so it is positive"),
    ("check_loss_predictions", [LOSS | {"ignores s": 0.1269}], "row 1 alone"),
    ("check_loss_predictions", [LOSS | {"follows s": 0}], "Being right never costs"),
    ("check_loss_predictions", [LOSS | {"start, beta 0.5": 5 * LN2}], "cannot change the first loss"),
    ("check_loss_predictions", [LOSS | {"ignores s": LN2}], "average the losses"),
    ("check_loss_predictions", [LOSS | {"follows s": 2.1269}], "both margins are +2"),
    ("check_loss_predictions", [LOSS | {"follows s": 0.5981}], "beta is applied twice"),
    ("check_loss_predictions", [LOSS | {"ignores s": 0.6981}], "beta is applied twice"),
    ("check_loss_predictions", [LOSS | {"follows s": 2}], "its loss is log(1 + exp(-2))"),
    ("check_loss_predictions", [LOSS | {"ignores s": 2}], "2 is the margin"),
    ("check_loss_predictions", [LOSS | {"ignores s": 7}], "7 is not it. Put the margins +2 and -2"),
    ("check_loss_predictions", [LOSS | {"follows s": 7}], "7 is not it. Put the margin +2"),
    ("check_loss_predictions", [LOSS | {"start": 7}], "7 is not it. Before the first step"),
    ("check_loss_predictions", [LOSS | {"start, beta 0.5": 0.4741}], "Beta is not a margin"),
    ("check_implicit_reward", [lambda p, r, m, b: b * ((p - r) * m).sum(1) / m.sum(1)], "averaged"),
    ("check_implicit_reward", [lambda p, r, m, b: b * ((p - r) * m).mean(1)], ".mean is taken"),
    ("check_implicit_reward", [lambda p, r, m, b: b * (p - r).sum(1)], "mask is forgotten"),
    ("check_implicit_reward", [lambda p, r, m, b: b * (p * m - r).sum(1)], "mask is on the policy only"),
    ("check_implicit_reward", [lambda p, r, m, b: b * (p - r * m).sum(1)], "mask is on the reference only"),
    ("check_implicit_reward", [lambda p, r, m, b: b * (p / r * m).sum(1)], "DIFFERENCE of logarithms"),
    ("check_implicit_reward", [lambda p, r, m, b: b * (p * m).sum(1) / (r * m).sum(1)], "DIFFERENCE of logarithms"),
    ("check_implicit_reward", [lambda p, r, m, b: b * ((p - r) * m).sum(1).exp()], "leave .exp() away"),
    ("check_implicit_reward", [lambda p, r, m, b: b * ((p - r) * m).sum(0)], "wrong axis"),
    ("check_implicit_reward", [lambda p, r, m, b: b * ((p - r) * m).sum()], "sum over rows as well"),
    ("check_implicit_reward", [lambda p, r, m, b: ((p - r) * m).sum(1)], "beta is forgotten"),
    ("check_implicit_reward", [lambda p, r, m, b: b * ((r - p) * m).sum(1)], "sign"),
    ("check_implicit_reward", [lambda p, r, m, b: b * (p * m).sum(1)], "reference is forgotten"),
    ("check_dpo_loss", [lambda c, r, rc, rr, b: -logsigmoid(margin(r, c, rr, rc, b)).mean()], "swapped"),
    ("check_dpo_loss", [lambda c, r, rc, rr, b: -logsigmoid(b * (c - r)).mean()], "reference is forgotten"),
    (
        "check_dpo_loss",
        [lambda c, r, rc, rr, b: -logsigmoid(b * (c - rc) - (r - rr)).mean()],
        "Beta is on the chosen side only",
    ),
    (
        "check_dpo_loss",
        [lambda c, r, rc, rr, b: -logsigmoid(c - rc - b * (r - rr)).mean()],
        "Beta is on the rejected side only",
    ),
    ("check_dpo_loss", [lambda c, r, rc, rr, b: -logsigmoid(b * (c - rc - r)).mean()], "for the rejected response"),
    ("check_dpo_loss", [lambda c, r, rc, rr, b: -logsigmoid(b * (c - r + rr)).mean()], "for the chosen response"),
    ("check_dpo_loss", [lambda c, r, rc, rr, b: -logsigmoid(b * (c / rc - r / rr)).mean()], "divided"),
    (
        "check_dpo_loss",
        [lambda c, r, rc, rr, b: -logsigmoid(b * ((c / rc).log() - (-r / rr).log())).mean()],
        "logarithms already",
    ),
    (
        "check_dpo_loss",
        [lambda c, r, rc, rr, b: -logsigmoid(b * ((c + rc) - (r + rr))).mean()],
        "reference is added",
    ),
    ("check_dpo_loss", [lambda *a: (1 - torch.sigmoid(margin(*a))).mean()], "1 - sigmoid"),
    ("check_dpo_loss", [lambda *a: b_outside(*a)], "beta stands outside"),
    ("check_dpo_loss", [lambda *a: -margin(*a).mean()], "margin alone"),
    ("check_dpo_loss", [lambda *a: -logsigmoid(margin(*a).mean())], "mean is taken before"),
    ("check_dpo_loss", [lambda *a: -logsigmoid(margin(*a[:4], 1)).mean()], "beta is forgotten"),
    ("check_dpo_loss", [lambda *a: -logsigmoid(margin(*a)).sum()], "rows are summed"),
    ("check_dpo_loss", [lambda *a: -logsigmoid(margin(*a))], "one loss per row"),
    ("check_dpo_loss", [lambda *a: logsigmoid(margin(*a)).mean()], "minus sign is missing"),
    ("check_dpo_loss", [lambda *a: -torch.sigmoid(margin(*a)).mean()], "logarithm is missing"),
    ("check_dpo_loss", [lambda *a: -torch.log(torch.sigmoid(margin(*a))).mean()], "overflows"),
    ("check_dpo_loss", [lambda *a: -logsigmoid(margin(*a)).mean().item()], "has no gradient"),
    ("check_dpo_loss", [lambda c, r: c], "stopped for three rows and beta 0.1 with TypeError"),
    ("check_mirrored_gradients", [lambda a, b, beta: hand_gradients(a, b, beta, sign=1.0)], "climbing"),
    ("check_mirrored_gradients", [lambda a, b, beta: hand_gradients(a, b, 1.0)], "beta is forgotten"),
    ("check_mirrored_gradients", [lambda a, b, beta: hand_gradients(a, b, beta, front=1.0)], "missing in front"),
    ("check_mirrored_gradients", [lambda a, b, beta: [[beta, beta], [-beta, beta]]], "gradient of the margins"),
    ("check_mirrored_gradients", [lambda a, b, beta: [[-beta, -beta], [beta, -beta]]], "negative margins"),
    ("check_mirrored_gradients", [lambda *w: hand_gradients(*w, other=(1, 1))], "same row twice"),
    ("check_mirrored_gradients", [lambda *w: hand_gradients(*w)[::-1]], "in the wrong order"),
    ("check_mirrored_gradients", [lambda *w: np.sum(hand_gradients(*w), 0)], "sum of the two rows"),
    ("check_mirrored_gradients", [lambda *w: hand_gradients(*w, other=(1, -1))], "Row 2 is not mirrored"),
    ("check_mirrored_gradients", [lambda *w: hand_gradients(*w, other=(-1, -1))], "a AND b cancel"),
    ("check_accuracy", [lambda rows: np.mean([near(r["score"]) == r["target"] for r in rows])], "lucky score"),
    (
        "check_accuracy",
        [lambda rows: np.mean([near(r["score"]) == r["target"] for r in rows if not r["degenerate"]])],
        "denominator",
    ),
    (
        "check_accuracy",
        [
            lambda rows: np.mean(
                [(10, 50, 95)[min(int(r["score"] * 3 / 100), 2)] == r["target"] and not r["degenerate"] for r in rows]
            )
        ],
        "thirds",
    ),
    (
        "check_accuracy",
        [lambda rows: np.mean([abs(r["score"] - r["target"]) <= 10 and not r["degenerate"] for r in rows])],
        "within 10",
    ),
    ("check_accuracy", [lambda rows: 100 * hits(rows) / len(rows)], "a percentage"),
    ("check_accuracy", [hits], "divide by the number of rows"),
    ("check_macro_spearman", [lambda rows: rhos([r | {"rubric": ""} for r in rows])[0][0]], "pooled"),
    ("check_macro_spearman", [lambda rows: sum(v * n for v, n in rhos(rows)) / len(rows)], "larger rubrics"),
    ("check_macro_spearman", [lambda rows: np.mean([v for v, _ in rhos(rows, constant=np.nan)])], "nan"),
    ("check_macro_spearman", [lambda rows: np.nanmean([v for v, _ in rhos(rows, constant=np.nan)])], "left out"),
    ("check_macro_spearman", [lambda rows: np.mean([v for v, _ in rhos(rows, pearsonr)])], "Pearson"),
    ("check_bootstrap", [row_bootstrap], "rows are drawn"),
    ("check_bootstrap", [lambda *a: prompt_bootstrap(*a, replace=False)], "without replacement"),
    ("check_bootstrap", [lambda *a: prompt_bootstrap(*a, unique=True)], "counts once"),
    ("check_bootstrap", [lambda *a: prompt_bootstrap(*a, percents=(5, 95))], "90% interval"),
    ("check_bootstrap", [lambda *a: prompt_bootstrap(*a, percents=(0.025, 0.975))], "takes percents"),
    ("check_bootstrap", [lambda *a: prompt_bootstrap(*a)[::-1]], "return (low, high)"),
    ("check_opposed", [lambda a, b: opposed(a, b, lambda product: product <= 0)], "tie is no order"),
    ("check_opposed", [lambda a, b: opposed(a, b, lambda product: product > 0)], "both judges agree"),
    ("check_opposed", [lambda a, b: opposed(a, b, pairs=itertools.permutations)], "once from each end"),
    ("check_opposed", [lambda a, b: opposed(a, b, pairs=lambda names, _: itertools.pairwise(names))], "neighbours"),
    (
        "check_opposed",
        [lambda a, b: [p for p in itertools.combinations(a, 2) if (a[p[0]] - b[p[0]]) * (a[p[1]] - b[p[1]]) < 0]],
        "scores of one way",
    ),
    ("check_opposed", [lambda a, b: len(opposed(a, b))], "Return a list of pairs"),
    ("check_best_of_n", [lambda d, n: min(d[:n])], "first n are taken"),
    ("check_best_of_n", [lambda d, n: min(d)], "smallest of all"),
    ("check_best_of_n", [lambda d, n: np.mean([min(c) for c in itertools.combinations(set(d), n)])], "are two texts"),
    ("check_best_of_n", [lambda d, n: np.mean(sorted(d)[:n])], "n smallest are averaged"),
    ("check_best_of_n", [lambda d, n: np.mean([max(c) for c in itertools.combinations(d, n)])], "largest distance"),
    (
        "check_best_of_n",
        [lambda d, n: np.mean([np.mean(c) for c in itertools.combinations(d, n)])],
        "mean of each choice",
    ),
    ("check_best_of_n", [lambda d, n: np.mean([min(c) for c in itertools.product(d, repeat=n)])], "drawn twice"),
    ("check_best_of_n", [lambda d, n: sum(min(c) for c in itertools.combinations(d, n))], "sum over the choices"),
    ("check_best_of_n", [lambda d, n: 10 / n], "would be right"),
    ("check_best_of_n", [lambda d, n: np.mean([min(random.sample(d, n)) for _ in range(50)])], "draws at random"),
    (
        "check_best_of_n",
        [lambda d, n, rng=random.Random: np.mean([min(s(d, n)) for s in [rng(1).sample] for _ in range(400)])],
        "as random draws would be",
    ),
    ("check_gap", [lambda rows: tuple(-v if not i else v for i, v in enumerate(gap_of(rows)))], "turned around"),
    ("check_gap", [lambda rows: gap_of([row | {"prompt": i // 2} for i, row in enumerate(rows)])], "pair of texts"),
    ("check_gap", [lambda rows: gap_of(rows, ddof=0)], "n - 1"),
    ("check_gap", [lambda rows: gap_of(rows, power=0)], "lie apart"),
    ("check_gap", [lambda rows: gap_of(rows, power=1)], "root of it"),
    ("check_gap", [unpaired], "every text is counted"),
    ("check_gap", [lambda rows: gap_of(rows)[0]], "a tuple is asked for"),
    ("check_luck", [lambda d: luck_of(d, lambda mean, own: mean > own + 1e-9)], "count what is at least as large"),
    ("check_luck", [lambda d: luck_of(d, lambda mean, own: abs(mean) >= abs(own) - 1e-9)], "a fall of the same size"),
    ("check_luck", [lambda d: luck_of([np.sign(v) for v in d])], "only rises are counted"),
    ("check_luck", [lambda d: luck_of(d) * 2 ** len(d)], "number of patterns"),
    ("check_luck", [lambda d: 1 - luck_of(d)], "share of the smaller means"),
    ("check_slopes", [lambda *a: two_slopes(*a)[::-1]], "swapped"),
    ("check_slopes", [lambda *a: two_slopes(*a, constant=False)], "constant is missing"),
    ("check_slopes", [lambda a, j: np.linalg.lstsq(np.c_[a, np.ones(len(a))], j, rcond=None)[0]], "too many"),
    ("check_slopes", [lambda a, j: [np.polyfit(column, j, 1)[0] for column in zip(*a)]], "fitted alone"),
    ("check_slopes", [lambda a, j: [np.polyfit(j, column, 1)[0] for column in zip(*a)]], "to be explained"),
    ("check_anchor_score", [lambda v, low, high: 100 * (v - low) / (high - low)], "leaves 0 to 100"),
    ("check_anchor_score", [lambda v, low, high: min(1, max(0, (v - low) / (high - low)))], "multiply by 100"),
    ("check_anchor_score", [lambda v, low, high: min(100, 100 * v / high)], "divided by the high anchor"),
    ("check_anchor_score", [lambda v, low, high: min(100, 100 * abs(v - low) / abs(high - low))], "keep the sign"),
    ("check_anchor_score", [lambda v, *a: np.clip(100 * (v - min(a)) / (max(a) - min(a)), 0, 100)], "backwards"),
    ("check_anchor_score", [lambda v, low, high: np.clip(100 * (high - v) / (high - low), 0, 100)], "other way round"),
    ("check_choose", [lambda rows, t: min(rows, key=lambda r: abs(r["score"] - t))["text"]], "degenerate text can win"),
    ("check_choose", [lambda rows, t: max(sound(rows), key=lambda r: r["score"])["text"]], "highest score wins"),
    ("check_choose", [lambda rows, t: min(sound(rows), key=lambda r: r["score"] - t)["text"]], "has a sign"),
    ("check_choose", [lambda rows, t: max(sound(rows), key=lambda r: abs(r["score"] - t))["text"]], "farthest"),
    ("check_choose", [lambda rows, t: min(sound(rows), key=lambda r: abs(r["score"] - t))], "return its text"),
    (
        "check_choose",
        [
            lambda rows, t: min(
                [r for r in sound(rows) if r["score"] <= t] or sound(rows), key=lambda r: abs(r["score"] - t)
            )["text"]
        ],
        "above the target",
    ),
    ("check_choose", [lambda rows, t: min(sound(rows), key=lambda r: abs(r["score"] - t))["score"]], "return the text"),
    ("check_advantages", [lambda r: advantages(r) * spread(r)], "divide by the standard deviation"),
    ("check_advantages", [lambda r: advantages(r) + np.mean(r) / spread(r)], "Every text is praised"),
    ("check_advantages", [lambda r: advantages(r, ddof=0)], "ddof=1"),
    ("check_advantages", [lambda r: advantages(r) / spread(r)], "divide by the variance"),
    ("check_advantages", [lambda r: (r - np.mean(r)) / np.ptp(r)], "best and worst"),
    ("check_advantages", [lambda r: -advantages(r)], "gets the lowest"),
    ("check_advantages", [lambda r: [max(a, 0) for a in advantages(r)]], "keep what is negative"),
    ("check_advantages", [lambda r: (r - np.mean(r)) / np.std(r, ddof=1)], "0 is divided by 0"),
    ("check_advantages", [lambda r: advantages(r) if np.ptp(r) else [1.0] * len(r)], "each gets 0"),
    (
        "check_advantages",
        [lambda r: [(x - statistics.mean(r)) / statistics.stdev(r) for x in r]],
        "stopped for four equal rewards with ZeroDivisionError",
    ),
    ("check_guarded", [lambda a, b, broken: 0 if broken else (a + b) / 2], "A mean still pays"),
    ("check_guarded", [lambda a, b, broken: 0 if broken else statistics.harmonic_mean([a, b])], "harmonic mean"),
    ("check_guarded", [lambda a, b, broken: (not broken) * a * b], "A product pays less"),
    ("check_guarded", [lambda a, b, broken: 0 if broken else max(a, b)], "fooling either"),
    ("check_guarded", [lambda a, b, broken: min(a, b)], "A degenerate text earns something"),
    ("check_guarded", [lambda a, b, broken: broken and min(a, b)], "turn the question around"),
    ("check_guarded", [lambda a, b, broken: 0 if broken else a], "second judge has no say"),
    ("check_guarded", [lambda a, b, broken: 0 if broken else b], "first judge has no say"),
    ("check_count_rows", [6], "Pass the function itself"),
    ("check_count_rows", [lambda p, r, k: None], "is a `return` missing?"),
]


@pytest.mark.parametrize(("name", "answers", "message"), MISTAKES, ids=[f"{m[0]}-{m[2]}" for m in MISTAKES])
def test_planned_mistake_is_named(name, answers, message, capsys):
    assert check(name, *answers) is False
    printed = capsys.readouterr().out
    assert message in printed and printed.count("\n") == 1 and not printed.startswith("Correct")


def test_every_exercise_has_two_planned_mistakes():
    planned = [name for name, _, _ in MISTAKES]
    assert not [name for name in NAMES if planned.count(name) < 2]


HELPERS = {"check_near_duplicates": "keep", "check_mirrored_gradients": "pair"}
"""Functions within checks whose docstring says what they do, and is told to nobody."""


def named_slips() -> list[tuple[str, str]]:
    """(check, what is told) of every slip that is a function within its check: what is told is its docstring."""
    functions = [node for module in MODULES for node in ast.parse(inspect.getsource(module)).body]
    checks = [node for node in functions if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")]
    slips = []
    for check_ in checks:
        for inner in ast.walk(check_):
            if inner is check_ or not isinstance(inner, ast.FunctionDef) or inner.name == HELPERS.get(check_.name):
                continue
            if told := ast.get_docstring(inner):
                slips.append((check_.name, " ".join(told.split())))
    return slips


def test_every_named_slip_has_a_planned_mistake(capsys):
    """As many cases as slips that say the same: one without a case may be out of every participant's reach."""
    slips = named_slips()
    assert len(slips) > 100
    told = []
    for name, answers, _ in MISTAKES:
        if name in dict(slips):  # the others run judges or draw thousands of times, and have no slips of this form
            check(name, *answers)
            told.append((name, capsys.readouterr().out.strip()))
    untold = Counter(slips) - Counter(told)
    assert not untold, list(untold)
