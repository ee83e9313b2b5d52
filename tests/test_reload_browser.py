"""A page that is loaded again while the kernel lives: the studio far down a notebook, in a real JupyterLab."""

import os

import pytest

from tools import lab as browser_lab

pytestmark = pytest.mark.browser
LONG = "x = 1\n" * 30
"""So much above and below that the studio is drawn before it is on the page."""
STUDIO = 20
CELLS = [LONG] * STUDIO + ["from cpt_utils import rubric_studio\nrubric_studio('rococo', folder='saved')"] + [LONG] * 9
SHOW = """async (place) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = place;
  await notebook.scrollToItem(place, "start");
}"""
KERNEL = "window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel"


def test_tabs_turn_after_the_page_was_loaded_again(tmp_path):
    if browser_lab.chromium() is None and os.environ.get("CPT_NO_BROWSER"):
        pytest.skip("CPT_NO_BROWSER is set")
    with browser_lab.started(tmp_path, CELLS) as (_, address), browser_lab.opened(address, 1280, 800) as page:
        tabs = page.locator(".cpt-tabs").get_by_role("tab")
        page.evaluate(SHOW, STUDIO)
        browser_lab.command(page, "notebook:run-cell")
        tabs.nth(0).wait_for(timeout=120_000)
        page.wait_for_timeout(2000)  # the page says that it knows anywidget, and gets the guard
        browser_lab.command(page, "application:set-mode", "{mode: 'multiple-document'}")  # as JupyterLab begins
        page.wait_for_timeout(1000)
        browser_lab.command(page, "docmanager:save")
        page.wait_for_timeout(2000)
        page.reload()
        page.wait_for_function(KERNEL)
        page.wait_for_timeout(3000)
        page.evaluate(SHOW, STUDIO)
        for name, shown in (("Rubric", "Objective."), ("Scores", "The texts, best first")):
            page.get_by_role("tab", name=name, exact=True).click()
            page.locator(".cpt-view:visible", has_text=shown).wait_for()
            page.locator(f".cpt-tabs .lm-mod-current:has-text('{name}')").wait_for()
        page.evaluate("window.jupyterapp.shell.expandLeft()")  # the list of files
        page.wait_for_timeout(1000)
        tops = tabs.evaluate_all("all => all.map((tab) => tab.getBoundingClientRect().top)")
        assert len(tops) == 8 and len(set(tops)) == 1
