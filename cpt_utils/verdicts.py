"""What a chat model answers as a judge, read strictly: a wrong number would be worse than asking again."""

import json
import math
import re
from collections.abc import Collection

from cpt_utils.judging import Judgement
from cpt_utils.models.templates import JOINER
from cpt_utils.rubrics import Rubric
from cpt_utils.thoughts import ANY_TAG, aloud

JSON_BEGINS = re.compile(r"\{(?=\s*[\"'“])")
WRAPPERS = {"judgement", "judgment", "verdict", "result", "evaluation", "assessment", "answer", "response", "output"}
SCORES = ("score", "rating", "value", "points")
"""What judges call the score of a criterion, in an object of its own."""
SCALES = {"max", "maximum", "maxscore", "maximumscore", "maxpoints", "outof", "scale", "range"}
"""Keys beside a score that say what it is out of, without spaces and strokes."""
GROUPS = ("criteria", "scores", "criteria_scores", "criterion_scores", "ratings", "breakdown")
"""Keys under which the scores of criteria stand; we ask for the first."""
MARGIN = 5
"""So many points a whole may lie outside of its parts: models weigh by eye."""

NUMBER = r"(?P<number>\d{1,3}(?:\.\d{1,9})?)"
OUT_OF = r"(?:\s?%|\s?(?:points?|pts)\b)?(?:\s?(?:/|\(?\s?(?:points?\s)?out of|of)\s?(?P<scale>\d{1,4})\s?\)?)?"
RANGE = r"(?:\s?[(\[]\s?(?:out of|0\s?(?:-|–|to))\s?(?P<range>\d{1,4})\s?[)\]])?"
IS = r"\s?(?:is|of|was|:|=|-|–|—)?\s?(?:of\s)?"
TOTAL = re.compile(
    rf"(?:so\s|thus\s|therefore,?\s)?(?:the\s|my\s|an?\s|i(?:\swould|'d)?\sgive\s(?:it|this|the\stext)\san?\s)?"
    rf"(?:overall\s|total\s|final\s|whole\s)?(?:score|rating|total|overall|final)\b{RANGE}{IS}{NUMBER}{OUT_OF}[.!]?",
    re.IGNORECASE,
)
PART = re.compile(rf"[-•\d.)\s]{{0,6}}(?P<name>[A-Za-z][\w' ,&-]{{0,60}}?){RANGE}\s?[:=]\s?{NUMBER}{OUT_OF}[.!;,]?")
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
    single = [data for _, data in objects if "score" in data and not _is_verdict(data)]  # criteria one by one
    if not verdicts:
        score, parts = _scores_in_words(words, {_key(c.name) for c in rubric.criteria})
        return None if score is None else _read({"score": score, "criteria": single + parts}, rubric)
    read = [(place, _read({"criteria": single} | data if single else data, rubric)) for place, data in verdicts]
    scores = {judgement and judgement.score for _, judgement in read}
    if len(scores) > 1:  # one is quoted, or revised
        whole = len(rubric.criteria)
        read = [
            (place, j)
            for place, j in read
            if place == "last" or place == "first" and (j is None or len(j.by_criterion) == whole)
        ]
        scores = {judgement and judgement.score for _, judgement in read}
    if len(scores) != 1 or None in scores:
        return None
    parts: dict[str, float] = {}
    for _, judgement in read:
        if any(parts.setdefault(name, value) != value for name, value in judgement.by_criterion.items()):
            return None
    return Judgement(scores.pop(), False, parts)


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
    """The verdict of an object; None if its score, or one of a criterion, cannot be read, or if they disagree."""
    outer = _stated(data)
    score = _number(data["score"], outer)
    keys, parts, strange = {_key(c.name): c.name for c in rubric.criteria}, {}, []
    for name, value in _given(data, keys):
        inner = value if isinstance(value, dict) else {"score": value}
        value = next((inner[word] for word in SCORES if word in inner), None)
        number, known = _number(value, _stated(inner), outer), keys.get(_key(name))
        if known is None:
            strange.append(number)
        elif number is None or parts.setdefault(known, number) != number:
            return None
    if len(parts) == len(keys):
        strange = []  # a comment, or a sum
    if score is None or None in strange:
        return None
    stated = bool(outer) or not str(data["score"]).replace(".", "").isdigit()  # "8/100" is no 8 of 10
    held = bool(rubric.scoring_notes) and (stated or not 0 < score <= 10)
    if not _may_be_whole(score, parts, strange, rubric, held):
        return None
    return Judgement(score, False, parts)


