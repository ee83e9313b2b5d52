"""The studio and the desk in a real JupyterLab, driven by headless Chromium. Screenshots: CPT_SCREENSHOTS."""

import os
import re
import time
from pathlib import Path

import pytest

from cpt_utils.rubrics import load_rubric
from tools import lab as browser_lab
from tools.lab import until as _until

pytestmark = pytest.mark.browser
CELLS = [
    """\
from cpt_utils import rubric_studio
rubric_studio("rococo", folder="saved")""",
    """\
from cpt_utils import load_chat_model, steering_desk
base = load_chat_model("embedded", dtype="bfloat16")
tuned = load_chat_model("embedded", dtype="bfloat16")
desk = steering_desk(base, tuned, prompt="<script>alert(1)</script> Describe the sea.", every=0)
desk""",
]
EVIL = (
    "<script>document.title = 'broken in'</script><img src=x onerror=\"document.title='broken in'\"> "
    "application/vnd.jupyter.widget-view+json, dear reader, was never so gilded, so laced, so perfumed."
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab with a small notebook: its folder and address."""
    if browser_lab.chromium() is None and os.environ.get("CPT_NO_BROWSER"):
        pytest.skip("CPT_NO_BROWSER is set")
    need = "The browser tests need Chromium: apt-get install chromium (or skip: CPT_NO_BROWSER=1)."
    assert browser_lab.chromium(), need  # before anything is started
    with browser_lab.started(tmp_path_factory.mktemp("lab"), CELLS) as (root, address):
        yield root, address


@pytest.fixture(scope="module")
def page(lab):
    """The notebook, opened and run to its end."""
    with browser_lab.opened(lab[1], 1440, 1500) as page:
        browser_lab.command(page, "notebook:run-all-cells")
        _until(lambda: _there(page, "Add a criterion") and _there(page, "Generate"), 120)
        yield page


def _there(page, label: str) -> bool:
    errors = page.locator("[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts()
    failed = [text for text in errors if "Traceback" in text]
    assert not failed, failed[0][-2000:]
    return page.get_by_role("button", name=label).is_visible()


@pytest.fixture
def picture(tmp_path):
    """Where to put a picture of this name."""
    folder = Path(os.environ.get("CPT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: folder / f"{name}.png"


@pytest.fixture
def shot(page, picture):
    """Take a screenshot of one notebook cell."""

    def take(name: str, cell: int) -> None:
        time.sleep(0.3)
        page.locator(".jp-CodeCell").nth(cell).screenshot(path=picture(name))

    return take


@pytest.fixture
def studio(page):
    return page.locator(".jp-CodeCell").nth(0)


@pytest.fixture
def desk(page):
    return page.locator(".jp-CodeCell").nth(1)


def state(cell) -> str:
    return cell.locator(".cpt-state").inner_text()


def says(cell, words: str, seconds: float = 20):
    _until(lambda: words in state(cell), seconds, lambda: state(cell))


def labels(cell) -> list[str]:
    """Labels of the ranking, best first."""
    rows = cell.locator(".cpt-view table").first.locator("tr")
    return rows.locator("td:nth-child(3)").all_inner_texts()


def weights(cell) -> list[float]:
    return [float(text) for text in cell.locator(".widget-readout").all_inner_texts()]


def retype(field, words: str) -> None:
    field.fill(words)
    field.blur()


def test_studio_weights_move_the_ranking(page, studio, shot):
    _until(lambda: weights(studio) == [30, 25, 20, 15, 10], 10)
    shot("studio_1_open", 0)
    assert studio.get_by_role("button", name="Undo").is_disabled()
    before = labels(studio)
    assert len(before) == 12 and before[0] == "Rococo, high"
    handle = studio.locator(".noUi-handle").nth(1).bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x + 20 * step, y)
    _until(lambda: labels(studio) != before, 5)
    page.mouse.up()
    _until(lambda: sum(weights(studio)) == 100 and weights(studio)[1] > 50, 5, lambda: str(weights(studio)))
    assert "▲" in studio.locator(".cpt-view").first.inner_text()
    shot("studio_2_weight_moved", 0)
    studio.get_by_role("button", name="Undo").click()
    _until(lambda: weights(studio) == [30, 25, 20, 15, 10] and labels(studio) == before, 5)


def test_studio_invalid_edits_are_kept_and_mended(page, studio, shot, lab):
    studio.get_by_role("button", name="Add a criterion").click()
    _until(lambda: len(weights(studio)) == 6, 5)
    _until(lambda: sum(weights(studio)) == 100 and "No score yet for New criterion 1" in studio.inner_text(), 5)
    studio.get_by_role("button", name="Edit New criterion 1").click()
    name = studio.get_by_label("Name", exact=True).last
    retype(studio.get_by_label("Bare plaster").last, "Not one rhyme.")
    retype(name, "")
    says(studio, "The name of criterion 6 is empty")
    shot("studio_3_invalid", 0)
    assert len(labels(studio)) == 12  # the last valid state
    studio.get_by_role("button", name="Save", exact=True).click()
    says(studio, "Not saved. The name of criterion 6 is empty")
    assert studio.get_by_label("Bare plaster").last.input_value() == "Not one rhyme."
    assert not list((lab[0] / "saved").glob("*.yaml"))
    retype(name, "<b>Rhyme</b>")
    says(studio, "valid, weights sum to 100")
    assert "No score yet for <b>Rhyme</b>" in studio.locator(".cpt-view").first.inner_text()  # shown as text
    shot("studio_4_mended", 0)


def test_studio_scores_a_criterion_of_ones_own_as_it_is_told(page, studio, shot):
    studio.get_by_role("tab", name="Scoring", exact=True).click()
    _until(lambda: studio.get_by_label("Criterion", exact=True).input_value() == "<b>Rhyme</b>", 10)
    studio.get_by_label("Scored", exact=True).select_option("counted")
    studio.get_by_label("Measure", exact=True).select_option("exclamations")
    _until(lambda: "a blue tick is a text" in studio.inner_text(), 5)
    shot("studio_scoring_counted", 0)
    studio.get_by_label("Scored", exact=True).select_option("likened to examples")
    studio.get_by_role("button", name="... is high").click()
    _until(lambda: studio.get_by_label("High texts").input_value(), 5)
    _until(lambda: "0 example texts of the low end; give 2 or more" in studio.inner_text(), 5)
    shot("studio_scoring_likened", 0)
    studio.get_by_label("Scored", exact=True).select_option("counted")
    studio.get_by_label("Measure", exact=True).select_option("line_breaks")
    studio.get_by_role("tab", name="Scores", exact=True).click()
    _until(lambda: "No score yet" not in studio.inner_text(), 5)
    before = labels(studio)
    slider = studio.locator(".noUi-handle").nth(5)
    slider.focus()
    page.keyboard.press("End")
    _until(lambda: weights(studio)[5] == 100 and labels(studio) != before, 20, lambda: str(weights(studio)))
    shot("studio_scoring_moved", 0)
    studio.get_by_role("button", name="Undo").click()


def test_studio_texts_are_marked_unseen(page, studio, shot, lab):
    studio.get_by_role("tab", name="Marks", exact=True).click()
    studio.get_by_label("Your name", exact=True).fill("Ann")
    studio.get_by_label("Your name", exact=True).blur()
    for number in range(1, 13):
        level = ("low", "mid", "high")[number % 3]
        studio.get_by_role("button", name=level, exact=True).click()
        _until(lambda level=level: f"You: {level}" in studio.inner_text(), 10)
        if number == 1:
            shot("studio_marks_first", 0)
            before = studio.locator(".cpt-view:visible").first.inner_text()
        if number == 2:
            assert studio.locator(".cpt-view:visible").first.inner_text() != before
    _until(lambda: "All texts on view are marked" in studio.inner_text(), 10)
    assert "Scores against marks" in studio.inner_text() and (lab[0] / "saved" / "marks-Ann.jsonl").exists()
    shot("studio_marks_all", 0)
    studio.get_by_role("tab", name="Scores", exact=True).click()


def test_studio_saves_and_loads(page, studio, shot, lab):
    studio.get_by_label("File", exact=True).fill("../outside.yaml")
    studio.get_by_role("button", name="Save").click()
    says(studio, "is no file name")
    studio.get_by_label("File", exact=True).fill("my_rubric.yaml")
    studio.get_by_role("button", name="Save").click()
    says(studio, "Saved my_rubric.yaml: load_rubric(")
    saved = load_rubric(lab[0] / "saved" / "my_rubric.yaml")
    assert saved.criteria[5].name == "<b>Rhyme</b>" and saved.criteria[5].levels[4] == "Not one rhyme."
    assert (lab[0] / "saved" / "my_rubric.judge.yaml").exists()
    studio.get_by_role("button", name="Edit the rubric's words").click()
    retype(studio.get_by_label("Title", exact=True), "Another title")
    says(studio, "Another title (edited)")
    studio.get_by_role("button", name="Load").click()
    says(studio, "Loaded my_rubric.yaml")
    assert studio.get_by_label("Title", exact=True).input_value() == "Rococo" and len(weights(studio)) == 6
    for tab in ("Rubric", "Teacher", "System"):
        studio.get_by_role("tab", name=tab, exact=True).click()
        _until(lambda: "<b>Rhyme</b>" in studio.locator(".cpt-view:visible").inner_text(), 5)
        shot(f"studio_5_{tab.lower()}", 0)
    studio.get_by_role("tab", name="Scores").click()


def test_studio_scores_a_pasted_text_and_runs_none_of_it(page, studio, shot):
    studio.get_by_label("Your text").fill(EVIL)
    _until(lambda: "your text" in labels(studio), 5)
    shot("studio_6_pasted", 0)
    assert "<script>document.title" in studio.locator(".cpt-view").first.inner_text()
    assert "broken in" not in page.title() and studio.locator(".cpt-view img, .cpt-view script").count() == 0
    assert not studio.get_by_text("Error displaying widget").count()


def test_desk_streams_stops_and_goes_on(page, desk, shot):
    go, halt = (desk.get_by_role("button", name=name) for name in ("Generate", "Stop"))

    def answer(name):
        return desk.locator(f".cpt-{name}").inner_text().strip()

    desk.get_by_label("Most tokens").fill("400")
    desk.get_by_label("Most tokens").blur()
    go.click()
    first = _until(lambda: answer("left"), 60, lambda: state(desk))
    assert go.is_disabled() and halt.is_enabled() and not answer("right")
    later = _until(lambda: len(answer("left")) > len(first) + 20 and answer("left"), 60)
    shot("desk_1_streaming", 1)
    assert later.startswith(first[:-1])
    halt.click()
    says(desk, "Stopped after", 10)
    assert go.is_enabled() and halt.is_disabled()

    desk.get_by_label("Most tokens").fill("12")
    desk.get_by_label("Fill in", exact=True).select_option("Esoteric, low")
    go.click()
    says(desk, "Done after", 120)
    assert answer("left") and answer("left") == answer("right")  # two copies, one seed
    assert "target 10 · ✂ cut at 12 tokens" in desk.inner_text() and "word-order gain" in desk.inner_text()
    past = desk.locator(".cpt-past")
    assert past.locator("details").count() == 2 and "Esoteric: " in past.inner_text()
    past.locator("summary").first.click()
    shot("desk_2_done", 1)
    assert "<script>alert(1)</script>" in past.inner_text() and not past.locator("script").count()
    desk.get_by_label("Prompt", exact=True).fill("  ")
    go.click()
    says(desk, "The prompt is empty")


def test_desk_takes_an_order_of_ones_own_and_hands_on_an_answer(page, desk, shot, lab):
    go = desk.get_by_role("button", name="Generate")
    desk.get_by_label("Prompt", exact=True).fill("Describe the sea.")
    desk.get_by_label("System prompt", exact=True).fill("Talk like a pirate.")
    _until(lambda: desk.get_by_label("Fill in", exact=True).input_value() == "your own words", 10)
    desk.get_by_label("Compare", exact=True).select_option("a dial: first order 0, second 1")
    dial = desk.get_by_role("slider", name="Dial")
    dial.focus()
    for key in ("ArrowRight", "x", "b"):  # the letters would cut the cell, and add one below
        page.keyboard.press(key)
    _until(lambda: "0.75" in desk.inner_text(), 5)
    desk.get_by_label("Most tokens").fill("99999")
    desk.get_by_label("Most tokens").blur()
    says(desk, "99999 became 4096")
    desk.get_by_label("Most tokens").fill("12")
    desk.get_by_label("Most tokens").blur()
    go.click()
    says(desk, "Done after", 120)
    assert "not judged: the order is your own" in desk.inner_text()
    desk.get_by_role("button", name="Send to the studio").last.click()
    says(desk, "Sent to the rubric studio")
    shot("desk_3_own_order", 1)
    (folder,) = {path.parent for path in (lab[0].parent / "runs").rglob("bench.jsonl")}
    assert "Talk like a pirate." in (folder / "desk.jsonl").read_text()
    assert page.locator(".jp-CodeCell").count() == len(CELLS)


TABS = ("Scoring", "Marks", "Texts", "Compare", "Rubric", "Teacher", "System", "Scores")
NAMED = ("button", "slider", "textbox", "combobox", "spinbutton", "tab", "checkbox", "radio", "searchbox", "listbox")


def nameless(cell) -> list[str]:
    """Controls of a cell's output that the accessibility tree has no name for, or none with a letter in it."""
    lines = cell.locator(".cpt-keys").aria_snapshot().splitlines()
    controls = [line.strip().removeprefix("- ").lstrip("'") for line in lines]
    controls = [line for line in controls if re.match(rf"({'|'.join(NAMED)})\b", line)]
    assert len(controls) > 10
    return [line for line in controls if not re.match(r'\w+ "[^"]*[^\W\d_][^"]*"', line)]


def test_every_control_has_a_name(page, studio, desk):
    for tab in TABS:
        studio.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_timeout(300)
        assert nameless(studio) == []
    assert nameless(desk) == []


def focused(page) -> str | None:
    """The name of what has the focus."""
    return page.evaluate("document.activeElement.getAttribute('aria-label')")


def test_keys_stay_in_the_studio_and_ctrl_z_undoes(page, studio):
    page.evaluate(
        "() => document.addEventListener('keydown', ({ target }) =>"
        " { window.kept = target.hasAttribute('data-lm-suppress-shortcuts'); }, true)"
    )  # Notebook 7 looks so, before a key arrives; JupyterLab does once it is through
    cells, before = page.locator(".jp-CodeCell").count(), weights(studio)
    studio.get_by_role("slider", name="Weight of Winding syntax").focus()
    for key in ("b", "x", "a", "d", "d", "ArrowUp"):
        page.keyboard.press(key)
        assert page.evaluate("window.kept")
    _until(lambda: weights(studio) != before, 5)
    page.keyboard.press("Control+z")
    _until(lambda: weights(studio) == before, 5)
    page.wait_for_timeout(1200)  # the slider is drawn anew; a pause also ends what counts as one move
    _until(lambda: focused(page) == "Weight of Winding syntax", 5)  # and has the focus again
    page.keyboard.press("b")
    page.keyboard.press("ArrowDown")
    _until(lambda: weights(studio) != before, 5)
    page.wait_for_timeout(1200)
    _until(lambda: focused(page) == "Weight of Winding syntax", 5)
    page.keyboard.press("Control+z")
    _until(lambda: weights(studio) == before, 5)
    assert page.locator(".jp-CodeCell").count() == cells
    title = studio.get_by_label("Title", exact=True)
    if not title.is_visible():
        studio.get_by_role("button", name="Edit the rubric's words").press("Enter")
    kept = title.input_value()
    title.press("End")
    title.press_sequentially("bx")
    page.keyboard.press("Control+z")
    _until(lambda: title.input_value() == kept, 5)  # its own typing comes first
    title.press("End")
    title.press_sequentially("bx")
    page.keyboard.press("Tab")
    says(studio, f"{kept}bx")
    page.keyboard.press("Control+z")
    _until(lambda: title.input_value() == kept, 5)


def place(part) -> dict:
    """Where a part stands, once it does: views are drawn anew."""
    return _until(part.first.bounding_box, 10)


def test_small_screen(page, studio, picture):
    """At 1024 x 700, sliders and ranking stand side by side, and no field is cut."""
    page.set_viewport_size({"width": 1024, "height": 700})
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    studio.get_by_role("button", name="Edit Winding syntax").click()
    for theme in ("Light", "Dark"):
        page.evaluate("t => jupyterapp.commands.execute('apputils:change-theme', {theme: `JupyterLab ${t}`})", theme)
        page.wait_for_timeout(1000)
        studio.get_by_role("slider").first.scroll_into_view_if_needed()
        slider, ranking = place(studio.get_by_role("slider")), place(studio.locator(".cpt-view table"))
        assert ranking["x"] > slider["x"] + slider["width"] and abs(ranking["y"] - slider["y"]) < 350
        assert cut_off(page) == [] and faint(page) == []
        page.screenshot(path=picture(f"small_{theme.lower()}"))
    nothing_too_wide(studio, page, lambda tab: picture(f"small_{tab.lower()}"))
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")


def test_small_screen_beside_the_file_browser(page, studio, picture):
    """The same with JupyterLab's list of files open: the columns get narrow, and a name stands above its slider."""
    page.set_viewport_size({"width": 1024, "height": 700})
    page.evaluate("window.jupyterapp.shell.expandLeft()")
    page.wait_for_timeout(1000)
    slider = studio.get_by_role("slider").first
    slider.scroll_into_view_if_needed()
    slider, ranking = place(slider), place(studio.locator(".cpt-view table"))
    assert ranking["x"] > slider["x"] + slider["width"] and abs(ranking["y"] - slider["y"]) < 350
    assert studio.locator(".cpt-row .slider-container").first.bounding_box()["width"] > 80  # long enough to drag along
    output = studio.locator(".jp-OutputArea-output").last
    assert output.evaluate("node => node.scrollWidth - node.clientWidth") <= 2
    page.screenshot(path=picture("small_beside_files"))
    nothing_too_wide(studio, page, lambda tab: picture(f"small_beside_files_{tab.lower()}"))
    page.evaluate("window.jupyterapp.shell.collapseLeft()")


def nothing_too_wide(studio, page, picture) -> None:
    """In each tab, sentences and figures are as wide as their column; what is wider scrolls by itself."""
    for tab in TABS:
        studio.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_timeout(500)
        wide = studio.evaluate(
            """(cell) => [...cell.querySelectorAll('.cpt-view, .widget-html, .widget-html-content')]
              .filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth + 1)
              .map((one) => `${one.scrollWidth} in ${one.clientWidth}: ${one.innerText.slice(0, 80)}`)"""
        )
        page.screenshot(path=picture(tab))
        assert wide == [], tab


def cut_off(page) -> list[str]:
    """Fields and buttons that reach out of their cell, or whose words do not fit (areas grow to 16 lines or so)."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.cpt-keys')].flatMap((root) => {
          const right = root.getBoundingClientRect().right + 1;
          const shown = [...root.querySelectorAll('input, textarea, select, button, .widget-readout')]
            .filter((one) => one.offsetParent);
          return shown.filter((one) => one.getBoundingClientRect().right > right
            || (one.tagName === 'BUTTON' && one.scrollWidth > one.clientWidth + 1)
            || (one.tagName === 'TEXTAREA' && one.scrollHeight > one.clientHeight + 1 && one.clientHeight < 180))
            .map((one) => one.outerHTML);
        })"""
    )


