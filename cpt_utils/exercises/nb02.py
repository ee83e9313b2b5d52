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

    def words(text):
        return len(text.split())

    def rho(rows, measure):
        return spearmanr([measure(row["response"]) for row in rows], [row["target"] for row in rows])[0]

    def rho_by_rubric(rows, measure=words):
        groups = {}
        for row in rows:
            groups.setdefault(row["rubric"], []).append(row)
        return {rubric: rho(group, measure) for rubric, group in groups.items()}

    def right(rows):
        return {rubric for rubric, value in rho_by_rubric(rows).items() if abs(value) >= 0.5}

    def misses_shorter_texts(rows):
        """You miss the rubric whose texts get shorter: a rho of -0.9 gives it away as well, so use abs()."""
        return {rubric for rubric, value in rho_by_rubric(rows).items() if value >= 0.5}

    def counts_characters(rows):
        """It looks as if you count characters: count words, with len(text.split())."""
        return {rubric for rubric, value in rho_by_rubric(rows, len).items() if abs(value) >= 0.5}

    def pools_rubrics(rows):
        """It looks as if all rubrics are pooled, where they hide or blame each other: compute rho for each."""
        strong = abs(rho(rows, words)) >= 0.5
        return {row["rubric"] for row in rows if strong}

    def returns_the_fine_ones(rows):
        """It looks as if you return the rubrics that are fine: return those with |rho| >= 0.5."""
        return {rubric for rubric, value in rho_by_rubric(rows).items() if not abs(value) >= 0.5}

    plans = (
        {"rococo": "longer", "esoteric": "shorter", "creative_chaos": "letters", "chaos_cinema": "even"},
        {"rococo": "even", "esoteric": "longer", "creative_chaos": "longer", "chaos_cinema": "longer"},
        {"rococo": "letters", "esoteric": "even"},
    )
    cases = {f"doctored data set {number}": (length_rows(plan),) for number, plan in enumerate(plans, 1)}
    slips = [misses_shorter_texts, counts_characters, pools_rubrics, returns_the_fine_ones]
    compare(suspects, cases, right, slips, form=set)


@exercise("return the texts to keep.", "sets of words find the copies that differ in a word or two.")
def check_near_duplicates(thin_out):
    """thin_out(texts, limit): texts in order, without those too similar to one that is kept already."""

    def low(text):
        return set(text.lower().split())

    def overlap(one, other):
        return len(one & other) / len(one | other)

    def keep(texts, limit, words=low, share=overlap, seen="kept"):
        """The texts that are not too similar to one of those `seen`: the "kept" ones, all "before", or the "last"."""
        kept = []
        for place, text in enumerate(texts):
            others = {"kept": kept, "before": texts[:place], "last": texts[:place][-1:]}[seen]
            if all(share(words(text), words(other)) < limit for other in others):
                kept.append(text)
        return kept

    def drops_exact_copies(texts, limit):
        """Only exact copies are dropped: compare sets of words, not whole texts."""
        return list(dict.fromkeys(texts))

    def keeps_at_the_limit(texts, limit):
        """A text whose similarity is the limit is kept: it has to be below the limit, so use < and not <=."""
        return keep(texts, limit + 1e-9)

    def keeps_the_later(texts, limit):
        """It looks as if the later of two similar texts is kept: keep the first."""
        return keep(texts[::-1], limit)[::-1]

    def compares_neighbours(texts, limit):
        """It looks as if only neighbours are compared: compare each text with all that are kept."""
        return keep(texts, limit, seen="last")

    def minds_capitals(texts, limit):
        """It looks as if capitals make words differ: use text.lower()."""
        return keep(texts, limit, words=lambda text: set(text.split()))

    def divides_by_the_shorter(texts, limit):
        """It looks as if you divide by the words of the shorter text: divide by those in either (the union)."""
        return keep(texts, limit, share=lambda one, other: len(one & other) / min(len(one), len(other)))

    def compares_with_dropped_ones(texts, limit):
        """It looks as if a text is compared with dropped ones, too: compare with the kept ones only."""
        return keep(texts, limit, seen="before")

    def returns_the_dropped(texts, limit):
        """You return what should be dropped: return the texts to keep."""
        return [text for text in texts if text not in keep(texts, limit)]

    cases = {
        "texts that differ in one word": (["a b c d e f", "x y z", "a b c d e g"], 0.7),
        "texts that differ in capitals": (["The old piano sings", "the OLD piano sings", "new"], 0.9),
        "a short text within a long one": (["a b c d e f g h", "a b"], 0.7),
        "a chain of similar texts": (["a b c d", "b c d e", "c d e f"], 0.6),
        "few words in common": (["a b c", "c d e"], 0.5),
        "texts whose similarity is the limit": (["a b c", "b c d"], 0.5),
    }
    slips = [
        keeps_at_the_limit,
        drops_exact_copies,
        keeps_the_later,
        compares_neighbours,
        minds_capitals,
        divides_by_the_shorter,
        compares_with_dropped_ones,
        returns_the_dropped,
    ]
    compare(thin_out, cases, keep, slips, form=list)


@exercise("return 10, 50 or 95.", "an error that is seen is better than a label that was guessed.")
def check_read_target(read_target):
    """read_target(text): 50 for "50/100", 95 for the word "high", 10 for "low", else ValueError."""

    def answer(text):
        try:
            got = read_target(text)
        except ValueError:
            return "ValueError"
        return "None" if got is None and text == "a score" else got

    def read(text, order=("50/100", "high", "low"), edge=r"\b", otherwise="ValueError"):
        targets = {"50/100": 50, "high": 95, "low": 10}
        for words in order:
            if re.search(edge + words + edge, text):
                return targets[words]
        return otherwise

    def right(text):
        return read(text.lower())

    def takes_slow_for_low(text):
        """It looks as if "low" inside "slow" counts: look for whole words, with re.search and \\b on both
        sides.
        """
        return read(text.lower(), order=("50/100", "low", "high"), edge="")

    def takes_highlights_for_high(text):
        """It looks as if "high" inside "highlights" counts: look for whole words, with re.search and \\b on both
        sides.
        """
        return read(text.lower(), edge="")

    def splits_at_spaces(text):
        """It looks as if the text is split at spaces, where "high." keeps its full stop and is not "high": use
        re.search with \\b on both sides.
        """
        words = text.lower().split()
        named = [name for name in ("high", "low") if name in words]
        return 50 if "50/100" in text else read(named[0]) if named else "ValueError"

    def tries_high_first(text):
        """It looks as if "high" is tried before 50/100: one text names all three, so test 50/100 first."""
        return read(text.lower(), order=("high", "low", "50/100"))

    def tries_low_first(text):
        """It looks as if "low" is tried before 50/100: one text names all three, so test 50/100 first."""
        return read(text.lower(), order=("low", "high", "50/100"))

    def misses_capitals(text):
        """It looks as if capitals are not read: use text.lower() first."""
        return read(text)

    def guesses(text):
        """You give a target to "a score", which names none: raise ValueError, or the wrong label goes by."""
        return read(text.lower(), otherwise=answer("a score"))

    texts = (
        "would obtain a HIGH score",
        "a low score",
        "a moderate score (50/100)",
        "a moderate score (50/100), neither high nor low",
        "slow and ornate: a high score",
        "highlights nothing: a low score",
        "The score is high.",
        "a low, plain score",
        "a score",
    )
    slips = [
        takes_slow_for_low,
        takes_highlights_for_high,
        splits_at_spaces,
        tries_high_first,
        tries_low_first,
        misses_capitals,
        guesses,
    ]
    compare(answer, {repr(text): (text,) for text in texts}, right, slips)
