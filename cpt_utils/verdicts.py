"""What a chat model answers as a judge, read strictly: a wrong number would be worse than asking again."""

import json
import math
import re

from cpt_utils.judging import Judgement
from cpt_utils.models.templates import JOINER
from cpt_utils.rubrics import Rubric
from cpt_utils.thoughts import ANY_TAG, aloud

JSON_BEGINS = re.compile(r"\{(?=\s*[\"'“])")
WRAPPERS = {"judgement", "judgment", "verdict", "result", "evaluation", "assessment", "answer", "response", "output"}
SCALES = ("max_score", "max", "out_of", "scale", "maximum")
"""Keys beside a score that say what it is out of."""

NUMBER = r"(?P<number>\d{1,3}(?:\.\d{1,9})?)"
OUT_OF = r"(?:\s?%|\s?(?:points?|pts)\b)?(?:\s?(?:/|\(?\s?(?:points?\s)?out of|of)\s?(?P<scale>\d{1,4})\s?\)?)?"
RANGE = r"(?:\s?[(\[]\s?(?:out of|0\s?(?:-|–|to))\s?(?P<range>\d{1,4})\s?[)\]])?"
IS = r"\s?(?:is|of|was|:|=|-|–|—)?\s?(?:of\s)?"
TOTAL = re.compile(
    rf"(?:so\s|thus\s|therefore,?\s)?(?:the\s|my\s|an?\s|i(?:\swould|'d)?\sgive\s(?:it|this|the\stext)\san?\s)?"
    rf"(?:overall\s|total\s|final\s|whole\s)?(?:score|rating|total|overall|final)\b{RANGE}{IS}{NUMBER}{OUT_OF}[.!]?",
    re.IGNORECASE,
)
PART = re.compile(rf"[-•\d.)\s]{{0,6}}[A-Za-z][\w' ,&-]{{0,60}}?{RANGE}\s?[:=]\s?{NUMBER}{OUT_OF}[.!;,]?")
TALKS_OF_SCORES = re.compile(r"\b(?:score|rating|rate|total|overall|points?|give|grade|mark|final)", re.IGNORECASE)


def parse_judgement(answer: str, rubric: Rubric, *marks: str) -> Judgement | None:
    """Read a judge's answer; None where it is not clear, so that the judge is asked again.

    Read are the outermost JSON objects, outside thinking and outside what stands between two equal `marks` (the task
    and the judged text, quoted). Where several have a score, they agree, or one closes the answer on lines of its
    own, or opens it with all the criteria. Without any JSON verdict, sentences such as "Overall score: 72" or
    "score: 8/10" count, if nothing else in the answer speaks of scores in numbers.
    """
    for mark in marks:
        answer = re.sub(f"{re.escape(mark)}.*?(?:{re.escape(mark)}|\\Z)", "", answer, flags=re.DOTALL)
    answer = aloud(answer, ANY_TAG, strict=True)
    found = None if answer is None else _objects(answer)
    if found is None:
        return None
    objects, words = found
    verdicts = [verdict for verdict in objects if _is_verdict(verdict[1])]
    if not verdicts:
        score = _score_in_words(words)
        return None if score is None else Judgement(score, False)
    read = [(place, _read(data, rubric)) for place, data in verdicts]
    scores = {judgement and judgement.score for _, judgement in read}
    if len(scores) > 1:  # one is quoted, or revised
        whole = len(rubric.criteria)
        read = [
            (place, j)
            for place, j in read
            if place == "last" or place == "first" and j and len(j.by_criterion) == whole
        ]
        scores = {judgement and judgement.score for _, judgement in read}
    return max(read, key=lambda one: len(one[1].by_criterion))[1] if len(scores) == 1 and None not in scores else None


