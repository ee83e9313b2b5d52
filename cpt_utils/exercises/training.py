"""Checks of the exercises in notebooks 03 and 04: mirrored pairs and the DPO loss."""

import copy
import math
from collections import Counter
from itertools import combinations, product

import numpy as np

from cpt_utils.exercises.checking import Mistake, call, compare, exercise, same
from cpt_utils.prompts import messages

# ---------------------------------------------------------------- 03 · pair construction


def example_row(prompt="Describe a bridge.", rubric="rococo", chosen=10, rejected=95, pair_id="7") -> dict:
    """A preference row in the format of the series, with short texts."""
    said = lambda target: [{"role": "assistant", "content": f"{prompt} {rubric} {target}"}]  # noqa: E731
    return {
        "prompt": messages(prompt, f"Write {rubric} of {chosen}."),
        "chosen": said(chosen), "rejected": said(rejected), "rubric": rubric,
        "chosen_target": chosen, "rejected_target": rejected, "pair_id": pair_id,
    }


@exercise("return the partner of the row.", "the same two texts, and the system prompt decides between them.")
def check_mirror(mirror):
    """mirror(row, other_system): the second row of the pair, the first one left as it is."""
    row, other = example_row(), "Write rococo of 95."
    kept = copy.deepcopy(row)
    got = call(lambda _: mirror(row, other), 0)
    right = example_row(chosen=95, rejected=10)
    if row != kept:
        raise Mistake("The given row has changed, so the pair is lost: work on copy.deepcopy(row).")
    if not isinstance(got, dict) or set(got) != set(row):
        raise Mistake(f"The partner needs the same columns as the row: {', '.join(row)}.")
    if got["prompt"] == row["prompt"]:
        raise Mistake("Both rows have the same system prompt, so they contradict: put in other_system.")
    if got["prompt"] != right["prompt"]:
        raise Mistake("`prompt` must hold two messages: other_system as system, then the same user turn.")
    if got["chosen"] == row["chosen"]:
        raise Mistake("The same text is chosen under either system prompt: swap chosen and rejected.")
    if got["rejected"] != right["rejected"]:
        raise Mistake("Chosen and rejected are the same text: keep one before you overwrite it.")
    if got["chosen_target"] == row["chosen_target"]:
        raise Mistake("The texts are swapped but not their targets: swap chosen_target and rejected_target.")
    if got["pair_id"] != row["pair_id"]:
        raise Mistake("The pair_id has changed: it is what says that the two rows belong together.")
    if got != right:
        raise Mistake(f"Something else differs: {[k for k in right if got[k] != right[k]]}.")


@exercise("return two lists of rows.", "no prompt is on both sides, so the test asks something new.")
def check_split(split):
    """split(rows, share, seed): train and test rows; a share of the prompts, whole, is in the test."""
    pairs = product([f"Prompt {i}" for i in range(10)], ("rococo", "esoteric"), combinations((10, 50, 95), 2))
    rows = [
        example_row(prompt, rubric, *targets, f"{number:05d}")
        for number, (prompt, rubric, pair) in enumerate(pairs) for targets in (pair, pair[::-1])
    ]
    ways = {
        "user": lambda row: row["prompt"][-1]["content"], "pair": lambda row: row["pair_id"],
        "turns": lambda row: str(row["prompt"]),
    }
    train, test = call(split, rows, 0.2, 0)
    if not test or not train:
        raise Mistake(f"One side is empty: {len(train)} rows for training, {len(test)} for the test.")
    if (found := Counter(map(str, [*train, *test]))) != Counter(map(str, rows)):
        lost, doubled = len(rows) - len(found), sum(found.values()) - len(found)
        raise Mistake(f"Each row must be on one side, once: {lost} are lost and {doubled} are doubled.")
    both = {name: len(set(map(way, train)) & set(map(way, test))) for name, way in ways.items()}
    if both["user"]:
        unit = ("conversations are split, though several share a question" if not both["turns"]
                else "pairs are split, though several share one" if not both["pair"] else "rows are split")
        raise Mistake(f"{both['user']} of 10 questions are on both sides. Perhaps {unit}: draw questions.")
    held = len(set(map(ways["user"], test)))
    if held == 8:
        raise Mistake("8 of 10 questions are in the test for share=0.2: return train first, then test.")
    if held != 2:
        raise Mistake(f"{held} of 10 questions are in the test for share=0.2: there should be 2.")
    # Five times: two draws of 2 from 10 questions are the same once in 45 times by luck.
    if any(call(split, rows, 0.2, 0)[1] != test for _ in range(5)):
        raise Mistake("The same seed gives two different splits: draw with random.Random(seed).")
    if all(call(split, rows, 0.2, seed)[1] == test for seed in range(1, 6)):
        raise Mistake("Every seed gives the same split: draw with random.Random(seed).")


