"""Does a style hold where it was not trained, and what is lost for it? `make holds`.

Three ways to steer (ways.py) answer in a second and a fourth turn, against a user who wants plain words, in other kinds
of text, at three times the length, and under system prompts with typing errors or in German. Every prompt is answered
for low and for high; judged is the gap between the two, by the judge that reads sentence embeddings alone, and beside
it what columns.py tells. What is lost: sums of one digit, copying a sentence, answering in the language of the
question, of which no style is judged. Writes results/holds.json.
"""

import re

import numpy as np
import yaml

from benchmarks.answers import base_model, by_prompt, options
from benchmarks.beyond.columns import columns, judged, texts_of
from benchmarks.beyond.drawings import draw_holds
from benchmarks.beyond.running import hardware_of, run
from benchmarks.beyond.small_rubrics import DATA
from benchmarks.beyond.ways import WAYS, Vectors, mistyped, model_of, say
from benchmarks.measured import so_far
from benchmarks.trainings import PROMPTS, RUBRICS, settings
from cpt_utils.degenerate import frequency
from cpt_utils.measures import words_of
from cpt_utils.prompts import messages, system_prompt
from cpt_utils.rows import TARGETS

NAME = "holds"
ASKED = yaml.safe_load((DATA / "holds.yaml").read_text("utf-8"))
SIDES = ("low", "high")
FIRST = "first turn"
TURNS = {1: FIRST, 2: "second turn", 4: "fourth turn"}
LONG = "three times as long"
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
NUMBERS = (NUMBERS + "seventeen eighteen").split()
SIZES = {
    False: {"prompts": PROMPTS, "rubrics": RUBRICS, "new_tokens": 130, "each": None},
    True: {"prompts": PROMPTS[:1], "rubrics": RUBRICS[:1], "new_tokens": 8, "each": 1},
}
PARTS = ("turns", "wordings", "requests", "long", "lost")


def units(tiny: bool) -> dict[str, tuple]:
    """Name -> (function, its arguments)."""
    return {f"{way}, {part}": (measure, way, part, tiny) for part in PARTS for way in WAYS}


def measure(way: str, part: str, tiny: bool) -> dict:
    """The texts of one way and part, judged; of "lost" what was right."""
    model, size = model_of(way), SIZES[tiny]
    vectors = Vectors(model) if way == "vector" else None

    def write(cases, new_tokens=size["new_tokens"], **changes):
        told = options(settings()) | {"max_new_tokens": new_tokens} | changes
        return say(model, way, cases, vectors, **told)

    if part == "lost":
        return {"lost": lost(way, size, write)}
    makers = {"turns": turns, "wordings": wordings, "requests": requests, "long": at_length}
    rows = [{key: row[key] for key in row if key not in ("turns", "targets")} for row in makers[part](way, size, write)]
    return {"chosen": getattr(vectors, "chosen", None), "written": judged(rows, base_model())}


def case(condition: str, prompt: str, rubric: str, side: str, said: str | None = None, system: str = "") -> dict:
    """A prompt to answer for a rubric's low or high; `said` is what the user says, if it is not the prompt alone."""
    turns = messages(said or prompt, system or system_prompt(rubric, side))
    asked = {"condition": condition, "prompt": prompt, "rubric": rubric, "target": TARGETS[side]}
    return asked | {"turns": turns, "targets": {rubric: TARGETS[side]}}


def grid(size: dict, make) -> list[dict]:
    """`make(prompt, rubric, side)` for all of them."""
    return [make(p, r, side) for p in size["prompts"] for r in size["rubrics"] for side in SIDES]


def turns(way: str, size: dict, write) -> list[dict]:
    """Four prompts in one conversation, each answered by the model itself; the first, second and fourth are kept."""
    cases, rows = grid(size, lambda prompt, rubric, side: case(FIRST, prompt, rubric, side)), []
    for turn in range(1, 5):
        texts = write(cases)
        if turn in TURNS:
            rows += [one | {"condition": TURNS[turn], "response": text} for one, text in zip(cases, texts)]
        for one, text in zip(cases, texts):
            following = PROMPTS[(PROMPTS.index(one["prompt"]) + 1) % len(PROMPTS)]
            one["turns"] = one["turns"] + [{"role": "assistant", "content": text}] + messages(following)
            one["prompt"] = following
    return rows


def wordings(way: str, size: dict, write) -> list[dict]:
    """A user who wants plain words; typing errors and German in the system prompt, which a vector does not read."""

    def plainly(prompt, rubric, side):
        return case("user: write plainly", prompt, rubric, side, f"{prompt} {ASKED['plainly']}")

    def errors(prompt, rubric, side):
        return case("typing errors", prompt, rubric, side, system=mistyped(system_prompt(rubric, side)))

    def german(prompt, rubric, side):
        return case("system prompt in German", prompt, rubric, side, system=ASKED["german"][rubric][side])

    makers = (plainly,) if way == "vector" else (plainly, errors, german)
    return answered([one for make in makers for one in grid(size, make)], write)


def requests(way: str, size: dict, write) -> list[dict]:
    """E-mails, lists, tables, code and facts instead of reviews and short prose."""
    cases = []
    for kind, prompts in ASKED["requests"].items():
        some = size | {"prompts": prompts[: size["each"]]}
        cases += grid(some, lambda prompt, rubric, side, kind=kind: case(kind, prompt, rubric, side))
    return answered(cases, write)


