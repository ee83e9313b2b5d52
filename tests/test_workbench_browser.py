"""The workbench's whole path in a real JupyterLab: start, texts, a chat model that reads, compare, export.

Screenshots: CPT_SCREENSHOTS.
"""

import json
import os
import time
from pathlib import Path

import pytest
from replies import completion, serving
from test_browser import _there, labels, weights

from tools import lab as browser_lab
from tools.lab import until as _until

pytestmark = pytest.mark.browser
CELL = """\
import os
os.environ["OPENAI_API_KEY"] = "k"
from cpt_utils import rubric_studio
from cpt_utils.teachers import endpoint_teacher
rubric_studio("rococo", "bench", [endpoint_teacher("small-judge", {url!r})])"""
DRAFT = {
    "title": "Harbour talk",
    "objective": "A text that talks as people do at a harbour.",
    "criteria": [
        {"name": name, "description": about, "weight": weight, "levels": ["all", "much", "some", "little", "none"]}
        for name, about, weight in (("Salt", "Words of the sea.", 50), ("Shouts", "Short cries.", 50))
    ],
}
EVIL = "<script>document.title = 'broken in'</script> gilded, dear reader, gilded beyond all measure and all reason."


def answer(body):
    """A judge by a rule (short texts are salty), a drafter and a writer."""
    time.sleep(0.2)
    said = " ".join(turn["content"] for turn in body["messages"])
    if "Write a rubric" in said:
        return 200, completion(json.dumps(DRAFT))
    if "strict judge" in said:
        score = max(5, 100 - len(said) // 40)
        return 200, completion(json.dumps({"criteria": {"Salt": score}, "score": score}))
    return 200, completion("Ropes! Tar and gulls. The harbour wakes, and every barrel has an opinion about the tide.")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab with the studio, and a chat model behind a server of this test: its folder and address."""
    if browser_lab.chromium() is None and os.environ.get("CPT_NO_BROWSER"):
        pytest.skip("CPT_NO_BROWSER is set")
    with (
        serving(answer) as url,
        browser_lab.started(tmp_path_factory.mktemp("lab"), [CELL.format(url=url)]) as (root, address),
    ):
        (root / "bench").mkdir()
        rows = ("Rain on the roof, and nothing else to say of it.", "Heave! The tide turns, the rope sings.")
        (root / "mine.csv").write_text("response\n" + "".join(f'"{row}"\n' for row in rows), "utf-8")
        yield root, address


@pytest.fixture(scope="module")
def page(lab):
    with browser_lab.opened(lab[1], 1440, 1500) as page:
        browser_lab.command(page, "notebook:run-all-cells")
        _until(lambda: _there(page, "Add a criterion"), 120)
        yield page


@pytest.fixture
def shot(page, tmp_path):
    folder = Path(os.environ.get("CPT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> None:
        time.sleep(0.4)
        page.locator(".jp-CodeCell").first.screenshot(path=folder / f"workbench_{name}.png")

    return take


def test_a_rubric_of_ones_own_from_a_sentence_to_a_picture(page, shot, lab):
    studio = page.locator(".jp-CodeCell").first

    def press(name: str) -> None:
        studio.get_by_role("button", name=name, exact=True).locator("visible=true").click()

    def tab(name: str) -> None:
        studio.get_by_role("tab", name=name, exact=True).click()

    def seen(words: str, seconds: float = 20) -> None:
        _until(lambda: words in studio.inner_text(), seconds, lambda: studio.inner_text()[-1500:])

    # 1: a draft from one sentence
    press("Start anew ...")
    studio.get_by_label("One sentence").fill("People talk as at a harbour.")
    studio.get_by_label("One sentence").blur()
    shot("1_start")
    press("Have it drafted")
    seen("small-judge drafted 'Harbour talk' with 2 criteria")
    _until(lambda: weights(studio) == [50, 50], 10)
    shot("2_drafted")
    press("Start anew ...")

    # 2: texts of one's own: a file, pasted, fresh
    tab("Texts")
    studio.get_by_label("Texts file", exact=True).fill("mine.csv")
    studio.get_by_label("Texts file", exact=True).blur()
    press("Bring its texts in")
    seen("2 of 2 texts of mine.csv are new", 60)
    studio.get_by_label("New text", exact=True).fill(EVIL)
    studio.get_by_label("New text", exact=True).blur()
    press("Add the text")
    seen("pasted 3")
    press("Write a text")
    seen("small-judge wrote 16 words")
    seen("small-judge, high")
    studio.locator("summary", has_text="mine 2").click()
    shot("3_texts")

    # 3: one criterion is read, the other counted
    tab("Scoring")
    seen("The criterion gets no score")
    studio.get_by_label("Scored", exact=True).select_option("read by a chat model")
    seen("Salt: 16, by small-judge")
    shot("4_read")
    press("Send 16 requests, up to 48")
    seen("of 16 requests answered ...")
    seen("16 of 16 requests answered; verdicts are kept", 60)
    studio.get_by_label("Criterion", exact=True).select_option("Shouts")
    studio.get_by_label("Scored", exact=True).select_option("counted")
    studio.get_by_label("Measure", exact=True).select_option("exclamations")
    tab("Scores")
    _until(lambda: len(labels(studio)) == 16, 10)
    assert "Still to be read" not in studio.inner_text() and "No score yet" not in studio.inner_text()
    assert "small-judge, high" in labels(studio)
    before = labels(studio)
    shot("5_scores")
    studio.locator(".noUi-handle").nth(1).focus()
    page.keyboard.press("End")
    _until(lambda: weights(studio) == [0, 100] and labels(studio) != before, 20, lambda: str(weights(studio)))
    assert "broken in" not in page.title() and studio.locator(".cpt-view script").count() == 0

    # 4: side by side with the state at the start, and a picture
    tab("Compare")
    seen("texts changed their rank")
    seen("Salt: weight 50 → 0")
    press("Keep as the baseline")
    seen("0 of 16 texts changed their rank")
    studio.get_by_label("Compare with").select_option("as it was opened")
    seen("Salt: weight 50 → 0")
    press("Save a picture (PNG)")
    _until(lambda: list((lab[0] / "bench").glob("*_ranking.png")), 20)
    shot("6_compare")

    # 5: marks, with the figures of the baseline, and a suggestion to take
    tab("Marks")

    def mark_all(who: str, about: str, level_of) -> None:
        studio.get_by_label("Your name", exact=True).fill(who)
        studio.get_by_label("Your name", exact=True).blur()
        studio.get_by_label("Marks of", exact=True).select_option(about)
        seen("0 of 16 texts marked")
        for number in range(16):
            text = studio.locator(".cpt-view:visible").first.inner_text()
            press(level := level_of(number, text))
            seen(f"You: {level}")
            _until(lambda text=text: studio.locator(".cpt-view:visible").first.inner_text() != text, 10)
        seen("All texts on view are marked")

    mark_all("Ann", "the whole text", lambda number, text: ("low", "high", "mid")[number % 3])
    mark_all("Ben", "the whole text", lambda number, text: ("low", "mid", "high")[number % 3])
    seen("People among each other")
    mark_all("Ben", "Shouts", lambda number, text: "high" if text.count(",") > 4 else "low")
    seen("speak for this")
    shot("7_suggestion")
    offered = studio.get_by_label("Suggestion", exact=True).evaluate("one => one.selectedOptions[0].text")
    counted, measure = offered.partition(":")[0].split()
    assert counted == "counting" and measure != "exclamations", offered
    press("Take the suggestion")
    tab("Scoring")
    studio.get_by_label("Criterion", exact=True).select_option("Shouts")
    _until(lambda: studio.get_by_label("Measure", exact=True).input_value() == measure, 20)
    press("Undo")
    _until(lambda: studio.get_by_label("Measure", exact=True).input_value() == "exclamations", 20)
    tab("Marks")
    press("Save the marked texts (JSONL)")
    seen("16 marked texts")
    shot("7_marks")
    (exported,) = (lab[0] / "bench").glob("*_marked_texts.jsonl")
    assert len(exported.read_text("utf-8").splitlines()) == 16
    studio.get_by_label("File", exact=True).fill("harbour")
    press("Save")
    seen("Saved harbour.yaml")
    assert (lab[0] / "bench" / "harbour.judge.yaml").read_text("utf-8").startswith("Salt:\n  kind: read")
    page.set_viewport_size({"width": 1024, "height": 700})
    tab("Texts")
    shot("8_small")
    output = studio.locator(".jp-OutputArea-output").last
    assert output.evaluate("node => node.scrollWidth - node.clientWidth") <= 2
