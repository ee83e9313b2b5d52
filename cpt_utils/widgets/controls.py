"""The few widget forms that the studio and the desk share, from core ipywidgets only."""

import html

import ipywidgets as w

from cpt_utils.rubrics import LEVEL_SCORES
from cpt_utils.runtime.files import encodable

PLAIN = str.maketrans("<$", "‹＄")
"""ipywidgets 7 (Colab's) takes a label for HTML, and every version sets formulas in it."""
WIDE = {"description_width": "110px"}
TIP = "tooltip" if w.Text.class_traits().get("tooltip") else "description_tooltip"
"""What a field's tooltip is called: ipywidgets 8 has one name for all widgets, 7 another for what has a label."""


def button(label: str, tip: str, act, width: str = "auto") -> w.Button:
    made = w.Button(description=label, tooltip=tip, layout=w.Layout(width=width))
    made.on_click(lambda _: act())
    return made


def row(*children) -> w.HBox:
    """Side by side, and below one another where the page is narrow."""
    return w.HBox(children, layout=w.Layout(flex_flow="row wrap", align_items="flex-start", width="100%"))


def column(children, least: str, share: str = "1") -> w.VBox:
    """A column of a row that wraps below the others when less than `least` is left for it."""
    flex = f"{share} 1 {least}"
    return w.VBox(children, layout=w.Layout(flex=flex, min_width="280px", padding="0 8px 0 0"))


def field(name: str, kind: type = w.Text, **options):
    """A full-width field. Text reports when it is left (one step to undo), not at every key."""
    options = {"continuous_update": False} | options if kind in (w.Text, w.Textarea) else options
    if kind is not w.Textarea:
        options.pop("rows", None)
    return kind(description=name, layout=w.Layout(width="98%"), style=dict(WIDE), **options)


def icon(name: str, act) -> w.Button:
    """A small button with a sign of Font Awesome; its tooltip, set later, is all that names it."""
    made = w.Button(icon=name, layout=w.Layout(width="34px", flex="0 0 34px"))
    made.on_click(lambda _: act())
    return made


ROOM = "390px"
"""For a name, a slider and two buttons: in less of it the name takes a whole line, or a button would drop alone."""


def weight_row(weight: float, step: float, on_move, on_edit, on_remove) -> w.HBox:
    """A criterion's name (see name_row), its weight as a slider, and buttons to edit and to remove it.

    In a row of less than ROOM the name stands above the others, so that the slider keeps a length to drag along.
    """
    slider = w.FloatSlider(
        value=weight,
        min=0,
        max=100,
        step=step,
        readout_format=".1f",
        layout=w.Layout(flex="3 1 150px", min_width="100px"),
    )
    slider.observe(lambda change: on_move(change["new"]), "value")
    name = w.HTML(layout=w.Layout(flex=f"1 1 calc(({ROOM} - 100%) * 999)", min_width="120px"))
    parts = [name, slider, icon("pencil", on_edit), icon("times", on_remove)]
    return w.HBox(parts, layout=w.Layout(flex_flow="row wrap", align_items="center")).add_class("cpt-row")


def name_row(line: w.HBox, name: str) -> None:
    """Name a `weight_row`, also for those who do not see it."""
    name = encodable(name)
    shown = html.escape(name, quote=True)
    line.children[0].value = f"<div data-name='Weight of {shown}' style='line-height:1.3'>{shown}</div>"
    for made, verb in zip(line.children[2:], ("Edit", "Remove")):
        made.tooltip = f"{verb} {name}"


def show_one(panels: w.Box, index: int | None) -> None:
    """Of some panels show one, or none."""
    for place, panel in enumerate(panels.children):
        panel.layout.display = None if place == index else "none"


def rubric_panel(on_type) -> w.VBox:
    """Fields for what a rubric says as a whole; `on_type` gets the path of the field, and its text or list of lines."""
    levels = [field(f"Level {score}") for score in LEVEL_SCORES]
    texts = [field("Title"), field("Objective", w.Textarea, rows=4), *levels]
    paths = [("title",), ("objective",), *(("levels", place) for place in range(len(levels)))]
    for made, path in zip(texts, paths):
        made.observe(lambda change, path=path: on_type(path, change["new"]), "value")
    principles = field("Principles", w.Textarea, rows=4, placeholder="one a line")
    principles.observe(lambda change: on_type(("guiding_principles",), _lines(change["new"])), "value")
    return w.VBox([*texts[:2], principles, *levels], layout=w.Layout(display="none"))


def fill_rubric_panel(panel: w.VBox, draft: dict) -> None:
    """Put a draft's texts into the fields of `rubric_panel`."""
    texts = [draft["title"], draft["objective"], "\n".join(draft["guiding_principles"]), *draft["levels"]]
    for made, text in zip(panel.children, texts):
        made.value = text


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]


def criterion_panel(criterion: dict, level_names: list[str], on_type) -> w.VBox:
    """Fields for a criterion's texts; `on_type` gets the path of the field within it, and the text."""

    def watched(label: str, kind: type, text: str, *path) -> w.Widget:
        made = field(label, kind, value=text, rows=3)
        made.style.description_width = "150px"  # names of levels are longer than those of other fields
        made.observe(lambda change: on_type(path, change["new"]), "value")
        return made

    panel = w.VBox(
        [
            watched("Name", w.Text, criterion["name"], "name"),
            watched("Description", w.Textarea, criterion["description"], "description"),
            *(watched("", w.Textarea, text, "levels", i) for i, text in enumerate(criterion["levels"])),
        ]
    )
    name_levels(panel, level_names)
    return panel


def fill_criterion_panel(panel: w.VBox, criterion: dict) -> None:
    """Put a criterion's texts into the fields of its panel."""
    for made, text in zip(panel.children, [criterion["name"], criterion["description"], *criterion["levels"]]):
        made.value = text


def name_levels(panel: w.VBox, names: list[str]) -> None:
    """Name the fields of a `criterion_panel` as the levels are called now."""
    for made, name, score in zip(panel.children[2:], names, LEVEL_SCORES):
        label = encodable(name.strip()) or f"Level {score}"
        made.description = label.translate(PLAIN)
        setattr(made, TIP, label)


def discard(box: w.Box) -> None:
    """Close a box and what is in it, so that widgets no longer shown do not pile up in the kernel."""
    for each in (*box.children, box):
        for part in (getattr(each, "style", None), each.layout, each):
            if part is not None:
                part.close()