def at_length(way: str, size: dict, write) -> list[dict]:
    """Long texts, of which the last third is judged."""
    cases = grid(size, lambda prompt, rubric, side: case(LONG, prompt, rubric, side, f"{prompt} {ASKED['long']}"))
    rows = answered(cases, write, new_tokens=3 * size["new_tokens"])
    return [row | {"words": len(row["response"].split()), "response": last_third(row["response"])} for row in rows]


def answered(cases: list[dict], write, **changes) -> list[dict]:
    return [one | {"response": text} for one, text in zip(cases, write(cases, **changes))]


def last_third(text: str) -> str:
    words = text.split()
    return " ".join(words[-max(1, len(words) // 3) :]) if words else ""


def lost(way: str, size: dict, write) -> dict[str, dict[str, float]]:
    """Shares of right answers, greedy, with nothing asked of the style and under each rubric's high."""
    cases = tests(size)
    found = {}
    for rubric in (None, *size["rubrics"]):
        asked = [one | {"turns": messages(one["say"], rubric and system_prompt(rubric, "high"))} for one in cases]
        asked = [one | {"targets": {rubric: TARGETS["high"]} if rubric else {}} for one in asked]
        texts = write(asked, new_tokens=min(60, 5 * size["new_tokens"]), temperature=0.0)
        shares: dict[str, list[bool]] = {}
        for one, text in zip(cases, texts):
            shares.setdefault(one["test"], []).append(RIGHT[one["test"]](text, one["answer"]))
        found[rubric or "nothing asked"] = {test: float(np.mean(rights)) for test, rights in shares.items()}
    return found


def tests(size: dict) -> list[dict]:
    """{test, say, answer}: sums of two digits, sentences to copy, questions in other languages."""
    sums = [(a, b) for a in range(1, 10) for b in range(a, 10)][:: 2 if size["each"] is None else 40]
    found = [{"test": "sum", "say": f"What is {a} + {b}?", "answer": str(a + b)} for a, b in sums]
    for text in ASKED["copy"][: size["each"]]:
        found.append({"test": "copy", "say": f"Repeat this sentence word for word: {text}", "answer": text})
    for language, questions in ASKED["languages"].items():
        found += [{"test": "language", "say": text, "answer": language} for text in questions[: size["each"]]]
    return found


def has_sum(text: str, answer: str) -> bool:
    """Whether the number is there, in digits or as a word."""
    return bool(re.search(rf"\b({answer}|{NUMBERS[int(answer)]})\b", text.lower()))


def has_copy(text: str, answer: str) -> bool:
    """Whether the words of the sentence stand there in a row."""
    return f" {' '.join(words_of(answer))} " in f" {' '.join(words_of(text))} "


def is_in(text: str, language: str) -> bool:
    """Whether the language is, of those asked in and English, the one whose common words the text has most of."""
    words = words_of(text)
    usual = {other: frequency(words, other) for other in ("en", *ASKED["languages"])} if words else {}
    return bool(usual) and max(usual, key=usual.get) == language


RIGHT = {"sum": has_sum, "copy": has_copy, "language": is_in}


def gap_of(rows: list[dict], score: str) -> dict:
    """High minus low of one prompt and rubric: mean and standard error over prompts, and the share above 0.

    Pairs that could not be read are left out there. `gap_of_all`, which is what is shown, has each as none: a vector's
    texts are read more seldom where it pushes hard, and untuned ones under a German order.
    """
    pairs: dict[tuple, dict[int, float | None]] = {}
    for row in rows:
        pairs.setdefault((row["prompt"], row["rubric"]), {})[row["target"]] = row[score]
    low, high = (TARGETS[side] for side in SIDES)
    read = {key: pair[high] - pair[low] for key, pair in pairs.items() if None not in pair.values()}
    if not read:
        return {"gap": None, "above": None, "unread_pairs": len(pairs), "gap_of_all": None}
    gaps = list(read.values())
    found = {"gap": by_prompt(gaps, [prompt for prompt, _ in read]), "above": float(np.mean([g > 0 for g in gaps]))}
    of_all = by_prompt([read.get(key, 0.0) for key in pairs], [prompt for prompt, _ in pairs])
    return found | {"unread_pairs": len(pairs) - len(read), "gap_of_all": of_all}


def condition_of(rows: list[dict]) -> dict:
    """The gap by the embedding judge, by the series' judge and by the one of letters, and the columns of all ways:
    "unread" there counts texts, of which a pair has two."""
    others = {"style_gap": gap_of(rows, "score")["gap"], "letters_gap": gap_of(rows, "letters")["gap"]}
    return gap_of(rows, "meaning") | others | columns(rows)


def assemble(planned: list[str]) -> dict:
    """The table: way -> condition -> figures; and what is lost."""
    table, gone, found = {}, {}, so_far(f"{NAME}_units")
    for way in WAYS:
        rows = [row for part in PARTS[:-1] for row in texts_of(NAME, f"{way}, {part}")]
        conditions = dict.fromkeys(row["condition"] for row in rows)
        table[way] = {name: condition_of([row for row in rows if row["condition"] == name]) for name in conditions}
        gone[way] = found[f"{way}, lost"]["found"]["lost"]
    return {
        "how": f"make holds; {len(planned)} units; gap: judged high minus low, by sentence embeddings alone",
        "hardware": hardware_of(NAME),
        "chosen": found[f"vector, {PARTS[0]}"]["found"]["chosen"],
        "table": table,
        "lost": gone,
    }


if __name__ == "__main__":
    run(NAME, "benchmarks.beyond.holds", assemble, draw_holds)