def _objects(answer: str) -> tuple[list[tuple[str, dict]], str] | None:
    """The outermost JSON objects, each with its place ("first", "last" or ""), and the words around them.

    None where one is broken: what is left of it might be read for another.
    """
    decoder, objects, words, shown = json.JSONDecoder(object_pairs_hook=_once), [], "", 0
    while begin := JSON_BEGINS.search(answer, shown):
        try:
            data, end = decoder.raw_decode(answer, begin.start())
        except (ValueError, RecursionError):
            return None
        before, after = answer[: begin.start()].rstrip(" \t[("), answer[end:].lstrip(" \t])")
        place = ""
        if not before or before.endswith(("\n", "`")):
            last, first = not after.strip("`.\n\r \t"), not before.strip("`\n\r \t").removeprefix("json")
            alone = not after or after.startswith(("\n", "\r", "`"))
            place = "last" if last else "first" if first and alone else ""
        inner = next(iter(data.values()), None)
        if len(data) == 1 and isinstance(inner, dict) and next(iter(data)) in WRAPPERS:
            data = inner
        objects.append((place, data))
        words += answer[shown : begin.start()] + "\n"
        shown = end
    return objects, words + answer[shown:]


def _once(pairs: list[tuple[str, object]]) -> dict:
    """An object with its keys in lower case; a ValueError if one comes twice, as either might be meant."""
    data = {key.strip().lower(): value for key, value in pairs}
    if len(data) < len(pairs):
        raise ValueError("a key comes twice")
    return data


def _is_verdict(data: dict) -> bool:
    """Whether an object speaks of the whole text, not of one criterion."""
    return "score" in data and not {"criterion", "name"} & set(data)


def _read(data: dict, rubric: Rubric) -> Judgement | None:
    scales = {str(data[key]).replace(" ", "").removeprefix("0-") for key in SCALES if key in data} or {None}
    if len(scales) > 1:
        return None
    (scale,) = scales
    score, given = _number(data["score"], scale), _given(data)
    criteria = {
        c.name: value for c in rubric.criteria if (value := _number(given.get(_key(c.name)), scale)) is not None
    }
    tenths = [value for value in given.values() if isinstance(value, str) and re.search(r"/\s*10\s*$", value)]
    if score is None or (tenths and score <= 10 and max(criteria.values(), default=0) > 10):
        return None  # the whole would be of another scale than its parts
    return Judgement(score, False, criteria)


def _given(data: dict) -> dict[str, object]:
    """The scores of criteria, by the keys of their names: from an object, or from a list of objects with names."""
    given = data.get("criteria")
    if isinstance(given, list):
        named = [one for one in given if isinstance(one, dict)]
        given = {str(one.get("name", one.get("criterion", ""))): one for one in named}
    if not isinstance(given, dict):
        return {}
    return {_key(name): value.get("score") if isinstance(value, dict) else value for name, value in given.items()}


def _key(name: str) -> str:
    """A criterion's name whatever its capitals and spaces, and without what was put into it to break a tag."""
    return " ".join(name.replace(JOINER, "").lower().split())


def _number(value, scale: str | None = None) -> float | None:
    """A score of 0 to 100: a number, or text such as "72", "8/10" or "72 %"; None where that is not clear."""
    if isinstance(value, str):
        found = re.fullmatch(rf"\s*{NUMBER}{OUT_OF}\s*", value)
        return _scaled(found["number"], found["scale"] or scale) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return _scaled(value, scale)
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


def _score_in_words(words: str) -> float | None:
    """The total that a sentence states. None if none does, two disagree, or a sentence gives scores in another way."""
    totals = set()
    for line in words.splitlines():
        line = " ".join(re.sub(r"^[>#\s]+|[*_`\"|]", " ", line).split()).replace(" / ", "/").replace(" :", ":")
        for statement in re.split(r"(?<=[.!?])\s", line):
            if found := TOTAL.fullmatch(statement):
                scales = {found["scale"], found["range"]} - {None} or {None}
                totals.add(_scaled(found["number"], scales.pop()) if len(scales) == 1 else None)
            elif re.search(r"\d", statement) and TALKS_OF_SCORES.search(statement) and not PART.fullmatch(statement):
                return None
    return totals.pop() if len(totals) == 1 else None
