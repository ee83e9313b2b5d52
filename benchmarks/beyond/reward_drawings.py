"""`make reward` as a figure, titled with its finding."""

from benchmarks.drawings import SECOND, SHORT
from cpt_utils.plotting import TUNED, figure

JUDGE_LOOKS = {
    "reward": (TUNED, "what pays"),
    "style": (SHORT, "style measures"),
    "meaning": (SECOND, "meaning"),
    "letters": ("black", "letters (never pay)"),
}
HELD_OUT_LOOKS = {
    1: {
        "spearman_rho": JUDGE_LOOKS["style"],
        "meaning_rho": JUDGE_LOOKS["meaning"],
        "letters_rho": JUDGE_LOOKS["letters"],
    },
    2: {"subject": (TUNED, "keeps its subject"), "overall": ("black", "overall")},
}
"""Row of the figure -> what is drawn of the held-out points; mirrored DPO's end stands beside the last."""


def draw_reward(found: dict):
    """Of each run, by step: what pays and what looks on; on held-out prompts rho by each judge; subject and overall.
    A dotted line stands where style leaves letters, a dashed one where one text is left.
    """
    runs, dpo = found["runs"], found["mirrored DPO"]["points"][-1]
    fig, axes = figure(3, len(runs), width=max(9, 2.6 * len(runs)), height=8, sharey="row", squeeze=False)
    for column, (name, one) in zip(axes.T, runs.items()):
        for judge, curve in one["curves"].items():
            colour, label = JUDGE_LOOKS[judge]
            column[0].plot(curve, color=colour, label=label)
        for moment, line in ((one["parting"], ":"), (one["collapsed"], "--")):
            if moment is not None:
                column[0].axvline(moment, color="black", linestyle=line, linewidth=1)
        column[0].set(title=name, ylim=(0, 1))
        for row, looks in HELD_OUT_LOOKS.items():
            for part, (colour, label) in looks.items():
                read = [(point["step"], point[part]) for point in one["points"] if point.get(part) is not None]
                column[row].plot(*zip(*read), "o-", markersize=3, color=colour, label=label)
            label = f"mirrored DPO: {label.split()[0]}"
            column[row].axhline(dpo[part], color="black", linewidth=1, linestyle="--", label=label)
        column[1].set_ylim(-0.2, 1)
        column[2].set(xlabel="step", ylim=(0, 2))
    for row, label in zip(axes, ("near the target (0 to 1)", "held out: rho", "held out: 0 to 2")):
        row[0].set_ylabel(label)
        row[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    fig.suptitle(finding_reward(found), fontsize=11)
    return fig


def finding_reward(found: dict) -> str:
    """What became of each run on held-out prompts after the same number of steps, by what was not paid as style."""
    lines = [
        f"Held-out prompts, first and after {found['equal_steps']} steps: rho by letters, which never pay; "
        "subject (0 to 2)"
    ]
    for name, one in found["runs"].items():
        ends = one["points"][0], one["at_equal_steps"]
        rho, subject = ("{:.2f} to {:.2f}".format(*(end[part] for end in ends)) for part in ("letters_rho", "subject"))
        lines.append(f"{name}: rho {rho}, subject {subject}")
    return "\n".join(lines)
