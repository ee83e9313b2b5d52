"""Checks of the exercises in notebooks 01 and 02; those of 03-06 can be imported from here, too."""

import re

from cpt_utils.exercises.checking import Mistake, compare, exercise
from cpt_utils.exercises.capstone import check_anchor_score, check_choose  # noqa: F401
from cpt_utils.exercises.results import check_accuracy, check_best_of_n, check_bootstrap, check_macro_spearman
from cpt_utils.exercises.training import check_count_rows, check_dpo_loss, check_implicit_reward, check_loss_predictions, check_mirror, check_mirrored_gradients, check_split
from cpt_utils.prompts import TARGETS

# ---------------------------------------------------------------- 01 · rubric design

CRITERIA = (
    "Ornamental diction", "Winding syntax", "Excess and accumulation", "Self-mockery", "Courtly address",
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
    hit = lambda word: len(word) > 1 and word.isupper()  # noqa: E731
    count = lambda text: sum(map(hit, text.split()))  # noqa: E731
    cases = {
        repr(text) if text else "an empty text": (text,) for text in
        ("STOP right there", "wait I said STOP NOW", "all is calm", "HELLO dear reader " * 4, "")
    }
    compare(shouting, cases, lambda text: 100 * count(text) / max(len(text.split()), 1), {
        "That is a bare count, and it doubles when the text is doubled: divide by the number of words.":
            lambda text: count(text),
        "That is a share between 0 and 1: multiply by 100 to get words per 100 words.":
            lambda text: count(text) / max(len(text.split()), 1),
        'It looks as if single capitals such as "I" are counted: ask for at least two letters.':
            lambda text: 100 * sum(w.isupper() for w in text.split()) / max(len(text.split()), 1),
        "It looks as if you divide by characters: divide by the number of words.":
            lambda text: 100 * count(text) / max(len(text), 1),
        "It looks as if capital letters are counted: count whole words.":
            lambda text: 100 * sum(c.isupper() for c in text) / max(len(text.split()), 1),
        'It looks as if every word that begins with a capital counts: use isupper() on the whole word.':
            lambda text: 100 * sum(w[0].isupper() for w in text.split()) / max(len(text.split()), 1),
    })


@exercise("fill in a text and the flag that you expect.", "")
def check_fool_the_judge(text: str, flag: str):
    """A text without sense that scores 70 or more under rococo, and the flag that it gets."""
    from cpt_utils.judging import embedded_judge
    from cpt_utils.measures import repetition, style_measures
    from cpt_utils.prompts import load_responses

    flags = ("repetition", "keyword salad", "none")
    if flag not in flags:
        raise Mistake(f"The flag {flag!r} does not exist: choose one of {', '.join(flags)}.")
    if len(text.split()) < 20:
        raise Mistake(f"The text has {len(text.split())} words: write 20 or more, enough to have a style.")
    if text.strip() in {row["response"] for row in load_responses()}:
        raise Mistake("This is one of the recorded responses, which have sense: write nonsense of your own.")
    verdict, measures = embedded_judge().score("rococo", "", text), style_measures(text)
    if verdict.score < 70:
        ornate = measures["ornament"] >= 15
        wanting = "commas, long sentences and courtly address" if ornate else "rare and ornamental words"
        raise Mistake(f"The judge gives {verdict.score:.0f}, you need 70: try more {wanting}.")
    given = verdict.reason or "none"
    why = (f"{repetition(text, 3):.0%} of its three-word runs are repeats, {measures['function']:.0f}% of "
           f"its words are function words, {measures['punctuation']:.0f}% of its characters are marks")
    if flag != given:
        raise Mistake(f"It scores {verdict.score:.0f}, but its flag is {given!r}, not {flag!r}: {why}.")
    if flag == "none":
        return f"score {verdict.score:.0f} and no flag. If it makes no sense, you found a hole in this judge."
    return f"score {verdict.score:.0f}, flag {flag!r} ({why}); the score alone would have rewarded it."


# ---------------------------------------------------------------- 02 · synthetic generation


def length_rows(plan: dict[str, str]) -> list[dict]:
    """Rows {rubric, target, response}, 24 a rubric; by plan, words or letters change with the target."""
    rows = []
    for rubric, kind in plan.items():
        for rank, target in enumerate(TARGETS.values()):
            for base in range(30, 46, 2):
                words = base + {"longer": 10, "shorter": -10}.get(kind, 0) * rank
                word = ("so", "rather", "extraordinarily")[rank] if kind == "letters" else "word"
                rows.append({"rubric": rubric, "target": target, "response": " ".join([word] * words)})
    return rows


@exercise("return the suspicious rubrics.", "one number per rubric finds a shortcut before a model does.")
def check_length_shortcuts(suspects):
    """suspects(rows): names of the rubrics in which |Spearman(words, target)| is 0.5 or more."""
    from scipy.stats import spearmanr

    def names(measure, keep, pooled=False):
        def find(rows):
            found = {row["rubric"] for row in rows}
            groups = {n: [r for r in rows if pooled or r["rubric"] == n] for n in found}
            rho = {n: spearmanr([measure(r["response"]) for r in group], [r["target"] for r in group])[0]
                   for n, group in groups.items()}
            return {n for n in found if keep(rho[n])}
        return find

    words, strong = lambda text: len(text.split()), lambda rho: abs(rho) >= 0.5  # noqa: E731
    plans = (
        {"rococo": "longer", "esoteric": "shorter", "creative_chaos": "letters", "chaos_cinema": "even"},
        {"rococo": "even", "esoteric": "longer", "creative_chaos": "longer", "chaos_cinema": "longer"},
        {"rococo": "letters", "esoteric": "even"},
    )
    cases = {f"doctored data set {i}": (length_rows(plan),) for i, plan in enumerate(plans, 1)}
    compare(suspects, cases, names(words, strong), {
        "You miss the rubric whose texts get shorter: a rho of -0.9 gives it away as well, so use abs().":
            names(words, lambda rho: rho >= 0.5),
        "It looks as if you count characters: count words, with len(text.split()).": names(len, strong),
        "It looks as if all rubrics are pooled, where they hide or blame each other: compute rho for each.":
            names(words, strong, pooled=True),
        "It looks as if you return the rubrics that are fine: return those with |rho| >= 0.5.":
            names(words, lambda rho: not abs(rho) >= 0.5),
    }, form=set)


@exercise("return the texts to keep.", "sets of words find the copies that differ in a word or two.")
def check_near_duplicates(thin_out):
    """thin_out(texts, limit): texts in order, without those too similar to one that is kept already."""
    def keep(texts, limit, words=lambda t: set(t.lower().split()), share=None, seen=lambda kept, _: kept):
        share, kept = share or (lambda a, b: len(a & b) / len(a | b)), []
        for i, text in enumerate(texts):
            if all(share(words(text), words(other)) < limit for other in seen(kept, texts[:i])):
                kept.append(text)
        return kept

    cases = {
        "texts that differ in one word": (["a b c d e f", "x y z", "a b c d e g"], 0.7),
        "texts that differ in capitals": (["The old piano sings", "the OLD piano sings", "new"], 0.9),
        "a short text within a long one": (["a b c d e f g h", "a b"], 0.7),
        "a chain of similar texts": (["a b c d", "b c d e", "c d e f"], 0.6),
        "few words in common": (["a b c", "c d e"], 0.5),
    }
    compare(thin_out, cases, keep, {
        "Only exact copies are dropped: compare sets of words, not whole texts.":
            lambda texts, limit: list(dict.fromkeys(texts)),
        "It looks as if the later of two similar texts is kept: keep the first.":
            lambda texts, limit: keep(texts[::-1], limit)[::-1],
        "It looks as if only neighbours are compared: compare each text with all that are kept.":
            lambda texts, limit: keep(texts, limit, seen=lambda kept, before: before[-1:]),
        "It looks as if capitals make words differ: use text.lower().":
            lambda texts, limit: keep(texts, limit, words=lambda t: set(t.split())),
        "It looks as if you divide by the words of the shorter text: divide by those in either (the union).":
            lambda texts, limit: keep(texts, limit, share=lambda a, b: len(a & b) / min(len(a), len(b))),
        "It looks as if a text is compared with dropped ones, too: compare with the kept ones only.":
            lambda texts, limit: keep(texts, limit, seen=lambda kept, before: before),
        "You return what should be dropped: return the texts to keep.":
            lambda texts, limit: [text for text in texts if text not in keep(texts, limit)],
    }, form=list)


@exercise("return 10, 50 or 95.", "an error that is seen is better than a label that was guessed.")
def check_read_target(read_target):
    """read_target(text): 50 for "50/100", 95 for the word "high", 10 for "low", else ValueError."""
    def answer(text):
        try:
            got = read_target(text)
        except ValueError:
            return "ValueError"
        return "None" if got is None and text == "a score" else got

    def read(text, order=("50/100", "high", "low"), edge=r"\b", lower=True, otherwise="ValueError"):
        text = text.lower() if lower else text
        value = {"50/100": 50, "high": 95, "low": 10}
        return next((value[w] for w in order if re.search(edge + w + edge, text)), otherwise)

    cases = {repr(text): (text,) for text in (
        "would obtain a HIGH score", "a low score", "a moderate score (50/100)",
        "a moderate score (50/100), neither high nor low", "slow and ornate: a high score",
        "highlights nothing: a low score", "a score",
    )}
    substring = "It looks as if {} counts: look for whole words, with re.search and \\b on both sides."
    guess = 'You give a target to "a score", which names none: raise ValueError, or the wrong label goes by.'
    compare(answer, cases, read, {
        substring.format('"low" inside "slow"'): lambda t: read(t, ("50/100", "low", "high"), ""),
        substring.format('"high" inside "highlights"'): lambda t: read(t, edge=""),
        "It looks as if \"high\" is tried before 50/100: one text names all three, so test 50/100 first.":
            lambda t: read(t, ("high", "low", "50/100")),
        'It looks as if "low" is tried before 50/100: one text names all three, so test 50/100 first.':
            lambda t: read(t, ("low", "high", "50/100")),
        "It looks as if capitals are not read: use text.lower() first.": lambda t: read(t, lower=False),
        guess: lambda t: read(t, otherwise=answer("a score")),
    })