@exercise("return a number.", "rows grow with the square of the targets: 3 targets give 6 rows, 5 give 20.")
def check_count_rows(count_rows):
    """count_rows(prompts, rubrics, targets): rows of all mirrored pairs."""
    cases = {f"{p} prompts, {r} rubrics, {k} targets": (p, r, k) for p, r, k in
             ((1, 1, 3), (1, 1, 2), (20, 4, 3), (10, 2, 5), (6, 3, 1))}
    compare(count_rows, cases, lambda p, r, k: p * r * k * (k - 1), {
        "It looks as if pairs are counted: each gives two rows.": lambda p, r, k: p * r * math.comb(k, 2),
        "It looks as if a target is paired with itself: its partner has to be one of the k - 1 others.":
            lambda p, r, k: p * r * k * k,
        "It looks as if only neighbouring targets are paired: low and high make a pair as well.":
            lambda p, r, k: p * r * 2 * (k - 1),
        "It looks as if every target gives two rows: three targets give three pairs, but five give ten.":
            lambda p, r, k: p * r * 2 * k,
        "The rubrics are missing: prompts are answered under each one.": lambda p, r, k: p * k * (k - 1),
        "The prompts are missing: multiply by them.": lambda p, r, k: r * k * (k - 1),
        "Prompts and rubrics are missing: multiply by both.": lambda p, r, k: k * (k - 1),
    })


# ---------------------------------------------------------------- 04 · DPO training


@exercise("return one reward per row.", "a reward is a change against the reference, summed over tokens.")
def check_implicit_reward(reward):
    """reward(policy, reference, mask, beta): beta times summed log-ratios of the response tokens."""
    import torch

    policy = torch.tensor([[-1.0, -2.0, -0.5, -3.0], [-0.2, -1.5, -2.5, -1.0]])
    reference = torch.tensor([[-2.0, -2.5, -0.75, -1.0], [-0.4, -1.0, -2.0, -3.0]])
    mask = torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    cases = {f"beta {beta}": (policy, reference, mask, beta) for beta in (0.1, 0.5)}
    compare(reward, cases, lambda p, r, m, beta: beta * ((p - r) * m).sum(1), {
        "It looks as if tokens are averaged: sum them, as probabilities of tokens multiply.":
            lambda p, r, m, beta: beta * ((p - r) * m).sum(1) / m.sum(1),
        "It looks as if the mask is forgotten: prompt and padding tokens must not count.":
            lambda p, r, m, beta: beta * (p - r).sum(1),
        "It looks as if beta is forgotten: multiply by it.": lambda p, r, m, beta: ((p - r) * m).sum(1),
        "The sign is wrong: subtract the reference from the policy.":
            lambda p, r, m, beta: beta * ((r - p) * m).sum(1),
        "It looks as if the reference is forgotten: subtract its log-probabilities.":
            lambda p, r, m, beta: beta * (p * m).sum(1),
        "You sum over rows as well: use .sum(1), for one reward per row.":
            lambda p, r, m, beta: beta * ((p - r) * m).sum(),
    })


@exercise("return the loss.", "the chosen reward has to exceed the rejected one; nothing else counts.")
def check_dpo_loss(dpo_loss):
    """dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta): the mean loss of the rows."""
    import torch
    from torch.nn.functional import logsigmoid

    rows = [torch.tensor(numbers) for numbers in
            ([-8.0, -10.1, -5.0], [-9.5, -7.0, -4.0], [-9.0, -9.9, -8.0], [-8.8, -7.5, -7.0])]
    loss = lambda c, r, rc, rr, beta: -logsigmoid(beta * ((c - rc) - (r - rr))).mean()  # noqa: E731
    margin = lambda c, r, rc, rr, beta: beta * ((c - rc) - (r - rr))  # noqa: E731
    cases = {f"three rows and beta {beta}": (*rows, beta) for beta in (0.1, 0.5)}
    compare(dpo_loss, cases, loss, {
        "It looks as if chosen and rejected are swapped: the margin is chosen reward minus rejected reward.":
            lambda c, r, rc, rr, beta: loss(r, c, rr, rc, beta),
        "It looks as if the reference is forgotten: subtract its log-probabilities first.":
            lambda c, r, rc, rr, beta: loss(c, r, 0, 0, beta),
        "It looks as if the reference is added: subtract it.":
            lambda c, r, rc, rr, beta: loss(c, r, -rc, -rr, beta),
        "It looks as if beta is forgotten: multiply the margin by it.": lambda *a: loss(*a[:4], 1.0),
        "It looks as if beta stands outside the logarithm: it belongs to the margin.":
            lambda *a: a[4] * loss(*a[:4], 1.0),
        "It looks as if rows are summed: take the mean, or a larger batch has a larger loss.":
            lambda *a: 3 * loss(*a),
        "That is one loss per row: take the mean.": lambda *a: -logsigmoid(margin(*a)),
        "The minus sign is missing: log-sigmoid is negative, and its negative is to be made small.":
            lambda *a: -loss(*a),
        "It looks as if the logarithm is missing: use logsigmoid, not sigmoid.":
            lambda *a: -torch.sigmoid(margin(*a)).mean(),
        "That is 1 - sigmoid, without a logarithm: use -logsigmoid.":
            lambda *a: torch.sigmoid(-margin(*a)).mean(),
        "That is the margin alone: put it into -logsigmoid.": lambda *a: -margin(*a).mean(),
        "It looks as if the mean is taken before logsigmoid: take it last.":
            lambda *a: -logsigmoid(margin(*a).mean()),
    })
    far = [torch.tensor([value], requires_grad=True) for value in (-3000.0, -10.0, -1500.0, -1500.0)]
    got = call(lambda _: dpo_loss(*far, 1.0), 0)
    if not same(got, 2990.0):
        raise Mistake("Right, but a margin of -2990 overflows: use logsigmoid, not log(sigmoid).")
    if not getattr(got, "requires_grad", False):
        raise Mistake("The value is right but has no gradient: return a tensor, without .item() or float().")


