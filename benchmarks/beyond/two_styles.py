"""Two styles at once, each by its own amount, and one style by amounts that were never trained: `make two-styles`.

Four ways: numbers in the system prompt (untuned and tuned), a dial over two differences of system prompts (tuned), and
two steering vectors (untuned). A grid of asked and judged values for both styles shows what one slider does to the
other's score. Writes benchmarks/results/two_styles.json.

A text that was asked two styles counts once for each, with that style's amount as its target: "follows", overall and
rho (columns.py) are means over both, and a text that is at its target in one alone gets half of the overall it could.
"""

import numpy as np

from benchmarks.answers import base_model, options, tuned_model
from benchmarks.beyond.columns import SCORES, columns, judged, texts_of
from benchmarks.beyond.drawings import draw_two_styles
from benchmarks.beyond.mixed import mixed_texts
from benchmarks.beyond.running import hardware_of, run
from benchmarks.beyond.ways import Vectors, say
from benchmarks.trainings import PROMPTS, RUBRICS, settings
from cpt_utils.prompts import messages, system_prompt

NAME = "two_styles"
WAYS = ("numbers, untuned", "numbers, tuned", "dial, tuned", "vectors, untuned")
PAIRS = (("rococo", "chaos_cinema"), ("esoteric", "creative_chaos"))
GRID = (0, 25, 50, 75, 100)
CURVE = tuple(range(0, 101, 10))
DRAWS = 1000
SIZES = {
    False: {"grid": GRID, "curve": CURVE, "prompts": PROMPTS[:6], "rubrics": RUBRICS, "new_tokens": 90},
    True: {"grid": (0, 100), "curve": (0, 100), "prompts": PROMPTS[:1], "rubrics": RUBRICS[:1], "new_tokens": 8},
}
SCALE = "0 of 100 means its opposite, 100 as far as it goes."


def units(tiny: bool) -> dict[str, tuple]:
    """Name -> (function, its arguments)."""
    planned = {}
    for way in WAYS:
        for pair in PAIRS[: 1 if tiny else None]:
            planned[f"{way}: {' + '.join(pair)}"] = (measure, way, pair, tiny)
        planned[f"{way}: curve"] = (measure, way, None, tiny)
    return planned


def measure(way: str, pair: tuple[str, str] | None, tiny: bool) -> dict:
    """The texts of one way on the grid of a pair, or on the curves of single rubrics, judged."""
    size = SIZES[tiny]
    cells = grid_cells(pair, size) if pair else curve_cells(size)
    return {"written": judged(by_style(cells, write(way, cells, size["new_tokens"])), base_model())}


def by_style(cells: list[dict], texts: list[str]) -> list[dict]:
    """A row for each style that a text was asked, with the style's amount as the target."""
    return [
        cell | {"rubric": rubric, "target": amount, "response": text}
        for cell, text in zip(cells, texts, strict=True)
        for rubric, amount in cell["asked"].items()
    ]


def grid_cells(pair: tuple[str, str], size: dict) -> list[dict]:
    """Both styles by every two amounts, for each prompt."""
    one, other = pair
    amounts = [(a, b) for a in size["grid"] for b in size["grid"]]
    return [{"prompt": prompt, "asked": {one: a, other: b}} for prompt in size["prompts"] for a, b in amounts]


def curve_cells(size: dict) -> list[dict]:
    """Each style alone by every amount of the curve."""
    asked = [{rubric: amount} for rubric in size["rubrics"] for amount in size["curve"]]
    return [{"prompt": prompt, "asked": one} for prompt in size["prompts"] for one in asked]


def write(way: str, cells: list[dict], new_tokens: int) -> list[str]:
    """One text to each cell."""
    told = options(settings()) | {"max_new_tokens": new_tokens}
    model = tuned_model() if way.endswith(", tuned") else base_model()
    if way.startswith("dial"):
        groups, weights = zip(*(dialled(cell) for cell in cells))
        return mixed_texts(model, list(groups), list(weights), **told)
    cases = [{"turns": messages(cell["prompt"], in_numbers(cell["asked"])), "targets": cell["asked"]} for cell in cells]
    steers = way.startswith("vectors")
    return say(model, "vector" if steers else "", cases, Vectors(model) if steers else None, **told)


def in_numbers(asked: dict[str, float]) -> str:
    """A system prompt that asks for one or two styles by amounts out of 100."""
    wanted = [f"At {amount} of 100: {system_prompt(rubric, 'high')}" for rubric, amount in asked.items()]
    both = "Follow both of these at once. " if len(wanted) > 1 else ""
    return f"{both}{SCALE} {' '.join(wanted)}"


