"""What core ipywidgets cannot: keys that stay inside, Ctrl+Z, names for sliders, tabs that turn. Needs anywidget."""

import functools
from importlib import resources

import ipywidgets as w
from IPython import get_ipython

from cpt_utils.runtime import colab

KEYS = "cpt-keys"
"""The class of the widget that keys are kept inside of, and that is searched for what has no name."""


def add_guard(root: w.Box, on_undo=None) -> None:
    """Keep keys inside of `root`, which gets the class KEYS. `on_undo()` hears Ctrl+Z.

    The guard is a part without a face, and joins the others once the page has said that it knows such parts: one that
    does not (no extension there, or no way to the address that it would come from) shows nothing of a box that holds
    one. It is left out where anywidget is absent, and on Colab, where it would change the widgets of the whole page.
    """
    root.add_class(KEYS)
    kind = None if colab.here() else _guard_class()
    if kind is None:
        return

    def begin() -> None:
        guard = kind()
        guard.layout.height = "0"

        def hear(_widget, said: dict, _buffers) -> None:
            if said.get("here") and guard not in root.children:
                root.children = (*root.children, guard)
            elif said.get("undo") and on_undo:
                on_undo()
            elif isinstance(said.get("tab"), int):
                turn_tabs(root, said["tab"])

        guard.on_msg(hear)

    _after_the_cell(begin)


def turn_tabs(box: w.Box, place: int) -> None:
    """Bring the tabs within a box to a place, and have the page draw them anew: then they hear of clicks again."""
    for each in box.children:
        if isinstance(each, w.Tab):
            each.selected_index = min(max(place, 0), len(each.children) - 1)
            kept, box.children = box.children, ()
            box.children = kept
        elif isinstance(each, w.Box):
            turn_tabs(each, place)


def _after_the_cell(act) -> None:
    """Act once the cell that runs has shown what it shows; at once where there are no cells.

    A page hears of widgets in turn. VS Code asks its user before it fetches anywidget, for a minute if nobody answers,
    and shows nothing that comes later.
    """
    shell = get_ipython()
    if shell is None:
        act()
        return

    def later(*_) -> None:
        shell.events.unregister("post_run_cell", later)
        act()

    shell.events.register("post_run_cell", later)


@functools.cache
def _guard_class() -> type | None:
    try:
        from anywidget import AnyWidget
    except ImportError:
        return None

    class KeyGuard(AnyWidget):
        _esm = resources.files("cpt_utils").joinpath("data/keys.js").read_text("utf-8")

    return KeyGuard


ELSEWHERE = "opens here when you run this cell in JupyterLab, Notebook 7, VS Code or Colab."
"""What a page or a terminal without widgets shows instead, behind a name; ipywidgets cuts it at 110 letters."""
GONE = ".cpt-keys.jupyter-widgets-disconnected"
"""A root of class KEYS whose kernel has ended: Jupyter sets the other class."""
LOOK = (
    f"<style>.cpt-dead{{display:none}}{GONE} .cpt-dead{{display:block}}{GONE} .cpt-state{{display:none}}"
    f"{GONE}>:not(.cpt-notice){{opacity:.4;pointer-events:none}}"
    # JupyterLab writes the names of tabs that are not in front in a grey that is hard to read.
    ".cpt-keys .lm-TabBar-tab{color:var(--jp-ui-font-color1,inherit)!important}"
    # VS Code has tables stand to the right, and in its dark theme gives buttons the colour of the tab that they are on.
    ".cpt-keys td{text-align:left}"
    "[data-vscode-theme-kind] .cpt-keys .jupyter-button{border:1px solid #8888}"
    "[data-vscode-theme-kind] .cpt-keys .mod-active{border-color:currentColor}"
    ".cpt-keys textarea{field-sizing:content;min-height:3em;max-height:16em}"  # as high as its words, if it can
    # As wide as its column, or a table in it would widen its sentences, too, and what is too wide is cut.
    ".cpt-keys .widget-html-content{flex:1 1 auto;min-width:0;overflow-wrap:break-word}"
    f"{GONE}::before,{GONE} .jupyter-widgets-disconnected::before{{content:none}}</style>"
    "<div class='cpt-dead' role='alert' style='border-left:4px solid #D55E00;padding:2px 8px;line-height:1.4'>"
    "<b>✗</b> The kernel that this belongs to has ended: nothing here answers any more. Run the cell again.</div>"
)


def dead_notice() -> w.HTML:
    """A line, among the children of a widget of class KEYS, that shows once its kernel is gone; the others fade."""
    return w.HTML(LOOK, layout=w.Layout(width="98%", margin="0")).add_class("cpt-notice")
