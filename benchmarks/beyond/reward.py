"""The rubric as a reward: what online reinforcement learning (TRL's GRPOTrainer) makes of it. `make reward`.

One judge pays (style measures), from the untuned model and from the tuned one; then what should keep the model honest:
KL, the harmonic reward, and two judges of which the lower counts. Two judges that are not paid by look on, and every
WATCH steps the model writes on held-out prompts. Mirrored DPO stands beside it, watched in the same way, so that both
can be read at equal time: seconds that the processor worked for a run, so that nothing beside it counts. The others
take a share of the first run's steps and are read at equal steps; the rate is constant, so a longer run is the same
until there.
Writes benchmarks/results/reward.json; a run that was stopped goes on from its checkpoint.
"""

from typing import NamedTuple

from transformers import set_seed

from benchmarks import measured
from benchmarks.answers import base_model
from benchmarks.beyond.columns import other_judges
from benchmarks.beyond.reward_drawings import draw_reward
from benchmarks.beyond.running import hardware_of, run
from benchmarks.beyond.watching import Watch, diary_of
from benchmarks.measured import kept_texts, so_far
from benchmarks.trainings import FOLDER, PROMPTS, RUBRICS, settings, trainer_of
from cpt_utils.checkpoints import last_checkpoint
from cpt_utils.evaluation import evaluation_tasks
from cpt_utils.judging import embedded_judge
from cpt_utils.models.adapters import find_adapter
from cpt_utils.models.conversation import ChatModel
from cpt_utils.models.loading import load_chat_model, load_student
from cpt_utils.models.logps import weights_hash, with_reference
from cpt_utils.online import Diary, mean_by_step, online_trainer
from cpt_utils.pairs import rows_for
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.rewards import Reward, harmonic, least_of, nearness, parting, smooth
from cpt_utils.rows import Task
from cpt_utils.runtime import files
from cpt_utils.runtime.profiles import Profile

NAME = "reward"


class Run(NamedTuple):
    """Who starts, what pays, the weight of KL, and the share of the steps."""

    start: str
    what: str
    kl: float = 0.0
    share: float = 1.0


RUNS = {
    "untuned, one judge": Run("base", "one judge"),
    "untuned, harmonic": Run("base", "harmonic", share=0.5),
    "tuned, one judge": Run("cpt", "one judge", share=0.2),
    "untuned, KL": Run("base", "one judge", kl=0.05, share=0.2),
    "untuned, two judges": Run("base", "two judges", share=0.2),
}
"""In this order: who stops early has the run that is hacked and the first remedy. All learn at notebook 07's rate."""
DPO = "mirrored DPO"
SIZES = {
    False: {"online": {"steps": 500}, "watch": 50, "prompts": PROMPTS[:6], "rubrics": RUBRICS, "dpo": -1},
    True: {
        "online": {"steps": 2, "texts": 4, "group": 2, "new_tokens": 6},
        "watch": 2,
        "prompts": PROMPTS[:1],
        "rubrics": RUBRICS[:1],
        "dpo": 2,
    },
}
WINDOW = 10
"""Steps over which curves are smoothed."""


def units(tiny: bool) -> dict[str, tuple]:
    """Name -> (function, its arguments)."""
    return {DPO: (mirrored_dpo, tiny)} | {name: (online, name, tiny) for name in RUNS}


def online_settings(size: dict, run: Run) -> dict:
    """The profile's settings of online training with those of the size and of a run."""
    told = settings().online.model_dump() | size["online"]
    return told | {"kl": run.kl, "steps": max(1, round(run.share * told["steps"]))}


def paying(what: str, base: ChatModel) -> Reward:
    """The reward of a run, by its name."""
    style = embedded_judge("style")
    if what == "harmonic":
        return harmonic(style, base)
    one = nearness(style)
    return least_of(one, nearness(embedded_judge("meaning"))) if what == "two judges" else one


def looking_on() -> dict[str, Reward]:
    """What else is written down of each text. Letters never pay, meaning where two judges do, style in every run."""
    judges = {"style": embedded_judge("style")} | other_judges()
    return {name: nearness(judge) for name, judge in judges.items()}


def online(name: str, tiny: bool) -> dict:
    """One run: its texts with all rewards, and the held-out points. It goes on from its last checkpoint."""
    one, size = RUNS[name], SIZES[tiny]
    told = online_settings(size, one)
    profile = settings().replace(save_steps=1 if tiny else 50, online=told)
    adapter = find_adapter(profile)[0] if one.start == "cpt" else None
    student, base = load_chat_model(profile, adapter) if adapter else load_student(profile), base_model()
    prompts = [prompt["prompt"] for prompt in load_prompts(heldout=False)][: 2 if tiny else None]
    tasks, diary = evaluation_tasks(prompts, size["rubrics"]), Diary(paying(one.what, base), looking_on())
    folder = (measured.RESULTS if tiny else FOLDER) / "online" / key_of(student, profile, tasks, diary, size)
    watch = Watch(base, student.tokenizer, size, size["watch"], diary)
    set_seed(profile.seed)  # here: every run begins from one adapter and reads in one order
    trainer = online_trainer(student, profile, tasks, diary, folder)
    folder.mkdir(parents=True, exist_ok=True)
    if last := last_checkpoint(folder):
        watch.take_up(diary_of(folder, int(last.rpartition("-")[2])))
    trainer.add_callback(watch)
    trainer.train(resume_from_checkpoint=last)
    written = [{name: value for name, value in row.items() if name != "seconds"} for row in diary.rows]
    return {"points": watch.points, "steps": told["steps"], "written": written}


