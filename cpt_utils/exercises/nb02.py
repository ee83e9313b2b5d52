"""Checks of the exercises in notebook 02."""

import re

from cpt_utils.exercises.checking import compare, exercise
from cpt_utils.rows import TARGETS


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
            rubrics = {row["rubric"] for row in rows}
            groups = {n: [r for r in rows if pooled or r["rubric"] == n] for n in rubrics}
            rho = {
                n: spearmanr([measure(r["response"]) for r in group], [r["target"] for r in group])[0]
                for n, group in groups.items()
            }
            return {n for n in rubrics if keep(rho[n])}

        return find

    def words(text):
        return len(text.split())

    def strong(rho):
        return abs(rho) >= 0.5

    plans = (
        {"rococo": "longer", "esoteric": "shorter", "creative_chaos": "letters", "chaos_cinema": "even"},
        {"rococo": "even", "esoteric": "longer", "creative_chaos": "longer", "chaos_cinema": "longer"},
        {"rococo": "letters", "esoteric": "even"},
    )
    cases = {f"doctored data set {i}": (length_rows(plan),) for i, plan in enumerate(plans, 1)}
    compare(
        suspects,
        cases,
        names(words, strong),
        {
            "You miss the rubric whose texts get shorter: a rho of -0.9 gives it away as well, so use abs().": names(
                words, lambda rho: rho >= 0.5
            ),
            "It looks as if you count characters: count words, with len(text.split()).": names(len, strong),
            "It looks as if all rubrics are pooled, where they hide or blame each other: compute rho for each.": names(
                words, strong, pooled=True
            ),
            "It looks as if you return the rubrics that are fine: return those with |rho| >= 0.5.": names(
                words, lambda rho: not abs(rho) >= 0.5
            ),
        },
        form=set,
    )


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
    compare(
        thin_out,
        cases,
        keep,
        {
            "Only exact copies are dropped: compare sets of words, not whole texts.": lambda texts, limit: list(
                dict.fromkeys(texts)
            ),
            "It looks as if the later of two similar texts is kept: keep the first.": lambda texts, limit: keep(
                texts[::-1], limit
            )[::-1],
            "It looks as if only neighbours are compared: compare each text with all that are kept.": lambda texts, limit: (
                keep(texts, limit, seen=lambda kept, before: before[-1:])
            ),
            "It looks as if capitals make words differ: use text.lower().": lambda texts, limit: keep(
                texts, limit, words=lambda t: set(t.split())
            ),
            "It looks as if you divide by the words of the shorter text: divide by those in either (the union).": lambda texts, limit: (
                keep(texts, limit, share=lambda a, b: len(a & b) / min(len(a), len(b)))
            ),
            "It looks as if a text is compared with dropped ones, too: compare with the kept ones only.": lambda texts, limit: (
                keep(texts, limit, seen=lambda kept, before: before)
            ),
            "You return what should be dropped: return the texts to keep.": lambda texts, limit: [
                text for text in texts if text not in keep(texts, limit)
            ],
        },
        form=list,
    )


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

    cases = {
        repr(text): (text,)
        for text in (
            "would obtain a HIGH score",
            "a low score",
            "a moderate score (50/100)",
            "a moderate score (50/100), neither high nor low",
            "slow and ornate: a high score",
            "highlights nothing: a low score",
            "a score",
        )
    }
    substring = "It looks as if {} counts: look for whole words, with re.search and \\b on both sides."
    guess = 'You give a target to "a score", which names none: raise ValueError, or the wrong label goes by.'
    compare(
        answer,
        cases,
        read,
        {
            substring.format('"low" inside "slow"'): lambda t: read(t, ("50/100", "low", "high"), ""),
            substring.format('"high" inside "highlights"'): lambda t: read(t, edge=""),
            'It looks as if "high" is tried before 50/100: one text names all three, so test 50/100 first.': lambda t: (
                read(t, ("high", "low", "50/100"))
            ),
            'It looks as if "low" is tried before 50/100: one text names all three, so test 50/100 first.': lambda t: (
                read(t, ("low", "high", "50/100"))
            ),
            "It looks as if capitals are not read: use text.lower() first.": lambda t: read(t, lower=False),
            guess: lambda t: read(t, otherwise=answer("a score")),
        },
    )
