"""How long a training will take here, said once its first two steps are done."""

import sys
import time

from tqdm import tqdm
from transformers import TrainerCallback

from cpt_utils.runtime.durations import minutes


class Pace(TrainerCallback):
    """One line after the second step, from the time that it took: the first one warms up. Evaluations are not in it."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.second = state.global_step + 2  # a training that goes on begins later
        self.began = self.last = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step > self.second:
            return
        step, self.last = time.perf_counter() - self.last, time.perf_counter()
        left = state.max_steps - state.global_step
        if state.global_step == self.second and left and state.is_world_process_zero:
            whole = minutes(self.last - self.began + step * left)
            told = f"{whole} for {left + 2} steps on this machine, by the first two; evaluations come on top"
            tqdm.write(told, file=sys.stderr)  # the stream of the bar
