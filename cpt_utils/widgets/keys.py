"""What core ipywidgets cannot: keys that stay inside, Ctrl+Z, and names for sliders. Needs anywidget."""

import functools
import sys
from importlib import resources

import ipywidgets as w

KEYS = "cpt-keys"
"""The class of the widget that keys are kept inside of, and that is searched for what has no name."""


def key_guard(on_undo=None) -> w.Widget:
    """A part without a face: put it among the children of a widget of class KEYS. `on_undo()` hears Ctrl+Z.

    It does nothing where anywidget is absent, and on Colab, where it would change the widgets of the whole page.
    """
    kind = None if "google.colab" in sys.modules else _guard_class()
    if kind is None:
        return w.HTML(layout=w.Layout(display="none"))
    guard = kind()
    guard.layout.height = "0"
    guard.on_msg(lambda _widget, said, _buffers: on_undo() if on_undo and said.get("undo") else None)
    return guard


@functools.cache
def _guard_class() -> type | None:
    try:
        from anywidget import AnyWidget
    except ImportError:
        return None

    class KeyGuard(AnyWidget):
        _esm = resources.files("cpt_utils").joinpath("data/keys.js").read_text("utf-8")

    return KeyGuard


GONE = ".cpt-keys.jupyter-widgets-disconnected"
"""A root of class KEYS whose kernel has ended: Jupyter sets the other class."""
LOOK = (
    f"<style>.cpt-dead{{display:none}}{GONE} .cpt-dead{{display:block}}{GONE} .cpt-state{{display:none}}"
    f"{GONE}>:not(.cpt-notice){{opacity:.4;pointer-events:none}}"
    # JupyterLab writes the names of tabs that are not in front in a grey that is hard to read.
    ".cpt-keys .lm-TabBar-tab{color:var(--jp-ui-font-color1,inherit)!important}"
    ".cpt-keys textarea{field-sizing:content;min-height:3em;max-height:16em}"  # as high as its words, if it can
    f"{GONE}::before,{GONE} .jupyter-widgets-disconnected::before{{content:none}}</style>"
    "<div class='cpt-dead' role='alert' style='border-left:4px solid #D55E00;padding:2px 8px;line-height:1.4'>"
    "<b>✗</b> The kernel that this belongs to has ended: nothing here answers any more. Run the cell again.</div>"
)


def dead_notice() -> w.HTML:
    """A line, among the children of a widget of class KEYS, that shows once its kernel is gone; the others fade."""
    return w.HTML(LOOK, layout=w.Layout(width="98%", margin="0")).add_class("cpt-notice")
