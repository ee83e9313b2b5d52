"""The few widget forms that the studio and the desk share, from core ipywidgets only."""

import ipywidgets as w

WIDE = {"description_width": "110px"}


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


def weight_row(weight: float, step: float, on_move, on_remove) -> w.HBox:
    """A criterion's name (filled in later), its weight as a slider, and a button to remove it."""
    slider = w.FloatSlider(
        value=weight,
        min=step,
        max=100,
        step=step,
        readout_format=".1f",
        layout=w.Layout(flex="1 1 auto", min_width="120px"),
    )
    slider.observe(lambda change: on_move(change["new"]), "value")
    name = w.HTML(layout=w.Layout(flex="0 0 150px"))
    parts = [name, slider, button("✕", "Remove this criterion", on_remove, "36px")]
    return w.HBox(parts, layout=w.Layout(align_items="center"))


def criterion_panel(criterion: dict, level_names: list[str], on_type) -> w.VBox:
    """Fields for a criterion's texts; `on_type` gets the path of the field within it, and the text."""

    def watched(label: str, kind: type, text: str, *path) -> w.Widget:
        made = field(label, kind, value=text, rows=2, tooltip=label)
        made.style.description_width = "150px"  # names of levels are longer than those of other fields
        made.observe(lambda change: on_type(path, change["new"]), "value")
        return made

    return w.VBox(
        [
            watched("Name", w.Text, criterion["name"], "name"),
            watched("Description", w.Textarea, criterion["description"], "description"),
            *(
                watched(name, w.Textarea, text, "levels", i)
                for i, (name, text) in enumerate(zip(level_names, criterion["levels"]))
            ),
        ]
    )


def discard(box: w.Box) -> None:
    """Close a box and what is in it, so that widgets no longer shown do not pile up in the kernel."""
    for each in (*box.children, box):
        for part in (getattr(each, "style", None), each.layout, each):
            if part is not None:
                part.close()
