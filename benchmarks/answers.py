"""What the models of `make ablation` write, and how that is scored."""

import numpy as np

from benchmarks.second_judge import ngram_judge
from benchmarks.trainings import FOLDER, PROMPTS, settings
from cpt_utils.evaluation import answer_tasks, evaluation_tasks, side_effects, steerability
from cpt_utils.judging import embedded_judge, judge_rows
from cpt_utils.models.adapters import find_adapter, save_adapter
from cpt_utils.models.loading import hub_name, load_chat_model
from cpt_utils.overall import with_sense
from cpt_utils.rows import Response, Task
from cpt_utils.runtime.profiles import Profile


def options(profile: Profile) -> dict:
    """How texts are sampled, as conversation.chat takes it."""
    return dict(profile.sampling, max_new_tokens=profile.max_new_tokens, seed=profile.seed)


def base_model():
    return load_chat_model(settings(), dtype=settings().generation_dtype)


def tuned_model(adapter=None):
    """The student with an adapter: the one of notebook 04, where none is named."""
    profile = settings()
    return load_chat_model(profile, adapter=adapter or find_adapter(profile)[0], dtype=profile.generation_dtype)


def answers(model, tasks: list[Task], profile: Profile, samples: int = 1) -> list[Response]:
    return answer_tasks(model, tasks, embedded_judge(), samples, **options(profile))


def written(trainer, name: str, rubrics: list[str], seed: int, samples: int = 1) -> list[Response]:
    """What the trained model writes on the held-out prompts, after its adapter is saved under `name`."""
    return answers(kept_model(trainer, name), evaluation_tasks(PROMPTS, rubrics), settings(seed), samples)


def kept_model(trainer, name: str):
    """The trained model as it writes, after its adapter is saved under `name`."""
    place = FOLDER / name.replace(" ", "_").replace(",", "")
    save_adapter(trainer.model, place, hub_name(settings()))
    return tuned_model(place)


def scored(rows: list[Response], base) -> dict:
    """Steerability with sense, the second judge's, side effects; and the rows, under "written"."""
    rows = with_sense(rows, base, FOLDER)
    return steerability(rows) | {
        "second_judge": steerability(judge_rows(ngram_judge(), rows), resamples=0),
        "side_effects": side_effects([row["response"] for row in rows], base),
        "written": rows,
    }


def by_prompt(scores: list[float | None], prompts: list[str]) -> list[float]:
    """Mean, and its standard error over prompts: texts about one prompt resemble each other.

    Texts without a score, which the judge could not read, are left out.
    """
    groups: dict[str, list[float]] = {}
    for score, prompt in zip(scores, prompts, strict=True):
        if score is not None:
            groups.setdefault(prompt, []).append(score)
    return mean_and_error([np.mean(groups[prompt]) for prompt in sorted(groups)])


def mean_and_error(values: list[float]) -> list[float]:
    """Mean and its standard error."""
    return [float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)]
