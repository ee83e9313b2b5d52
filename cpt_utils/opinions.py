"""What people say of each text, with the marks of all of them put together."""

from cpt_utils.marks import Mark, is_test
from cpt_utils.rows import TARGETS


def by_text(marks: list[Mark]) -> dict[str, float]:
    """The mean target of each text's marks: what a judge is held against where several people marked."""
    points: dict[str, list[int]] = {}
    for mark in marks:
        points.setdefault(mark["response"], []).append(TARGETS[mark["level"]])
    return {response: sum(given) / len(given) for response, given in points.items()}


def marked_texts(marks: list[Mark], scores: dict[str, dict]) -> list[dict]:
    """The marked texts with all that was said of them, a row each: {response, half, marks, score, by_criterion}.

    The marks are by one rubric; `scores`: {score, by_criterion} of each text by the same.
    """
    rows: dict[str, dict] = {}
    for mark in marks:
        response = mark["response"]
        half = "test" if is_test(response) else "fit"
        row = rows.setdefault(response, {"response": response, "half": half, "marks": []} | scores[response])
        row["marks"].append({name: value for name, value in mark.items() if name != "response"})
    return list(rows.values())


def divided(marks: list[Mark]) -> list[tuple[str, list[Mark]]]:
    """(text, its marks) of the texts on which people part, those first on which they part most."""
    of_text: dict[str, list[Mark]] = {}
    for mark in marks:
        of_text.setdefault(mark["response"], []).append(mark)

    def spread(given: list[Mark]) -> int:
        points = [TARGETS[mark["level"]] for mark in given]
        return max(points) - min(points)

    parted = [(response, given) for response, given in of_text.items() if spread(given)]
    return sorted(parted, key=lambda pair: -spread(pair[1]))
