"""`make reward`: what pays, who looks on, where they part, and how a stopped run goes on."""

import copy
import json
import time

import matplotlib
import pytest
import torch

from benchmarks import measured
from benchmarks.beyond import reward, reward_drawings, running, tables, watching
from cpt_utils.models.conversation import ChatModel
from cpt_utils.online import Diary
from cpt_utils.rewards import nearness

matplotlib.use("agg")
POINT = {
    "overall": 1.0,
    "follows": 0.5,
    "subject": 1.5,
    "topic": 0.8,
    "spearman_rho": 0.5,
    "meaning_rho": 0.4,
    "letters_rho": 0.3,
    "order_gain": 4.0,
    "degenerate_rate": 0.0,
}


def test_every_remedy_starts_where_the_run_does_that_it_is_held_against():
    base = reward.RUNS["untuned, one judge"]
    assert base == ("base", "one judge", 0.0, 1.0)
    for name in ("untuned, harmonic", "untuned, two judges"):
        assert reward.RUNS[name]._replace(what=base.what, share=1.0) == base != reward.RUNS[name]._replace(share=1.0)
    assert reward.RUNS["untuned, KL"]._replace(kl=0.0, share=1.0) == base and reward.RUNS["untuned, KL"].kl > 0
    assert reward.RUNS["tuned, one judge"]._replace(share=1.0) == base._replace(start="cpt")
    whole = reward.online_settings(reward.SIZES[False], base)
    assert (whole["steps"], whole["learning_rate"]) == (500, reward.settings().online.learning_rate)


def test_who_stops_early_has_the_run_and_its_first_remedy():
    planned = list(reward.units(tiny=False))
    assert planned[0] == reward.DPO and planned[1:] == list(reward.RUNS)
    assert planned[1:3] == ["untuned, one judge", "untuned, harmonic"]


@pytest.mark.parametrize("name", list(reward.RUNS))
@pytest.mark.parametrize("tiny", [False, True])
def test_a_shorter_run_is_its_first_steps_and_was_looked_at_where_it_ends(tiny, name):
    run, size = reward.RUNS[name], reward.SIZES[tiny]
    whole, part = (reward.online_settings(size, one) for one in (run._replace(share=1.0), run))
    assert part == whole | {"steps": max(1, round(run.share * whole["steps"]))}
    assert part["steps"] % size["watch"] == 0 or tiny, "or the longer run was not looked at there"


def test_checkpoints_are_named_by_all_that_makes_a_run(tiny_model):
    profile, tasks = reward.settings(), [{"prompt": "Why?", "rubric": "rococo", "target": 95, "system": "Be rococo."}]
    student, size = ChatModel(tiny_model, None, ""), reward.SIZES[True]

    def key(student=student, profile=profile, tasks=tasks, paid=0.5, unpaid=0.4, size=size):
        others = {"letters": lambda rows: [unpaid] * len(rows)}
        diary = Diary(lambda rows: [paid + 1e-7 * number for number in range(len(rows))], others)
        return reward.key_of(student, profile, tasks, diary, size)

    trained = copy.deepcopy(tiny_model)
    next(trained.parameters()).data += 0.01
    changed = [
        {"student": ChatModel(trained, None, "")},
        {"profile": profile.replace(lora=profile.lora.model_dump() | {"r": 4})},
        {"profile": profile.replace(online=profile.online.model_dump() | {"kl": 0.05})},
        {"tasks": [tasks[0] | {"system": "Be very rococo."}]},
        {"paid": 0.51},
        {"unpaid": 0.41},
        {"size": size | {"watch": 1}},
    ]
    keys = [key(), *(key(**one) for one in changed)]
    assert key() == key(student=ChatModel(copy.deepcopy(tiny_model), None, "")) == keys[0]
    assert len(set(keys)) == len(keys)


def test_two_judges_pay_the_lower_of_their_rewards(monkeypatch):
    class Judge:
        def __init__(self, score):
            self.points = score

        def score(self, rubric, prompt, response):
            from cpt_utils.judging import Judgement

            return Judgement(self.points, False)

    judges = {"style": Judge(90.0), "meaning": Judge(40.0)}
    monkeypatch.setattr(reward, "embedded_judge", judges.get)
    rows = [{"prompt": "Why?", "rubric": "rococo", "target": 95, "response": "Rain."}]
    assert reward.paying("one judge", None)(rows) == pytest.approx([0.95])
    assert reward.paying("two judges", None)(rows) == pytest.approx([0.45])
    assert nearness(judges["meaning"])(rows) == pytest.approx([0.45])


