"""Properties that hold for all inputs (hypothesis): rubrics survive files, pairs are mirrors, stores lose no row."""

import json
import string
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_rubrics import release_text

from cpt_utils.pairs import PairError, build_mirrored_pairs, check_leaks, check_rows, prompts_of, split_by_prompt
from cpt_utils.rubrics import Rubric, load_rubric, shipped_rubrics
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import RubricError

few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=250)

# Any characters that a rubric may hold, odd ones among them; at least one that can be seen.
odd = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t"), max_size=30)
text = st.builds(lambda a, seen, b: a + seen + b, odd, st.sampled_from(list("aé漢🙂#:-'\"|&*!%@`0")), odd)
# As above, but on one line, and without the break characters of str.splitlines.
line = text.map(lambda t: " ".join(t.split()))
name = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)


@st.composite
def rubrics(draw, words=text):
    count = draw(st.integers(1, 5))
    shares = draw(st.lists(st.integers(1, 50), min_size=count, max_size=count))
    names = draw(st.lists(words, min_size=count, max_size=count, unique_by=str.strip))
    return Rubric.checked(
        {
            "name": draw(name),
            "title": draw(words),
            "objective": draw(words),
            "guiding_principles": draw(st.lists(words, max_size=3)),
            "levels": [draw(words) for _ in range(5)],
            "criteria": [
                {
                    "name": n,
                    "weight": 100 * s / sum(shares),
                    "levels": [draw(words) for _ in range(5)],
                    "description": draw(odd),
                }
                for n, s in zip(names, shares)
            ],
            "scoring_notes": draw(odd),
        }
    )


@few
@given(rubrics())
def test_a_rubric_survives_yaml_as_text_and_as_file(rubric):
    assert Rubric.from_yaml(rubric.to_yaml()) == rubric
    with tempfile.TemporaryDirectory() as folder:
        rubric.to_yaml(Path(folder) / "r.yaml")
        assert load_rubric(Path(folder) / "r.yaml") == rubric
        assert [p.name for p in Path(folder).iterdir()] == ["r.yaml"]


def importable(rubric):
    """Whether the layout of the release, which marks parts by words and colons, can hold this rubric."""
    marked = ("Criterion\t", "Objective:", "Goal:")
    lines = [rubric.title, *rubric.guiding_principles]
    return not any(x.startswith(marked) for x in lines) and "\t" not in rubric.to_yaml()


@few
@given(rubrics(line))
def test_a_rubric_survives_the_layout_of_the_release(rubric):
    rubric = Rubric.checked(rubric.model_dump() | {"guiding_principles": ["Be: rich"], "scoring_notes": "Add up."})
    if not importable(rubric):
        return
    weights = [f"{c.weight!r}%" for c in rubric.criteria]
    read = Rubric.from_text(release_text(rubric, weights), name=rubric.name)
    assert (read.title, read.objective, read.levels) == (rubric.title, rubric.objective, rubric.levels)
    assert [(c.name, c.weight, c.levels) for c in read.criteria] == [
        (c.name, c.weight, c.levels) for c in rubric.criteria
    ]
    assert read.guiding_principles == ["Rule 0: Be: rich"] and read.scoring_notes == "Add up."


REAL = [load_rubric(n).to_yaml() for n in shipped_rubrics()[:2]]
LAYOUTS = [release_text(load_rubric(n)) for n in shipped_rubrics()[:2]]
SCRAPS = [
    "",
    " ",
    "\t",
    "\n",
    ":",
    "- ",
    "[",
    "{",
    "}",
    "'",
    '"',
    "|",
    ">",
    "&a ",
    "*a",
    "!!int ",
    "%",
    "#",
    "\x00",
    "é",
    "\u2028",
    "\ud800",
    "---\n",
    "0x",
    "2024-13-45",
    "? ",
    "<<: ",
    "~",
    "Criterion\t",
    "Weight",
    "1e999",
    "!!float x",
]


@st.composite
def mutated(draw, texts):
    """A real text with some stretches cut, doubled, or replaced by scraps."""
    words = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(words)))
        end = min(len(words), start + draw(st.sampled_from([0, 1, 2, 10, 200])))
        scrap = draw(st.sampled_from(SCRAPS) | st.text(max_size=4))
        words = words[:start] + draw(st.sampled_from([scrap, words[start:end] * 2, ""])) + words[end:]
    return words


