"""What a training comes to while it goes on: held-out figures every so many steps, and the time that it took."""

import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers import TrainerCallback

from benchmarks.answers import options
from benchmarks.beyond.columns import other_judges
from benchmarks.trainings import FOLDER, settings
from cpt_utils.evaluation import answer_tasks, evaluation_tasks, rank_metrics
from cpt_utils.judging import embedded_judge, judge_rows
from cpt_utils.models.conversation import ChatModel
from cpt_utils.online import Diary
from cpt_utils.overall import with_sense
from cpt_utils.runtime import files


class Watch(TrainerCallback):
    """Held-out texts of the model as it is, every so many steps; what that takes is no time of the training.

    Time is the processor's (time.process_time).
    """

    def __init__(self, base: ChatModel, tokenizer, size: dict, every: int, diary: Diary):
        self.base, self.tokenizer, self.size, self.every, self.diary = base, tokenizer, size, every, diary
        self.new_tokens = (settings().online.model_dump() | size["online"])["new_tokens"]
        self.points: list[dict] = []
        self.before = 0.0  # seconds of training in former runs
        self.began = time.process_time()

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.began = time.process_time() - self.before
        if not self.points:
            self.look(state.global_step, model)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self.look(state.global_step, model)
        if state.global_step % args.save_steps == 0:  # before the checkpoint, so that one never lacks its diary
            self.keep(diary_of(Path(args.output_dir), state.global_step))

    def look(self, step: int, model) -> None:
        """Add a point: held-out figures at this step, after so many seconds of training."""
        stopped, training = time.process_time(), model.training
        model.eval()
        tasks = evaluation_tasks(self.size["prompts"], self.size["rubrics"])
        told = options(settings()) | {"max_new_tokens": self.new_tokens}
        with torch.random.fork_rng():  # writing sets the seed, and the training draws on from where it was
            rows = answer_tasks(ChatModel(model, self.tokenizer, ""), tasks, embedded_judge("style"), **told)
        model.train(training)
        self.points.append({"step": step, "cpu_seconds": stopped - self.began} | held_out(rows, self.base))
        self.began += time.process_time() - stopped

    def keep(self, place: Path) -> None:
        told = {"rows": self.diary.rows, "points": self.points, "cpu_seconds": time.process_time() - self.began}
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(place, json.dumps(told))

    def take_up(self, place: Path) -> None:
        """Go on where `keep` was."""
        told = json.loads(place.read_text("utf-8"))
        self.diary.rows, self.points, self.before = told["rows"], told["points"], told["cpu_seconds"]


def diary_of(folder: Path, step: int) -> Path:
    return folder / f"diary-{step}.json"


def held_out(rows: list[dict], base: ChatModel) -> dict[str, float]:
    """Overall with its parts and rho by style measures, and rho by the other judges."""
    rows = with_sense(rows, base, FOLDER)
    read = [row for row in rows if row["score"] is not None]
    found = rank_metrics(read) if read else {}
    for name, judge in other_judges().items():
        judged = [row for row in judge_rows(judge, rows) if row["score"] is not None]
        bare = [{key: row[key] for key in ("target", "score", "degenerate")} for row in judged]
        found[f"{name}_rho"] = rank_metrics(bare)["spearman_rho"] if bare else float("nan")
    return found | {"degenerate_rate": float(np.mean([row["degenerate"] for row in rows]))}