def key_of(student: ChatModel, profile: Profile, tasks: list[Task], diary: Diary, size: dict) -> str:
    """What a run's checkpoints are kept under: a hash of all that makes it, so that none of another run is continued.

    That is the weights at its start (of the tuned model those of its recipe), the settings, the tasks, what is looked
    at, and the judges: by what they give for the recorded texts of one held-out prompt.
    """
    recorded = load_responses(heldout=True)[:12]
    given = [judge(recorded) for judge in (diary.rewards, *diary.others.values())]
    judges = [[round(value, 3) for value in values] for values in given]
    return files.json_hash([weights_hash(student.model), profile.model_dump(), tasks, size, judges], 12)


def mirrored_dpo(tiny: bool) -> dict:
    """The recipe of notebook 04, watched in the same way: the held-out points."""
    size = SIZES[tiny]
    profile = settings().replace(max_steps=size["dpo"], eval_steps=10_000, save_steps=10_000)
    rows = rows_for(profile, "train")[: 16 if tiny else None]
    student = load_student(profile)
    trainer = trainer_of(profile, with_reference(student, rows, profile), rows[:2])
    watch = Watch(base_model(), student.tokenizer, size, 2 if tiny else 20, Diary(lambda rows: []))
    trainer.add_callback(watch)
    trainer.train()
    return {"points": watch.points, "steps": trainer.state.global_step}


def at_time(points: list[dict], seconds: float) -> dict:
    """The first point after so many of the processor's seconds or more; the last one if there is none."""
    return next((point for point in points if point["cpu_seconds"] >= seconds - 1e-6), points[-1])


def at_step(points: list[dict], step: int) -> dict:
    """The last point up to this step."""
    return [point for point in points if point["step"] <= step][-1]


def curves_of(rows: list[dict]) -> dict[str, list[float]]:
    """Means by step of the reward, and of each judge's nearness."""
    return {name: mean_by_step(rows, name).tolist() for name in ("reward", "style", "meaning", "letters")}


def repeats(rows: list[dict]) -> list[float]:
    """By step, the share of texts that another one of the step equals: where all do, no advantage is left."""
    by_step: dict[int, list[str]] = {}
    for row in rows:
        by_step.setdefault(row["step"], []).append(row["response"])
    return [1 - len(set(texts)) / len(texts) for _, texts in sorted(by_step.items())]


def telling(rows: list[dict], step: int, count: int = 4) -> list[dict]:
    """Texts near a step that the judge of style likes furthest beyond that of letters."""
    near = {row["response"]: row for row in rows if abs(row["step"] - step) <= WINDOW}  # each text once
    best = sorted(near.values(), key=lambda row: row["letters"] - row["style"])[:count]
    kept = ("step", "prompt", "rubric", "target", "response", "reward", "style", "letters")
    return [{key: row[key] for key in kept} for row in best]


def assemble(planned: list[str]) -> dict:
    """Curves, where style and an unpaid judge part or the model writes one text only, the texts there; and held-out
    figures as soon as a run has had the time that DPO took, or a little more; None for a run of another machine.

    "at_equal_steps" says of every run what had come of it after the steps of the shortest one.
    """
    measured_units = so_far(f"{NAME}_units")
    kept = {unit: found["found"] for unit, found in measured_units.items()}
    machines = {unit: found["hardware"] for unit, found in measured_units.items()}
    seconds, runs = kept[DPO]["points"][-1]["cpu_seconds"], {}
    shortest = min(kept[unit]["steps"] for unit in planned if unit != DPO)
    for name in (unit for unit in planned if unit != DPO):
        rows, points = kept_texts(NAME, name), kept[name]["points"]
        curves = curves_of(rows)
        moment, early = (parting(curves["style"][:n], curves["letters"][:n], WINDOW) for n in (None, shortest))
        again = repeats(rows)
        collapsed = parting(again, [0.0] * len(again), WINDOW, least=0.5)  # from then on most texts are the same
        runs[name] = {
            "curves": {judge: smooth(curve, WINDOW).tolist() for judge, curve in curves.items()},
            "parting": moment,
            "collapsed": collapsed,
            "texts": telling(rows, next((at for at in (moment, collapsed) if at is not None), len(again) - 1)),
            "points": points,
            "at_equal_time": at_time(points, seconds) if machines[name] == machines[DPO] else None,
            "at_equal_steps": at_step(points, shortest) | {"parting": early},
            "cpu_seconds_a_step": points[-1]["cpu_seconds"] / max(1, kept[name]["steps"]),
        }
    how = f"make reward; curves smoothed over {WINDOW} steps; held-out points; equal time: what mirrored DPO took"
    told = {"how": how, "hardware": hardware_of(NAME), "equal_steps": shortest, "runs": runs}
    return told | {DPO: kept[DPO] | {"cpu_seconds": seconds}}


if __name__ == "__main__":
    run(NAME, "benchmarks.beyond.reward", assemble, draw_reward)
