"""Loss, rewards and right preferences, drawn while a training runs and after it."""

import math

from transformers import TrainerCallback

from cpt_utils.plotting import BASE, TUNED, figure, small_picture


class LiveCurves(TrainerCallback):
    """A figure below the cell that grows with every line of the log; nothing where no notebook shows it."""

    def on_train_begin(self, args, state, control, **kwargs):
        from IPython import get_ipython

        self.shown, self.live = None, hasattr(get_ipython(), "kernel")

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.live and logs and "rewards/chosen" in logs:
            self._show(training_curves(state.log_history, state.max_steps))

    def _show(self, fig) -> None:
        import matplotlib.pyplot as plt
        from IPython.display import display

        picture = small_picture(fig)
        plt.close(fig)
        if self.shown is None:
            self.shown = display(picture, display_id=True)
        else:
            self.shown.update(picture)


def dpo_losses(log: list[dict]) -> list[float]:
    """The DPO loss of each line of a Trainer's log_history; where it is the only loss, it has no name of its own."""
    return [line.get("loss/sigmoid", line["loss"]) for line in log if "loss" in line]


def training_curves(log: list[dict], steps: int):
    """DPO loss, implicit rewards and shares of right preferences in a Trainer's log_history, over `steps` in all."""
    lines = [line for line in log if "loss" in line]
    x = [line["step"] for line in lines]
    fig, axes = figure(1, 3, width=12, height=3)
    axes[0].plot(x, dpo_losses(log), "o-", markersize=3, color=TUNED)
    axes[0].axhline(math.log(2), color="black", linestyle="--", linewidth=1)
    axes[0].set(title="DPO loss (dashed: ln 2)", ylim=(0, None))
    for side, mark, colour in (("chosen", "o", TUNED), ("rejected", "s", BASE)):
        axes[1].plot(x, [line[f"rewards/{side}"] for line in lines], mark + "-", markersize=3, color=colour, label=side)
    axes[1].set(title="implicit rewards")
    axes[1].legend(loc="upper left")
    met = [line.get("rewards/both_directions", math.nan) for line in lines]
    _plot_known(axes[2], x, met, "-", color=TUNED, alpha=0.5, linewidth=1, label="training pairs, both directions")
    held = [line for line in log if "eval_rewards/accuracies" in line]
    for name, mark, colour, label in (
        ("accuracies", "D", BASE, "held-out rows"),
        ("both_directions", "o", TUNED, "held-out pairs, both directions"),
    ):
        shares = [line.get(f"eval_rewards/{name}", math.nan) for line in held]
        _plot_known(axes[2], [line["step"] for line in held], shares, mark, color=colour, label=label)
    axes[2].set(title="right preferences", ylim=(0, 1.04))
    if axes[2].lines:
        axes[2].legend(loc="lower right")
    for axis in axes:
        axis.set(xlabel="step", xlim=(0, 1.04 * steps))  # room for the marks of the last step
    return fig


def _plot_known(axis, x: list[int], y: list[float], *look, **options) -> None:
    """Plot what is known; where nothing is, the legend is not to name it."""
    if not all(map(math.isnan, y)):
        axis.plot(x, y, *look, **options)