def dialled(cell: dict) -> tuple[list[list[dict]], list[float]]:
    """The conversations under each style's low and high system prompt, and their weights, which sum to 1.

    From the mean of all low ones each slider goes the whole way from its own low to its own high: with two styles the
    low ones weigh 1/2 - amount, which is negative beyond the middle, as in guidance.
    """
    conversations, weights = [], []
    for rubric, amount in cell["asked"].items():
        for side in ("low", "high"):
            conversations.append(messages(cell["prompt"], system_prompt(rubric, side)))
        weights += [1 / len(cell["asked"]) - amount / 100, amount / 100]
    return conversations, weights


def slopes(rows: list[dict], pair: tuple[str, str], score: str) -> dict[str, list[float]]:
    """For each style: points judged for a point asked of itself, and of the other, by least squares."""
    found = {}
    for rubric, other in (pair, pair[::-1]):
        read = [row for row in rows if row["rubric"] == rubric and row[score] is not None]
        asked = np.array([[row["asked"][rubric], row["asked"][other], 1] for row in read], float).reshape(-1, 3)
        if len(np.unique(asked[:, :2], axis=0)) < 3:
            return {}
        fitted = np.linalg.lstsq(asked, np.array([row[score] for row in read]), rcond=None)[0]
        found[rubric] = fitted[:2].tolist()
    return found


def with_interval(rows: list[dict], pair: tuple[str, str], score: str) -> dict[str, dict]:
    """Own slope and interference of both styles, each [value, low, high], from a bootstrap over prompts."""
    prompts, chance = sorted({row["prompt"] for row in rows}), np.random.default_rng(0)
    by_prompt = {prompt: [row for row in rows if row["prompt"] == prompt] for prompt in prompts}
    whole, draws = slopes(rows, pair, score), []
    for _ in range(DRAWS if len(prompts) > 1 and whole else 0):
        drawn = [row for place in chance.integers(len(prompts), size=len(prompts)) for row in by_prompt[prompts[place]]]
        draws.append(slopes(drawn, pair, score))
    found = {}
    for rubric, values in whole.items():
        spans = []
        for place, value in enumerate(values):
            ends = [draw[rubric][place] for draw in draws if draw]
            spans.append([value, *(np.percentile(ends, [2.5, 97.5]).tolist() if ends else [value, value])])
        found[rubric] = dict(zip(("own", "interference"), spans))
    return found


def mean_score(rows: list[dict], rubric: str) -> float:
    """Mean of what was judged of a style; nan where nothing could be read."""
    found = [row["score"] for row in rows if row["rubric"] == rubric and row["score"] is not None]
    return float(np.mean(found)) if found else float("nan")


def grid_of(rows: list[dict], pair: tuple[str, str]) -> dict:
    """Mean scores of both styles at each point of the grid, slopes by each judge, and the columns of all ways."""
    nodes: dict[tuple, list[dict]] = {}
    for row in rows:
        nodes.setdefault(tuple(row["asked"][rubric] for rubric in pair), []).append(row)
    points = [{"asked": at, "judged": [mean_score(cell, rubric) for rubric in pair]} for at, cell in nodes.items()]
    return {"points": points, "slopes": {score: with_interval(rows, pair, score) for score in SCORES}} | columns(rows)


def curve_of(rows: list[dict]) -> dict:
    """For each rubric: its mean score by amount, and the columns of all ways."""
    found = {}
    for rubric in dict.fromkeys(row["rubric"] for row in rows):
        mine = [row for row in rows if row["rubric"] == rubric]
        amounts = sorted({row["target"] for row in mine})
        by_amount = {a: mean_score([row for row in mine if row["target"] == a], rubric) for a in amounts}
        found[rubric] = {"by_amount": by_amount} | columns(mine)
    return found


def assemble(planned: list[str]) -> dict:
    """Grids by way and pair, curves by way; and the columns of each way with one style, and with two at once."""
    grids, curves, asked = {}, {}, {}
    for unit in planned:
        way, what = unit.split(": ")
        rows = texts_of(NAME, unit)
        asked.setdefault(way, {}).setdefault("one style" if what == "curve" else "two styles", []).extend(rows)
        if what == "curve":
            curves[way] = curve_of(rows)
        else:
            grids.setdefault(way, {})[what] = grid_of(rows, tuple(what.split(" + ")))
    ways = {way: {number: columns(rows) for number, rows in both.items()} for way, both in asked.items()}
    how = f"make two-styles; {len(planned)} units; slopes: judged points for a point asked, intervals over prompts"
    return {"how": how, "hardware": hardware_of(NAME), "ways": ways, "grids": grids, "curves": curves}


if __name__ == "__main__":
    run(NAME, "benchmarks.beyond.two_styles", assemble, draw_two_styles)