@exercise("fill in each number.", "ln 2 is the loss of not knowing; ignoring s costs more than that.")
def check_loss_predictions(predictions: dict):
    """Four DPO losses, predicted: before the first step, for another beta, ignoring s, following s."""
    soft = lambda margin: math.log1p(math.exp(-margin))  # noqa: E731
    right = {
        "start": soft(0), "start, beta 0.5": soft(0),
        "ignores s": (soft(2) + soft(-2)) / 2, "follows s": soft(2),
    }
    if set(predictions) != set(right):
        raise Mistake(f"Keep the four keys as they are: {', '.join(right)}.")
    known = {
        ("start", 0.0): "Every margin is 0, but that is not yet the loss: put 0 into -log sigmoid.",
        ("start", 0.5): "0.5 is sigmoid(0), a probability: the loss is minus its natural logarithm.",
        ("start", 1.0): "That is the logarithm to base 2: use the natural one, math.log.",
        ("start", -soft(0)): "The loss is minus the logarithm, so it is positive.",
        ("ignores s", soft(0)): "It looks as if you average the margins: average the losses of 2 and of -2.",
        ("ignores s", soft(2)): "That is row 1 alone: its mirrored row has the margin -2. Average both.",
        ("ignores s", soft(2) + soft(-2)): "That is the sum of the two losses: take their mean.",
        ("follows s", soft(-2)): "The sign is wrong: both rows are right, so both margins are +2.",
        ("follows s", 0.0): "Being right never costs exactly 0: the margin is 2, not infinite.",
    }
    for name, wanted in right.items():
        got = float(predictions[name])
        if abs(got - wanted) > 0.006:
            why = f"{got:g} is not it. Work out both margins first."
            if name == "start, beta 0.5":
                why = "Beta multiplies a margin of 0, so it cannot change the first loss."
            for (key, value), text in known.items():
                why = text if key == name and abs(got - value) < 0.006 else why
            raise Mistake(f"{name!r}: {why}")


@exercise("return two gradients from gradients(a, b, beta).",
          "at a = 0 the pair's a-parts cancel and its b-parts add; elsewhere their sum pulls a back to 0.")
def check_mirrored_gradients(gradients):
    """gradients(a, b, beta): ((da, db), (da, db)) of the losses of a mirrored pair in a two-weight model."""
    def pair(a, b, beta, one=(1, 1), other=(-1, 1)):
        """-log sigmoid(beta (p a + q b)) has the gradient -beta sigmoid(-margin) (p, q)."""
        slope = lambda p, q: -beta / (1 + math.exp(beta * (p * a + q * b)))  # noqa: E731
        return [[slope(p, q) * p, slope(p, q) * q] for p, q in (one, other)]

    cases = {f"a={a}, b={b}, beta={beta}": (a, b, beta) for a, b, beta in
             ((0.0, 0.0, 0.1), (2.0, 0.5, 0.5), (-1.0, 3.0, 1.0))}
    compare(gradients, cases, pair, {
        "The signs are those of climbing: the gradient of a loss points to where the loss grows.":
            lambda *w: (-np.array(pair(*w))).tolist(),
        "It looks as if beta is forgotten: it is in both margins, and by the chain rule in front, too.":
            lambda a, b, beta: pair(a, b, 1.0),
        "It looks as if beta is missing in front: the chain rule multiplies by the margin's own slope.":
            lambda *w: (np.array(pair(*w)) / w[2]).tolist(),
        "Row 2 is not mirrored: under s2 text B is chosen, so its margin is minus (a - b).":
            lambda *w: pair(*w, other=(1, -1)),
        "It looks as if both rows are under s1, so a AND b cancel and nothing is learnt: row 2 is under s2.":
            lambda *w: pair(*w, other=(-1, -1)),
        "That is the same row twice: row 2 has the margin beta * (b - a).": lambda *w: pair(*w, other=(1, 1)),
        "You return the sum of the two rows: return both, so that the cancelling can be seen.":
            lambda *w: np.array(pair(*w)).sum(0).tolist(),
        "The two rows are in the wrong order: row 1 is under s1.": lambda *w: pair(*w)[::-1],
    })
