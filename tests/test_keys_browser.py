"""Keys and names (data/keys.js) in a plain page that listens as VS Code does, with a slider of ipywidgets 7."""

import os
from importlib import resources

import pytest

from cpt_utils.rubrics import load_rubric
from cpt_utils.widgets import keys, views
from tools import lab as browser_lab

pytestmark = pytest.mark.browser
PAGE = """
<div class="cpt-keys"><div class="cpt-row"><div data-name="Weight of Gilt">Gilt</div><div class="widget-slider">
<span class="ui-slider-handle" tabindex="0">|</span><div class="widget-readout" contenteditable="true">30.0</div>
</div></div><input title="Title" value="Rococo"><div id="here"></div></div>"""
BEGIN = """async (source) => {
  const keys = (await import("data:text/javascript," + encodeURIComponent(source))).default;
  [window.sent, window.heard] = [[], []];
  window.addEventListener("keydown", ({ key }) => window.heard.push(key));
  keys.render({ model: { send: (said) => window.sent.push(said) }, el: document.getElementById("here") });
}"""


@pytest.fixture
def page():
    if browser_lab.chromium() is None and os.environ.get("CPT_NO_BROWSER"):
        pytest.skip("CPT_NO_BROWSER is set")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_lab.chromium(), args=browser_lab.FLAGS)
        page = browser.new_page()
        page.set_content(PAGE)
        page.evaluate(BEGIN, resources.files("cpt_utils").joinpath("data/keys.js").read_text("utf-8"))
        yield page
        browser.close()


def test_a_slider_of_ipywidgets_7_says_what_it_is_and_where_it_stands(page):
    slider = page.get_by_role("slider", name="Weight of Gilt")
    assert slider.get_attribute("aria-valuenow") == "30.0"
    page.evaluate("document.querySelector('.widget-readout').textContent = '41.5'")
    assert slider.get_attribute("aria-valuenow") == "41.5"
    assert page.get_by_role("textbox", name="Weight of Gilt").count() == 1


def test_keys_stay_inside_and_undo_is_told(page):
    page.get_by_role("slider").focus()
    for key in ("b", "x", "ArrowRight", "Control+z", "Shift+Enter"):
        page.keyboard.press(key)
    assert page.evaluate("heard.filter((key) => !['Control', 'Shift'].includes(key))") == ["Enter"]
    assert page.evaluate("sent") == [{"undo": True}]


def test_ctrl_z_takes_back_typing_first(page):
    page.get_by_title("Title").fill("Mine")
    page.keyboard.press("Control+z")
    assert page.get_by_title("Title").input_value() == "Rococo" and page.evaluate("sent") == []
    page.keyboard.press("Control+z")
    assert page.evaluate("sent") == [{"undo": True}] and "z" not in page.evaluate("heard")


HIGH = """(cell) => {
  const words = document.createRange();
  words.selectNodeContents(cell);
  return words.getBoundingClientRect().height;
}"""


def test_words_of_names_stay_whole_and_scores_stay_in_sight(page):
    rubric = load_rubric("rococo")
    entry = {"label": "a_name_without_a_space_that_goes_on_and_on", "total": 50.0, "own": False, "flag": "x"}
    entry |= {"rank": 1, "by": 0, "rests_on": 100}
    scores = {criterion.name: 65.0 for criterion in rubric.criteria} | {rubric.criteria[-1].name: None}
    table = views.criterion_bars(rubric, entry | {"parts": scores}) + views.ranking([entry])
    page.set_content(f"<!doctype html><div id='box' style='width:420px;font:13px DejaVu Sans'>{table}</div>")
    for criterion in rubric.criteria[:2]:
        name = page.get_by_text(criterion.name, exact=True)
        assert name.bounding_box()["height"] < 45, "two lines at most: no word is cut"
    page.locator("#box").evaluate("box => { box.style.width = '265px' }")
    assert page.locator("table").evaluate_all("all => all.map((one) => one.offsetWidth <= 265)") == [True, True]
    assert page.get_by_text("50.0✗").evaluate(HIGH) < 30 < page.locator("tr").last.bounding_box()["height"]


def test_a_full_score_with_a_weight_of_tenths_stays_in_sight_beside_jupyterlabs_files(page):
    rubric = load_rubric("rococo")
    criteria = [each.model_copy(update={"weight": 26.5}) for each in rubric.criteria]
    entry = {"total": 100.0, "flag": "", "rests_on": 100, "parts": {each.name: 100.0 for each in criteria}}
    table = views.criterion_bars(rubric.model_copy(update={"criteria": criteria}), entry)
    page.set_content(f"<!doctype html><div style='width:263px;font:13px DejaVu Sans'>{table}</div>")
    assert page.locator("table").evaluate("one => one.offsetWidth") == 263


def test_a_wide_table_leaves_sentences_as_wide_as_their_column(page):
    """Without data/keys.js, too, as on Colab."""
    widget = "<div class=widget-html style='display:flex'><div class=widget-html-content style='flex-grow:1'>"
    table = views.rubric_table(load_rubric("rococo"))
    page.set_content(f"<!doctype html>{keys.LOOK}<div class=cpt-keys style='width:263px'>{widget}{table}</div></div>")
    assert page.locator(".widget-html-content").evaluate("one => [one.offsetWidth, one.scrollWidth]") == [263, 263]
    assert page.locator("p").first.bounding_box()["width"] == 263
    assert page.locator("table").bounding_box()["width"] > 400


TABS = """
<ul><li class="lm-TabBar-tab lm-mod-current">Scores</li><li class="lm-TabBar-tab">Scoring</li></ul>"""
TURN = """(tab) => tab.addEventListener("click", () => tab.classList.add("lm-mod-current"))"""


def test_the_kernel_hears_of_a_tab_only_if_it_does_not_turn(page):
    page.locator(".cpt-keys").evaluate("(root, tabs) => root.insertAdjacentHTML('beforeend', tabs)", TABS)
    page.get_by_text("Scoring").click()
    page.wait_for_function("sent.length")
    assert page.evaluate("sent.splice(0)") == [{"tab": 1}]
    page.get_by_text("Scoring").evaluate(TURN)
    page.get_by_text("Scoring").click()
    page.wait_for_timeout(600)
    assert page.evaluate("sent") == []


VSCODE = "<style>tr{text-align:right} .jupyter-button{border:0;background:#333;color:#ccc}</style>"
"""What VS Code says of all tables, and what comes of its colours in the dark theme."""


def test_names_stand_to_the_left_and_buttons_can_be_seen_in_vscode(page):
    entry = {"label": "Gilt", "total": 50.0, "own": False, "flag": "", "rank": 1, "by": 0}
    buttons = "<button class='jupyter-button'>low</button><button class='jupyter-button mod-active'>high</button>"
    page.set_content(f"{VSCODE}<div class=cpt-keys>{keys.LOOK}{views.ranking([entry])}{buttons}</div>")
    page.evaluate("document.body.dataset.vscodeThemeKind = 'vscode-dark'")

    def style(words: str, what: str) -> str:
        return page.get_by_text(words).evaluate(f"(part) => getComputedStyle(part)['{what}']")

    assert style("Gilt", "text-align") == "left" and style("50.0", "text-align") == "right"
    colours = [style(words, "border-color") for words in ("low", "high")]
    assert style("low", "border-width") == style("high", "border-width") == "1px" and colours[0] != colours[1]
