"""Checks of the exercises in notebook 01."""

from cpt_utils.exercises.checking import compare, exercise
from cpt_utils.runtime.errors import Mistake

CRITERIA = (
    "Ornamental diction",
    "Winding syntax",
    "Excess and accumulation",
    "Self-mockery",
    "Courtly address",
)


TEXTS = {"A": (95, 70, 90, 10, 20), "B": (65, 65, 65, 65, 65), "C": (40, 75, 35, 95, 80)}


@exercise("replace each ... by a number.", "same texts, another winner: the weights say what you value.")
def check_weights(weights: dict):
    """Weights of the five rococo criteria under which text C wins and diction stays the heaviest."""
    if set(weights) != set(CRITERIA):
        raise Mistake("Keep the five names of the criteria as they are and change the numbers only.")
    total = sum(weights.values())
    if abs(total - 1) < 0.01:
        raise Mistake("The weights sum to 1: they are percentages, so give 30 and not 0.30.")
    if low := [name for name, weight in weights.items() if weight <= 0]:
        raise Mistake(f"{low[0]!r} weighs {weights[low[0]]:g}: every criterion must count, so go above 0.")
    if abs(total - 100) > 0.01:
        raise Mistake(f"The weights sum to {total:g} instead of 100: what one gains, another has to lose.")
    heaviest = max(weights, key=weights.get)
    if weights[heaviest] > weights[CRITERIA[0]]:
        raise Mistake(f"{heaviest!r} now weighs more than {CRITERIA[0]!r}, which has to stay the heaviest.")
    score = {
        text: sum(weights[name] * value for name, value in zip(CRITERIA, values)) / 100
        for text, values in TEXTS.items()
    }
    best = max(score, key=score.get)
    if best != "C" or sorted(score.values())[-2] == score["C"]:
        best = max("AB", key=score.get)
        raise Mistake(
            f"Text {best} is not beaten yet, with {score[best]:.1f} against {score['C']:.1f} for C: move "
            f"weight to criteria where C is ahead of {best}."
        )


@exercise("return a number from shouting(text).", "a rate per 100 words does not grow with the text.")
def check_shouting(shouting):
    """shouting(text): words of two or more letters in capitals, per 100 words; 0 for an empty text."""

    def capitals(text):
        return sum(len(word) > 1 and word.isupper() for word in text.split())

    def words(text):
        return max(len(text.split()), 1)

    def rate(text):
        return 100 * capitals(text) / words(text)

    def counts_only(text):
        """That is a bare count, and it doubles when the text is doubled: divide by the number of words."""
        return capitals(text)

    def gives_a_share(text):
        """That is a share between 0 and 1: multiply by 100 to get words per 100 words."""
        return capitals(text) / words(text)

    def counts_single_letters(text):
        """It looks as if single capitals such as "I" are counted: ask for at least two letters."""
        return 100 * sum(word.isupper() for word in text.split()) / words(text)

    def divides_by_characters(text):
        """It looks as if you divide by characters: divide by the number of words."""
        return 100 * capitals(text) / max(len(text), 1)

    def counts_letters(text):
        """It looks as if capital letters are counted: count whole words."""
        return 100 * sum(letter.isupper() for letter in text) / words(text)

    def counts_first_letters(text):
        """It looks as if every word that begins with a capital counts: use isupper() on the whole word."""
        return 100 * sum(word[0].isupper() for word in text.split()) / words(text)

    texts = ("STOP right there", "wait I said STOP NOW", "Dear Reader, all is calm", "HELLO dear reader " * 4, "")
    cases = {repr(text) if text else "an empty text": (text,) for text in texts}
    slips = [
        counts_only,
        gives_a_share,
        counts_single_letters,
        divides_by_characters,
        counts_letters,
        counts_first_letters,
    ]
    compare(shouting, cases, rate, slips)


@exercise("fill in a text and the flag that you expect.", "")
def check_fool_the_judge(text: str, flag: str):
    """A text without sense that scores 70 or more under rococo, and the flag that it gets."""
    from cpt_utils.degenerate import SALAD
    from cpt_utils.judging import embedded_judge
    from cpt_utils.measures import repetition, style_measures
    from cpt_utils.prompts import load_responses
    from cpt_utils.word_order import order_score

    flags = ("repetition", "keyword salad", "none")
    if flag not in flags:
        raise Mistake(f"The flag {flag!r} does not exist: choose one of {', '.join(flags)}.")
    if len(text.split()) < 20:
        raise Mistake(f"The text has {len(text.split())} words: write 20 or more, enough to have a style.")
    if text.strip() in {row["response"] for row in load_responses()}:
        raise Mistake("This is one of the recorded responses, which have sense: write nonsense of your own.")
    verdict, measures = embedded_judge().score("rococo", "", text), style_measures(text)
    if verdict.score is None:
        raise Mistake(f"The judge gives no score ({verdict.reason}): write English words.")
    if verdict.score < 70:
        ornate = measures["ornament"] >= 15
        wanting = "commas, long sentences and courtly address" if ornate else "rare and ornamental words"
        raise Mistake(f"The judge gives {verdict.score:.0f}, you need 70: try more {wanting}.")
    given = verdict.reason or "none"
    why = (
        f"{repetition(text, 3):.0%} of its three-word runs are repeats; the order of its words is worth "
        f"{order_score(text):+.2f}, and below {SALAD:+.2f} the text counts as a keyword salad"
    )
    if flag != given:
        raise Mistake(f"It scores {verdict.score:.0f}, but its flag is {given!r}, not {flag!r}: {why}.")
    if flag == "none":
        return f"score {verdict.score:.0f} and no flag. If it makes no sense, you found a hole in this judge."
    return f"score {verdict.score:.0f}, flag {flag!r} ({why}); the score alone would have rewarded it."
