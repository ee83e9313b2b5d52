"""The curves of a training grow with its log, one picture in one place, and only in a notebook."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import IPython
import IPython.display
import pytest

from cpt_utils.curves import LiveCurves, training_curves

LOG = [
    {"loss": 0.70, "loss/sigmoid": 0.69, "rewards/chosen": 0.0, "rewards/rejected": 0.0, "step": 5},
    {"eval_rewards/accuracies": 0.75, "eval_rewards/both_directions": 0.5, "step": 5},
    {
        "loss": 0.40,
        "loss/sigmoid": 0.30,
        "rewards/chosen": 1.5,
        "rewards/rejected": -2.0,
        "rewards/both_directions": 0.25,
        "step": 10,
    },
]


@pytest.fixture
def shown(monkeypatch):
    pictures = []

    def display(picture, display_id=None):
        pictures.append(("new", picture.data))
        return SimpleNamespace(update=lambda other: pictures.append(("again", other.data)))

    monkeypatch.setattr(IPython.display, "display", display)
    return pictures


def watch(curves):
    curves.on_train_begin(None, None, None)
    for end, line in enumerate(LOG, 1):
        curves.on_log(None, SimpleNamespace(log_history=LOG[:end], max_steps=20), None, logs=line)


def test_one_picture_grows(shown, monkeypatch):
    monkeypatch.setattr(IPython, "get_ipython", MagicMock())  # whose return value has a kernel
    curves = LiveCurves()
    watch(curves)
    assert [kind for kind, _ in shown] == ["new", "again"]
    assert all(data.startswith(b"\x89PNG") for _, data in shown) and shown[0][1] != shown[1][1]
    watch(curves)  # a second training gets a picture of its own
    assert [kind for kind, _ in shown] == ["new", "again"] * 2


@pytest.mark.parametrize("here", [None, MagicMock(spec=["events"])])
def test_nothing_is_drawn_outside_of_notebooks(shown, monkeypatch, here):
    monkeypatch.setattr(IPython, "get_ipython", lambda: here)
    watch(LiveCurves())
    assert not shown


def test_the_curves_show_the_dpo_loss_both_rewards_and_right_preferences():
    import matplotlib.pyplot as plt

    fig = training_curves(LOG, 20)
    loss, rewards, right = fig.axes
    assert loss.lines[0].get_xydata().tolist() == [[5, 0.69], [10, 0.30]]
    assert [line.get_label() for line in rewards.lines] == ["chosen", "rejected"]
    assert rewards.lines[1].get_ydata()[-1] == -2.0 and loss.get_xlim() == (0, pytest.approx(20.8))
    assert [line.get_xydata()[-1].tolist() for line in right.lines] == [[10, 0.25], [5, 0.75], [5, 0.5]]
    plt.close(fig)
    loss, *_, right = training_curves(
        [{"loss": 0.6, "rewards/chosen": 0.0, "rewards/rejected": 0.0, "step": 1}], 3
    ).axes
    assert loss.lines[0].get_ydata().tolist() == [0.6]  # TRL's own trainer has one loss under one name
    assert not right.lines and right.get_legend() is None
    *_, right = training_curves([*LOG[:1], LOG[1] | {"eval_rewards/both_directions": float("nan")}], 20).axes
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["held-out rows"]
    plt.close("all")
