"""Draw the rubric studio and the steering desk as they look in JupyterLab: `make pictures`.

Writes figures/workbench.png and figures/desk.png. Needs Chromium, JupyterLab and Playwright (`make test` sets them up).
"""

import sys
import tempfile
from pathlib import Path

from cpt_utils.runtime.files import ROOT
from tools import lab

CELLS = [
    "from cpt_utils import rubric_studio\nrubric_studio('rococo')",
    "from cpt_utils import runtime, steering_desk\n"
    "from cpt_utils.models.loading import load_pair\n"
    "profile = runtime.start('embedded')\n"
    "base, tuned, _ = load_pair(profile, dtype=profile.generation_dtype)\n"
    "steering_desk(base, tuned, profile=profile)",
]
STUDIO, DESK = ".cpt-keys >> nth=0", ".cpt-keys >> nth=1"


def draw_studio(page, path: Path) -> None:
    """The studio with one weight moved, so that texts have changed their ranks."""
    page.get_by_role("slider").nth(1).focus()
    for _ in range(4):
        page.keyboard.press("PageUp")
    lab.until(lambda: "▲" in page.locator(STUDIO).inner_text(), 20)
    page.get_by_role("button", name="Edit Winding syntax").click()
    page.wait_for_timeout(500)
    page.locator(STUDIO).screenshot(path=path)


def draw_desk(page, path: Path) -> None:
    """The desk after a run: the first held-out prompt and the order that it opens with."""
    page.get_by_role("button", name="Generate").click()
    state = page.locator(DESK).locator(".cpt-state")
    lab.until(lambda: "Done" in state.inner_text(), 600, state.inner_text)
    page.wait_for_timeout(500)
    page.locator(DESK).screenshot(path=path)


def main() -> None:
    if lab.chromium() is None:
        sys.exit("The pictures need Chromium: apt-get install chromium.")
    with tempfile.TemporaryDirectory() as home, lab.started(Path(home), CELLS) as (_, address):
        with lab.opened(address, 1180, 1500) as page:
            lab.command(page, "notebook:run-all-cells")
            lab.until(lambda: page.get_by_role("button", name="Generate").count(), 300)
            draw_studio(page, ROOT / "figures" / "workbench.png")
            draw_desk(page, ROOT / "figures" / "desk.png")
    print("figures/workbench.png, figures/desk.png")


if __name__ == "__main__":
    main()
