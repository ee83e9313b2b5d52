"""What sharing saves in a step of DPO, counted exactly and without a model.

n rows hold 2 n sequences, each a prompt and a response. They can be laid into lines in three ways:

    stock    a line for each sequence, as TRL does
    row      a line for each row: its prompt once, and both responses (prefix sharing, arXiv 2410.20305)
    packed   a line for each distinct prompt, and its distinct responses (PackedCollator)

A hidden state depends on everything before it. So a line is shared where all of a prompt is the same, system prompt
and question, and one text under two system prompts is two responses. Of n rows with p distinct prompts of P tokens and
q distinct (prompt, response) of R tokens, the layers compute

    stock 2 n (P + R)        row n (P + 2 R)        packed p (P - 1) + q R

tokens (a packed response brings its own copy of the prompt's last token, and drops its own last one). The two rows of a
mirrored pair have two prompts with two responses each, (n, p, q) = (2, 2, 4): packed, they save what sharing within
each row saves, at most half. Only further rows give more: those of one prompt share their chosen text. All pairs of k
texts under their k prompts have (k (k - 1), k, k^2), for k = 3 the block of six rows (6, 3, 9); a square has (8, 4,
12). So stock costs so many times as much as packed, with r = P / R:

    pair  2 (r + 1) / (r + 2)        six rows, square  4 (r + 1) / (r + 3)        k texts  2 (k - 1) (r + 1) / (r + k)

and in the limits 2 n / q where responses are long (1, 4/3, 2 (k - 1) / k) and 2 n / p where prompts are long (2, 4,
2 (k - 1)). Sharing within the row stays between 1 and 2 whatever the rows: 2 (r + 1) / (r + 2).

Two things work against it. Lines of different length are padded, as rows are. And a dense mask hides a line's responses
from each other without sparing their products: attention costs the square of a line. With w weights and attention of
width a in a layer, and responses that are long against their prompts, packed costs more from

    R = w (2 n - q) / (2 a (q^2 / p - 2 n))

tokens on, some 610 for the embedded model and a block of six; prompts that are not short and stock's output layer move
it up (`break_even` counts both). A mask that skips what it hides (FlexAttention, as in the paper) has no such bound.
`tree` is the least that any sharing can do, with common beginnings of different prompts and texts shared, too.

Beside arXiv 2410.20305 (within rows, 1.1 to 1.6 times on GPUs), "Preference Packing" (arXiv 2602.24082) lays all
responses to one prompt into one line, also on GPUs, and takes at least 37% less time.
"""

from bisect import bisect_left
from collections import defaultdict
from itertools import permutations

from cpt_utils.runtime.catalogue import linear_shapes

SIDES = ("chosen_ids", "rejected_ids")
WAYS = ("stock", "row", "packed")
LONGEST = 2**17
"""Tokens of a response: no break-even is looked for beyond."""
BLOCKS = {  # of each row: its prompt, its chosen text and its rejected text, by number
    "pair": [(one, one, other) for one, other in permutations(range(2), 2)],
    "six rows": [(one, one, other) for one, other in permutations(range(3), 2)],
    "square": [(one, one, one ^ other) for one in range(4) for other in (1, 2)],
}
REPORTED = {  # data set: (prompt over response in tokens, times as fast)
    "Capybara": (1.59, 1.36),
    "HH-RLHF": (2.15, 1.48),
    "MetaMath-DPO": (3.91, 1.60),
    "TLDR": (11.14, 1.38),
    "Tulu-Helpsteer": (6.34, 1.52),
    "UltraFeedback": (0.42, 1.21),
}
"""Medians and throughput on 8 H100 that the code of arXiv 2410.20305 gives for sharing within rows, packed sequences,
against the same attention without sharing. Its abstract says 1.1 to 1.5 times, and packed 1.3 to 1.6."""


def counts(rows: list[dict]) -> dict[str, dict[str, int]]:
    """What the three ways compute for token rows {prompt_ids, chosen_ids, rejected_ids}, cut to length already.

    Each way: `lines`; `tokens`, that stand for something; `columns`, padding included, which the linear layers
    compute; `attention`, products of a query and a key under a dense mask; `head`, columns that meet the output layer.
    """
    sequences = [(tuple(row["prompt_ids"]), tuple(row[side])) for row in rows for side in SIDES]
    behind = defaultdict(int)
    for prompt, response in set(sequences):
        behind[prompt] += len(response)
    shared = {prompt: len(prompt) - 1 for prompt in behind}
    return {
        "stock": counted([len(prompt) + len(response) for prompt, response in sequences]),
        "row": counted([len(row["prompt_ids"]) + sum(len(row[side]) for side in SIDES) for row in rows]),
        "packed": counted(
            [shared[prompt] + responses for prompt, responses in behind.items()],
            width=max(shared.values()) + max(behind.values()),  # prompts end in one column
            head=sum(behind.values()),
        ),
    }