def faint(page) -> list[str]:
    """Texts of less contrast than 4.5 to 1 against what lies behind them (disabled and empty ones may)."""
    return page.evaluate(
        """() => {
          const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
          const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
            .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const over = ([r, g, b, a = 1], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a)];
          const behind = (one) => {
            if (!one) return [255, 255, 255];
            const colour = parts(getComputedStyle(one).backgroundColor);
            return colour[3] === undefined ? colour : over(colour, behind(one.parentElement));
          };
          const opacity = (one) => (one ? Number(getComputedStyle(one).opacity) * opacity(one.parentElement) : 1);
          const found = [];
          for (const one of document.querySelectorAll('.cpt-keys *')) {
            const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            if (!own || !one.offsetParent || one.closest('[disabled], style, option')) continue;
            const back = behind(one), [r, g, b, a = 1] = parts(getComputedStyle(one).color);
            const front = over([r, g, b, a * opacity(one)], back);
            const [low, high] = [light(front), light(back)].sort((x, y) => x - y);
            if ((high + 0.05) / (low + 0.05) < 4.5) found.push(one.outerHTML.slice(0, 200));
          }
          return found;
        }"""
    )


def test_narrow_page(page, shot):
    """On a laptop beside a side bar, nothing is cut off, and columns that have no room go below one another."""
    page.set_viewport_size({"width": 760, "height": 2400})
    shot("narrow_studio", 0)
    shot("narrow_desk", 1)
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_timeout(1000)
    shot("dark_studio", 0)
    shot("dark_desk", 1)
    for cell in page.locator(".jp-CodeCell").all():
        output = cell.locator(".jp-OutputArea-output").last
        assert output.evaluate("node => node.scrollWidth - node.clientWidth") <= 2


def test_a_cell_that_runs_again_offers_the_draft(page, studio):
    page.set_viewport_size({"width": 1440, "height": 1500})
    studio.get_by_role("slider").first.focus()
    page.keyboard.press("Home")
    _until(lambda: weights(studio)[0] == 0 and sum(weights(studio)) == 100, 10, lambda: str(weights(studio)))
    kept = weights(studio)
    time.sleep(1)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    _until(lambda: studio.get_by_role("button", name="Go on with it").count(), 120)
    assert weights(studio) == [30, 25, 20, 15, 10]
    studio.get_by_role("button", name="Go on with it").click()
    _until(lambda: weights(studio) == kept, 10, lambda: f"{weights(studio)}, {kept}")


def test_a_dead_studio_says_so(page, studio, desk, shot):
    _until(lambda: _there(page, "Generate"), 120)
    for cell in (studio, desk):
        assert not cell.locator(".cpt-dead").is_visible() and cell.locator(".cpt-state").is_visible()
    page.evaluate("window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart()")
    for cell in (studio, desk):
        _until(lambda cell=cell: cell.locator(".cpt-dead").is_visible(), 60)
        assert not cell.locator(".cpt-state").is_visible()
    shot("dead_studio", 0)