def _stated(data: dict) -> set[str]:
    """What an object says that its score is out of."""
    stated = [value for key, value in data.items() if re.sub(r"[\s_-]", "", key) in SCALES and value is not None]
    ends = [value[-1] if isinstance(value, list) and value else value for value in stated]  # [0, 100]
    words = [re.sub(r"^0(-|–|to)", "", str(value).replace(" ", "")).removesuffix(".0") for value in ends]
    return {word for word in words if re.search(r"\d", word)}  # "high" is none


def _given(data: dict, keys: Collection[str]) -> list[tuple[str, object]]:
    """The scores of criteria with their names, wherever judges put them."""
    given = _named(next((data[group] for group in GROUPS if group in data), None))
    beside = {name: value for name, value in data.items() if name not in ("score", *GROUPS)}
    there = {_key(name) for name, _ in given}
    reasons = {name for name, value in beside.items() if _key(name) in there and _number(value) is None}
    return given + [(name, value) for name, value in beside.items() if _key(name) in keys and name not in reasons]


def _named(group) -> list[tuple[str, object]]:
    """The entries of an object, or of a list of objects with names; "" for one without."""
    if isinstance(group, dict):
        return list(group.items())
    entries = group if isinstance(group, list) else []
    objects = [one if isinstance(one, dict) else {"score": one} for one in entries]
    lone = [next(iter(one.items())) if len(one) == 1 and "score" not in one else ("", one) for one in objects]
    return [(str(one.get("name", one.get("criterion", name))), value) for one, (name, value) in zip(objects, lone)]


def _may_be_whole(score: float, parts: dict[str, float], strange: list[float], rubric: Rubric, held: bool) -> bool:
    """Whether a score can be the mean of its parts, by weight; criteria that are missing may be worth anything.

    strange: parts under names that the rubric has not, which stand for the missing ones where they are as many. held:
    whether notes may hold the whole down ("at most half"); one of 1 to 10 beside higher parts is out of 10, unsaid.
    """
    values, known = list(parts.values()), sum(c.weight for c in rubric.criteria if c.name in parts) / 100
    if len(values) + len(strange) >= len(rubric.criteria):
        values, known = values + strange, 1
    if not values:
        return True
    low = 0 if held else known * min(values)
    return low - MARGIN <= score <= known * max(values) + (1 - known) * 100 + MARGIN


def _key(name: str) -> str:
    """A criterion's name whatever its capitals and spaces, and without what was put into it to break a tag."""
    return " ".join(name.replace(JOINER, "").lower().split())


def _number(value, stated: Collection[str] = (), outer: Collection[str] = ()) -> float | None:
    """A score of 0 to 100: a number, or text such as "72", "8/10" or "72 %"; None where that is not clear.

    stated: what it is out of, by what stands beside it; outer: by what stands beside all, where nothing else does.
    """
    scales = set(stated)
    if isinstance(value, str):
        if not (found := re.fullmatch(rf"\s*{NUMBER}{OUT_OF}\s*", value)):
            return None
        value, scales = found["number"], scales | {found["scale"], "100" if "%" in value else None} - {None}
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    scales = scales or set(outer)
    try:
        return None if len(scales) > 1 else _scaled(value, next(iter(scales), None))
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


def _scores_in_words(words: str, keys: Collection[str]) -> tuple[float | None, list[dict]]:
    """The total that a sentence states, and the parts that others do, of the criteria with these keys.

    No total if none is stated, two disagree, or a sentence gives scores in another way.
    """
    totals, parts = set(), []
    for line in words.splitlines():
        line = " ".join(re.sub(r"^[>#\s]+|[*_`\"|]", " ", line).split()).replace(" / ", "/").replace(" :", ":")
        for statement in re.split(r"(?<=[.!?])\s", line):
            if found := TOTAL.fullmatch(statement):
                scales = {found["scale"], found["range"]} - {None} or {None}
                totals.add(_scaled(found["number"], scales.pop()) if len(scales) == 1 else None)
            elif found := PART.fullmatch(statement):
                name = re.sub(r"\s(?:score|rating)$", "", found["name"], flags=re.IGNORECASE)
                if _key(name) in keys:
                    scales = {"max": found["scale"], "range": found["range"]}
                    parts.append({"name": name, "score": found["number"]} | scales)
            elif re.search(r"\d", statement) and TALKS_OF_SCORES.search(statement):
                return None, []
    return totals.pop() if len(totals) == 1 else None, parts