def watch(every=2):
    size = reward.SIZES[True]
    return watching.Watch(None, None, size, every, Diary(lambda rows: [0.5] * len(rows)))


def test_a_diary_goes_on_where_it_was_kept(tmp_path):
    one = watch()
    one.diary.write(0, [{"response": "a"}])
    one.points.append({"step": 0, "cpu_seconds": 0.0})
    one.began = time.process_time() - 100
    one.keep(watching.diary_of(tmp_path, 50))
    other = watch()
    other.take_up(watching.diary_of(tmp_path, 50))
    other.on_train_begin(None, None, None)
    assert other.diary.rows == one.diary.rows and other.points == one.points
    assert 99 < time.process_time() - other.began < 110
    other.diary.write(50, [{"response": "b"}])
    assert [row["step"] for row in other.diary.rows] == [0, 50]


def worked(seconds):
    """Keep the processor at work for so long."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_looking_at_held_out_texts_takes_neither_time_nor_random_numbers_of_the_training(monkeypatch):
    class Model:
        training = True

        def eval(self):
            self.training = False

        def train(self, mode=True):
            self.training = mode

    def answer_tasks(chat_model, tasks, judge, **options):
        assert not chat_model.model.training
        torch.manual_seed(3)  # as chat does
        worked(0.2)
        return []

    monkeypatch.setattr(watching, "answer_tasks", answer_tasks)
    monkeypatch.setattr(watching, "held_out", lambda rows, base: dict(POINT))
    model, one = Model(), watch()
    began, drawn = time.process_time(), torch.random.get_rng_state()
    one.look(0, model)
    assert torch.equal(torch.random.get_rng_state(), drawn), "the training draws on from where it was"
    time.sleep(0.3)  # somebody else's time
    worked(0.1)
    one.look(2, model)
    assert model.training and time.process_time() - began > 0.49
    assert [point["step"] for point in one.points] == [0, 2] and 0.1 <= one.points[1]["cpu_seconds"] < 0.25


def fill(planned):
    """Keep what these units could have come to: 100 steps, or 50 of them, where letters leave style at 55."""
    for unit in planned:
        points = [{"step": step, "cpu_seconds": 10.0 * step} | POINT | {"overall": step / 100} for step in (0, 50, 100)]
        if unit == reward.DPO:
            measured.keep_texts("reward", unit, [])
            measured.add("reward_units", unit, {"points": [point | {"cpu_seconds": point["step"]} for point in points]})
            continue
        rows, steps = [], 100 if reward.RUNS[unit].share == 1 else 50
        for step in range(steps):
            paid = 0.3 + step / 200
            letters = paid if step < 55 or "harmonic" in unit else 0.5 - (step - 50) / 100
            for text in ("plain", "odd"):
                told = {"prompt": "Why?", "rubric": "rococo", "target": 95, "response": f"{text} {step}"}
                gap = 0.05 if text == "odd" else 0.0
                rows.append(
                    told | {"step": step, "reward": paid, "style": paid + gap, "meaning": paid, "letters": letters}
                )
        measured.keep_texts("reward", unit, rows)
        measured.add("reward_units", unit, {"points": [p for p in points if p["step"] <= steps], "steps": steps})


def test_curves_partings_texts_and_equal_times_are_assembled_and_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    planned = list(reward.units(tiny=False))
    fill(planned)
    found = measured.files.rounded(reward.assemble(planned))
    one, honest = found["runs"]["untuned, one judge"], found["runs"]["untuned, harmonic"]
    assert 50 < one["parting"] < 70 and honest["parting"] is None
    assert {text["response"].split()[0] for text in one["texts"]} == {"odd"} and len(one["texts"]) == 4
    assert all(abs(text["step"] - one["parting"]) <= reward.WINDOW for text in one["texts"])
    assert found["equal_steps"] == 50 and len(honest["curves"]["style"]) == 50
    for run in (one, honest):
        assert run["at_equal_steps"]["step"] == 50 and run["at_equal_steps"]["parting"] is None
        assert run["at_equal_steps"]["overall"] == 0.5
    assert (
        found[reward.DPO]["cpu_seconds"] == 100 and one["at_equal_time"]["step"] == 50
    )  # which take 500 s: some time more
    assert one["cpu_seconds_a_step"] == 10 and len(one["curves"]["reward"]) == 100
    shown = tables.reward_table(found, "at_equal_time")
    assert ">degenerate<" in shown and ">word-order gain<" in shown and ">5.0<" in shown, "five times DPO's time"
    assert shown.count("<tr>") == 2 + len(reward.RUNS) and shown.index("mirrored DPO") < shown.index(
        "untuned, one judge"
    )
    assert tables.reward_table(found, "points").count(">100<") == 1 + sum(
        run.share == 1 for run in reward.RUNS.values()
    )
    assert one["collapsed"] is None
    one["at_equal_steps"] |= {"letters_rho": -0.1, "subject": 1.0}
    one["collapsed"] = 70
    fig = reward_drawings.draw_reward(found)
    told = fig.get_suptitle()
    assert "after 50 steps" in told and "\nuntuned, one judge: rho 0.30 to -0.10, subject 1.50 to 1.00\n" in told
    assert "\nuntuned, harmonic: rho 0.30 to 0.30, subject 1.50 to 1.50\n" in told
    held_out = {line.get_label(): list(line.get_ydata()) for line in fig.axes[len(reward.RUNS)].lines}
    assert held_out["letters (never pay)"] == [0.3] * 3 and held_out["style measures"] == [0.5] * 3
    assert held_out["mirrored DPO: letters"] == [0.3] * 2, "beside letters, which pay nobody"
    drawn = fig.axes[0]
    assert [line.get_linestyle() for line in drawn.lines][-2:] == [":", "--"]
    assert drawn.lines[-2].get_xdata()[0] == one["parting"] and drawn.lines[-1].get_xdata()[0] == 70


def test_times_of_two_machines_are_not_compared(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    planned = list(reward.units(tiny=False))
    fill(planned[:2])
    monkeypatch.setattr(measured.machine, "hardware", lambda: "CPU of somebody else")
    fill(planned[2:])
    found = measured.files.rounded(reward.assemble(planned))
    assert [name for name, run in found["runs"].items() if run["at_equal_time"]] == planned[1:2]
    assert tables.reward_table(found, "at_equal_time").count("<tr>") == 3
    whole = tables.reward_table(found, "at_equal_steps")
    assert whole.count("<tr>") == 2 + len(reward.RUNS) and whole.count(">–<") == len(reward.RUNS) - 1
    assert "somebody else" in found["hardware"]


def test_a_run_whose_texts_are_all_the_same_has_collapsed():
    rows = [
        {"step": step, "response": "))))" if step >= 60 and number else f"text {number} of {step}"}
        for step in range(100)
        for number in range(8)
    ]
    again = reward.repeats(rows)
    assert again[:60] == [0.0] * 60 and again[60:] == [0.75] * 40
    assert 60 < reward.parting(again, [0.0] * 100, reward.WINDOW, least=0.5) < 70


def test_what_is_measured_so_far_can_be_assembled_and_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    planned = list(reward.units(tiny=False))
    fill(planned[:3])
    running.run("reward", "benchmarks.beyond.reward", reward.assemble, reward_drawings.draw_reward, ["--so-far"])
    found = measured.so_far("reward")
    assert (
        list(found["runs"]) == planned[1:3] and found["missing"] == planned[3:] and (tmp_path / "reward.png").exists()
    )
    fill(planned[3:])
    running.run("reward", "benchmarks.beyond.reward", reward.assemble, reward_drawings.draw_reward, [])
    assert list(measured.so_far("reward")["runs"]) == planned[1:] and "missing" not in measured.so_far("reward")


def test_at_equal_time_the_first_point_behind_it_counts():
    points = [{"step": step, "cpu_seconds": seconds} for step, seconds in ((0, 0.0), (50, 30.0), (100, 61.0))]
    asked = (0.0, 29.0, 30.0, 60.0, 500.0)
    assert [reward.at_time(points, seconds)["step"] for seconds in asked] == [0, 50, 50, 100, 100]


@pytest.mark.slow
def test_reward_runs_at_its_tiny_size(monkeypatch, tmp_path):
    monkeypatch.setattr(running, "TINY", tmp_path)
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    monkeypatch.setattr(reward, "FOLDER", tmp_path / "runs")
    running.run("reward", "benchmarks.beyond.reward", reward.assemble, reward_drawings.draw_reward, ["--tiny"])
    found = measured.so_far("reward")
    assert set(found["runs"]) == set(reward.RUNS) and (tmp_path / "reward" / "reward.png").exists()
    assert json.loads(next(tmp_path.rglob("diary-2.json")).read_text("utf-8"))["rows"]