def only_rubric_errors(read, words):
    try:
        assert isinstance(read(words), Rubric)
    except RubricError as error:
        assert "\n" not in str(error) and len(str(error)) < 600


@many
@given(mutated(REAL))
def test_broken_yaml_gives_a_rubric_error_or_a_rubric(words):
    only_rubric_errors(Rubric.from_yaml, words)


@many
@given(mutated(LAYOUTS) | st.text())
def test_broken_layouts_give_a_rubric_error_or_a_rubric(words):
    only_rubric_errors(Rubric.from_text, words)


@many
@given(st.binary(max_size=400))
def test_any_file_gives_a_rubric_error(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.yaml"
        path.write_bytes(data)
        only_rubric_errors(load_rubric, path)


filled = st.text(string.ascii_letters + " é\u2028", min_size=1, max_size=12).filter(str.strip)
row = st.fixed_dictionaries(
    {
        "prompt": st.sampled_from(["p one", "p two", "p three"]),
        "rubric": st.sampled_from(["rococo", "esoteric"]),
        "target": st.sampled_from([10, 50, 95]),
        "response": filled,
    }
)


@many
@given(st.lists(row, max_size=20), st.integers(0, 5))
def test_pairs_are_mirrors_side_by_side_in_balance_and_split_without_leaks(responses, seed):
    try:
        rows = build_mirrored_pairs(responses)
    except PairError:
        return
    check_rows(rows, mirrored=True)
    ids = [r["pair_id"] for r in rows]
    assert ids[0::2] == ids[1::2] and len(set(ids)) == len(ids) / 2
    balance = {}
    for first, second in zip(rows[0::2], rows[1::2]):
        assert first["chosen"] == second["rejected"] and first["rejected"] == second["chosen"]
        assert first["prompt"][1:] == second["prompt"][1:] and first["prompt"][0] != second["prompt"][0]
        assert (first["chosen_target"], first["rejected_target"]) == (
            second["rejected_target"],
            second["chosen_target"],
        )
    for r in rows:
        for side, sign in (("chosen", 1), ("rejected", -1)):
            place = (r["prompt"][1]["content"], r["rubric"], r[side][0]["content"])
            balance[place] = balance.get(place, 0) + sign
    assert set(balance.values()) == {0}
    newest = {(r["prompt"], r["rubric"], r["target"]): r["response"].strip() for r in responses}
    assert {r["chosen"][0]["content"] for r in rows} <= set(newest.values())
    if len(prompts_of(rows)) > 1:
        train, held = split_by_prompt(rows, 0.4, seed)
        assert sorted(r["pair_id"] for r in train + held) == sorted(ids)
        check_leaks(train, prompts_of(held))


stored = st.fixed_dictionaries({"prompt": odd, "response": odd, "n": st.integers(0, 9)}) | st.dictionaries(
    odd, odd, max_size=3
)


@few
@given(st.lists(st.lists(stored, min_size=1, max_size=3), min_size=1, max_size=6), st.data())
def test_a_store_torn_at_any_byte_reads_a_prefix_and_goes_on(batches, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.jsonl"
        for batch in batches:
            files.append(path, batch)
        rows = [r for batch in batches for r in batch]
        assert files.read_jsonl(path) == rows
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut] + data.draw(st.sampled_from([b"", b"\x00" * 9])) * (whole[cut - 1 : cut] != b"\n"))
        kept = files.read_jsonl(path)
        assert kept == rows[: len(kept)] and len(kept) >= whole[:cut].count(b"\n")
        files.append(path, [{"new": 1}])
        assert files.read_jsonl(path) == kept + [{"new": 1}]


@few
@given(st.lists(st.tuples(st.booleans(), st.lists(stored, min_size=1, max_size=2)), max_size=8), st.data())
def test_appends_of_two_writers_interleave_without_loss(steps, data):
    """Two writers in turn, either of which may die in the middle of its last line."""
    with tempfile.TemporaryDirectory() as folder:
        path, expected = Path(folder) / "r.jsonl", []
        for dies, batch in steps:
            if dies:
                files.append(path, [])  # which mends the end, as the one that dies has done, too
                line = json.dumps(batch[0]).encode()
                with open(path, "ab") as file:
                    file.write(line[: data.draw(st.integers(0, len(line) - 1))])
            else:
                files.append(path, batch)
                expected += batch
            assert files.read_jsonl(path) == expected
