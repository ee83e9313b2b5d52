"""The two sides of the steering desk: what each is asked, why it cannot be, and its answer."""

import threading
from collections.abc import Callable

from cpt_utils.models.conversation import ChatModel
from cpt_utils.models.streaming import fault, stream_answer, stream_dial
from cpt_utils.one_answer import growing_answer
from cpt_utils.prompts import messages
from cpt_utils.runtime.errors import CutOffError, GenerationError
from cpt_utils.teachers import Teacher
from cpt_utils.thoughts import aloud_so_far, spoken
from cpt_utils.widgets import views
from cpt_utils.widgets.orders import Order

MODELS, ORDERS, DIAL = "two models, one order", "an order for each", "a dial: first order 0, second 1"


def asked(compare: str, orders: tuple[Order, Order], chosen: list[str], models: dict) -> list[dict]:
    """What each side is asked: {model, name, systems, style, target}; `chosen`: the two models' names."""
    first, second = orders
    mine = {MODELS: ([first], [first]), ORDERS: ([first], [second]), DIAL: ([first, second],) * 2}[compare]
    return [_one(model, models[model].name, side) for model, side in zip(chosen, mine)]


def _one(model: str, name: str, orders: list[Order]) -> dict:
    told = {"style": None, "target": None}
    if len({order.style for order in orders}) == 1:
        told = {"style": orders[0].style, "target": orders[0].target}
    if len(orders) > 1:  # in between there is no target
        told["target"] = None
    return {"model": model, "name": name, "systems": [order.system for order in orders]} | told


def ends(orders: tuple[Order, Order]) -> str:
    """What stands below the dial: which order is at which end."""
    first, second = (order.pick.value.strip() for order in orders)
    return views.note(f"0: {first}\n1: {second}")


def why_not(prompt: str, sides: list[dict], models: dict) -> str:
    """Why the sides are not asked this, in one sentence; "" if they can be."""
    for side in sides:
        if len(side["systems"]) > 1 and isinstance(models[side["model"]], Teacher):
            return "A dial needs models of this process: choose such on both sides."
        if wrong := fault(prompt, max(side["systems"], key=len)):
            return wrong
    return ""


def answer(
    model: ChatModel | Teacher,
    run: dict,
    side: dict,
    show: Callable[[str], None],
    stop: threading.Event,
    every: float,
) -> tuple[str, bool]:
    """The side's text, and whether it came to its end. A Teacher samples as it was made, not by the run's options."""
    turns = [messages(run["prompt"], system or None) for system in side["systems"]]
    if isinstance(model, Teacher):
        return growing_answer(model, *turns, "gave no answer", show, stop)
    settings = (lambda text: show(aloud_so_far(text)), stop, every)
    if "dial" in run:
        text, ended = stream_dial(model, *turns, run["dial"], *settings, **run["options"])
    else:
        text, ended = stream_answer(model, *turns, *settings, **run["options"])
    return (aloud_so_far(text) if stop.is_set() else _spoken(model, text)), ended


def _spoken(model: ChatModel, text: str) -> str:
    """The answer without thinking; a GenerationError where it is thinking alone."""
    try:
        return spoken(text).strip()
    except CutOffError as error:
        raise GenerationError(f"{model.name} gave {error}.") from None


def head(name: str, model: ChatModel | Teacher) -> str:
    """What stands above an answer."""
    own = " · with settings of its own" if isinstance(model, Teacher) else ""
    return f"<b>{views.text(name)}</b> · {views.text(model.name)}{own}"