def over_steps(rows: list[dict], block: int) -> dict[str, dict[str, int]]:
    """The counts of all steps together, where so many neighbours make one; of a whole training, for instance."""
    total = {way: defaultdict(int) for way in WAYS}
    for start in range(0, len(rows), block):
        for way, count in counts(rows[start : start + block]).items():
            for name, number in count.items():
                total[way][name] += number
    return {way: dict(count) for way, count in total.items()}


def counted(lengths: list[int], width: int | None = None, head: int | None = None) -> dict[str, int]:
    """The counts of lines of these lengths, padded to `width` (None: the longest); all columns meet the output layer
    unless `head` do."""
    width = width or max(lengths)
    columns = len(lengths) * width
    padded = {"lines": len(lengths), "tokens": sum(lengths), "columns": columns, "attention": columns * width}
    return padded | {"head": columns if head is None else head}


def tree(rows: list[dict]) -> int:
    """Distinct beginnings that have a next token: as many states must be computed, however lines are laid."""
    states: dict[tuple[int, int], int] = {}
    for row in rows:
        for side in SIDES:
            place = 0
            for token in [*row["prompt_ids"], *row[side][:-1]]:
                place = states.setdefault((place, token), len(states) + 1)
    return len(states)


def example(block: str, prompt: int, response: int) -> list[dict]:
    """A block's rows with prompts and responses of so many tokens, of which no two begin alike."""
    return [
        {
            "prompt_ids": [1 + asked] * prompt,
            "chosen_ids": [101 + chosen] * response,
            "rejected_ids": [101 + rejected] * response,
        }
        for asked, chosen, rejected in BLOCKS[block]
    ]


def size(block: str) -> tuple[int, int, int]:
    """n, p and q of a block: rows, distinct prompts, distinct (prompt, response)."""
    rows = BLOCKS[block]
    return len(rows), len({asked for asked, *_ in rows}), len({(asked, text) for asked, *both in rows for text in both})


def formulas(rows: int, prompts: int, sequences: int, prompt: int, response: int) -> dict[str, dict[str, float]]:
    """`counts` in closed form, for prompts and responses of one length, and equally many responses to each prompt."""
    line = prompt - 1 + sequences / prompts * response
    laid = {"stock": (2 * rows, prompt + response), "row": (rows, prompt + 2 * response), "packed": (prompts, line)}
    found = {}
    for way, (lines, width) in laid.items():
        columns = lines * width
        head = sequences * response if way == "packed" else columns
        found[way] = {
            "lines": lines,
            "tokens": columns,
            "columns": columns,
            "attention": columns * width,
            "head": head,
        }
    return found


def work(count: dict[str, float], shape: dict) -> float:
    """Operations (two a product) of one forward pass of a decoder of this shape (data/models.yaml)."""
    linear = shape["layers"] * sum(inner * outer for inner, outer in linear_shapes(shape))
    attention = 2 * shape["layers"] * shape["heads"] * shape["head_dim"]  # scores, and the sum that they weigh
    head = shape["vocab"] * shape["hidden"]
    return 2 * (count["columns"] * linear + count["attention"] * attention + count["head"] * head)


def gains(found: dict[str, dict], shape: dict | None = None) -> dict[str, float]:
    """How many times as much stock costs as the other ways: in tokens, or in operations of a model of this shape."""
    cost = {way: count["tokens"] if shape is None else work(count, shape) for way, count in found.items()}
    return {way: cost["stock"] / cost[way] for way in WAYS[1:]}


def break_even(block: str, ratio: float, shape: dict, overhead: float = 0.0) -> int | None:
    """From how many tokens of a response on packing costs more operations than stock, prompts being `ratio` times as
    long; None where it does not up to LONGEST.

    `overhead`: what masked attention costs on top, as a share of all of a packed step (a measured one, for instance).
    """

    def costs_more(response: int) -> bool:
        found = formulas(*size(block), max(1, round(ratio * response)), response)
        return gains(found, shape)["packed"] < 1 + overhead

    first = 1 + bisect_left(range(1, LONGEST + 1), True, key=costs_more)
    return None if first > LONGEST else first
