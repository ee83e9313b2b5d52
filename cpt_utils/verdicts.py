"""What a chat model answers as a judge, read strictly: a wrong number would be worse than asking again."""

import json
import math
import re

from cpt_utils.judging import Judgement
from cpt_utils.rubrics import Rubric

THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
THOUGHT_END = re.compile(r".*</(think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
SCALE = re.compile(r"[(\[]?\b(?:0\s*(?:-|–|to)\s*100|out\s+of\s+100(?=\s*[)\]]))\b[)\]]?")  # "(0-100)" is no score
IN_WORDS = re.compile(
    r"(?P<total>overall|total|final)?[\s*_\"]*\bscore\b(?:\W{0,6}(?:is|of)\b)?[^\w\n-]{0,8}"
    r"(?P<number>-?\d{1,9}(?:\.\d{1,9})?)(?![\d.,]*\d|\s*(?:-|–|to\b)\s*\d)"
    r"\s*(?:(?:/|out\s+of|of)\s*(?P<scale>\d+)\b)?",
    re.IGNORECASE,
)
TRIES = 200  # braces in an answer that are tried as the beginning of JSON


def parse_judgement(answer: str, rubric: Rubric, mark: str = "") -> Judgement | None:
    """Read a judge's answer; None where it is not clear, so that the judge is asked again.

    Read are the outermost JSON objects, outside thinking and outside what stands between two `mark`s (the judged
    text, quoted). The fullest one counts; two that are as full and disagree are not clear. Without any JSON, words
    such as "Overall score: 72" or "score: 8/10" count, unless they disagree.
    """
    answer = THOUGHT.sub("", THOUGHT_END.sub("", answer))
    if mark:
        answer = re.sub(f"{re.escape(mark)}.*?({re.escape(mark)}|\\Z)", "", answer, flags=re.DOTALL)
    objects, words = _objects(answer)
    verdicts = [verdict for verdict in objects if "score" in verdict[1]]
    if not verdicts:
        score = _score_in_words(words)
        return None if score is None else Judgement(score, False)
    best = max(_fullness(verdict, rubric) for verdict in verdicts)
    read = [_read(data, rubric) for alone, data in verdicts if _fullness((alone, data), rubric) == best]
    clear = read[0] is not None and all(other is not None and other.score == read[0].score for other in read)
    return read[-1] if clear else None


def _objects(answer: str) -> tuple[list[tuple[bool, dict]], str]:
    """The outermost JSON objects, each with whether it stands alone on its lines; and the words around them."""
    decoder, place, shown, objects, words = json.JSONDecoder(), 0, 0, [], ""
    for _ in range(TRIES):
        place = answer.find("{", place)
        if place < 0:
            break
        try:
            data, end = decoder.raw_decode(answer, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        before, after = answer[:place].rpartition("\n")[2], answer[end:].partition("\n")[0]
        data = _lowered(data)
        inner = next(iter(data.values()), None)
        if len(data) == 1 and isinstance(inner, dict):  # {"judgement": {...}}
            data = _lowered(inner)
        objects.append((not before.strip(" \t[`") and not after.strip(" \t]`"), data))
        words += answer[shown:place] + "\n"
        place = shown = end
    return objects, words + answer[shown:]


def _lowered(data: dict) -> dict:
    return {key.strip().lower(): value for key, value in data.items()}


def _fullness(verdict: tuple[bool, dict], rubric: Rubric) -> tuple:
    """How much of a verdict an object is: scores of the criteria first, then whether it stands alone."""
    alone, data = verdict
    return len(_criteria(data, rubric)), alone


def _criteria(data: dict, rubric: Rubric) -> dict[str, float]:
    """The readable scores of the rubric's criteria: numbers, or objects with a score each, by name or as a list."""
    given = data.get("criteria")
    if isinstance(given, list):
        given = {str(_lowered(one).get("name", "")): one for one in given if isinstance(one, dict)}
    if not isinstance(given, dict):
        return {}
    given, scores = _lowered(given), {}
    for criterion in rubric.criteria:
        value = given.get(criterion.name.lower())
        if isinstance(value, dict):
            value = _lowered(value).get("score")
        if (score := _number(value)) is not None:
            scores[criterion.name] = score
    return scores


def _read(data: dict, rubric: Rubric) -> Judgement | None:
    score = _number(data["score"])
    return None if score is None else Judgement(score, False, _criteria(data, rubric))


def _number(value) -> float | None:
    """A score of 0 to 100: a number, or text such as "72", "8/10" or "72 %"; None where that is not clear."""
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(-?\d{1,4}(?:\.\d{1,9})?)\s*(?:%|(?:/|out of|of)\s*(\d+))?\s*", value)
        return _scaled(found[1], found[2]) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return _scaled(value, None)
    except OverflowError:
        return None


def _scaled(number: "str | float", scale: str | None) -> float | None:
    """A number out of 10 or of 100 (None: 100) as one out of 100; None beyond that, or if it may be a share of 1."""
    value = float(number)
    if scale == "10":
        value *= 10
    elif scale not in (None, "100") or 0 < value < 1:  # 0.72 of 100, or 72? The judge is asked again
        return None
    return value if math.isfinite(value) and 0 <= value <= 100 else None


def _score_in_words(answer: str) -> float | None:
    """The score in a sentence; None if there is none or several that disagree. A total beats a criterion's."""
    matches = list(IN_WORDS.finditer(SCALE.sub(" ", answer)))
    totals = [found for found in matches if found["total"]]
    scores = {_scaled(found["number"], found["scale"]) for found in totals or matches}
    return scores.pop() if len(scores) == 1 else None
