"""What a rubric of one's own needs before anything is trained on it: system prompts, and a text for each target."""

import time
from collections.abc import Callable

from cpt_utils.bestof import best_of_n, fingerprint, whole_sentences
from cpt_utils.generation import COLUMNS, generate_responses, generation_tasks, read_responses
from cpt_utils.prompts import messages, summary_messages, teacher_messages
from cpt_utils.rows import Response, Task, target_name
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime import files, folders
from cpt_utils.runtime.durations import minutes
from cpt_utils.runtime.errors import SettingsError
from cpt_utils.runtime.profiles import Profile
from cpt_utils.sense import order_gains
from cpt_utils.styles import TEXTS, asked_prompts, home, offline_judge, own_rubrics
from cpt_utils.teachers import Teacher, endpoint_teacher, local_teacher, named_endpoint
from cpt_utils.wordings import Wording, checked, load_wordings, save_wordings, wordings_file

ASK = "Say the following instruction in other words, at most 40, and keep its meaning. Give the new words only."


def attempts(base, profile: Profile) -> Callable[[int], Teacher]:
    """attempt(i), the teacher of try i = 1..n: the endpoint's, or else the model, with another seed each time."""

    def attempt(i: int) -> Teacher:
        return _endpoint() or _local(base, profile, i)

    return attempt


def _endpoint() -> Teacher | None:
    """The teacher behind CPT_ENDPOINT, if it is set."""
    named = named_endpoint("writes")
    return endpoint_teacher(*named, temperature=0.9) if named else None


def _local(base, profile: Profile, number: int = 0) -> Teacher:
    sampling = dict(profile.sampling, max_new_tokens=profile.max_new_tokens)
    return local_teacher(base, **sampling, seed=profile.seed + number)


# ---------------------------------------------------------------- system prompts


def settle_wordings(profile: Profile, base, by_hand: dict[str, dict]) -> dict[str, dict[str, Wording]]:
    """The system prompts of the run's own rubrics by name and target, kept beside each rubric's file.

    Those `by_hand` ({rubric: {"low": {"prompt", "paraphrase", ...}, "mid": ..., "high": ...}}) count; then those of
    the file; where there is none, a teacher writes them: CPT_ENDPOINT's, else `base`.
    """
    own = own_rubrics(profile)
    if strange := sorted(set(by_hand) - set(own)):
        raise SettingsError(f"System prompts are given for {strange[0]!r}, which is not among RUBRICS: add it there.")
    if not own:
        print("No rubric of your own is asked for: the shipped ones have their system prompts and texts.")
    found = {}
    for name, rubric in own.items():
        path, whose = wordings_file(name), "as the file has them"
        if name in by_hand:
            whose = "written by hand"
            save_wordings(name, checked(by_hand[name], f"The system prompts of {name!r}"))
        elif not path.exists():
            teacher = _endpoint() or _local(base, profile)
            whose = f"written by {teacher.name}; read them, and mend them there"
            save_wordings(name, written_wordings(teacher, rubric, home(profile, name)))
        found[name] = load_wordings(name)
        print(f"{files.shown(path)}: {whose}")
    return found


def written_wordings(teacher: Teacher, rubric: Rubric, folder) -> dict[str, Wording]:
    """System prompts and paraphrases of a rubric by a teacher, whose answers are kept in `folder`."""
    path = folder / "wordings.jsonl"

    def ask(what: str, to_messages: Callable) -> dict[int, str]:
        rows = generate_responses(teacher, generation_tasks([what], [rubric.name]), path, to_messages)
        return {row["target"]: " ".join(row["response"].split()) for row in rows}

    prompts = ask("its system prompt", lambda _, name, target: summary_messages(rubric, target))
    again = ask("a paraphrase", lambda _, name, target: messages(f"{ASK}\n\n{prompts[target]}"))
    words = {target_name(target): {"prompt": said, "paraphrase": again[target]} for target, said in prompts.items()}
    return checked(words, f"What {teacher.name} wrote for {rubric.name!r} (BY_HAND takes better ones)")


# ---------------------------------------------------------------- texts


def write_texts(profile: Profile, base) -> dict[str, list[Response]]:
    """A text for each training and held-out prompt and target of the run's own rubrics, by rubric, kept in its folder.

    A teacher (CPT_ENDPOINT's, else a larger `base`) reads the rubric and aims at each target. The embedded model
    cannot: of its many tries at each target the rubric's own judge keeps the nearest (best_texts).
    """
    found, endpoint = {}, _endpoint()
    for name in own_rubrics(profile):
        prompts = asked_prompts(profile, heldout=False) + asked_prompts(profile, heldout=True)
        tasks, folder = generation_tasks(prompts, [name]), home(profile, name)
        if endpoint is None and profile.student == "embedded":
            words, judge = load_wordings(name), offline_judge(profile)
            rows, _ = best_texts(profile, base, tasks, judge, words, folder)
        else:
            rows = taught_texts(endpoint or _local(base, profile), tasks, folder / "responses.jsonl")
        rows = [{column: row[column] for column in COLUMNS} for row in rows]
        folders.write_lines(folder / TEXTS, rows)
        print(f"{name}: {len(rows)} texts for {len(tasks)} tasks, in {files.shown(folder / TEXTS)}")
        found[name] = rows
    return found


def by_example(words: dict[str, Wording]) -> Callable[[str, str, int], list[dict]]:
    """to_messages(prompt, rubric, target): the system prompt, and the example as if the model had written it."""

    def to_messages(prompt: str, rubric: str, target: int) -> list[dict]:
        said = words[target_name(target)]
        if not said.example:
            return messages(prompt, said.prompt)
        shown = {"role": "assistant", "content": said.example}
        return [*messages(said.task, said.prompt), shown, *messages(prompt)]

    return to_messages


def best_texts(
    profile: Profile, base, tasks: list[Task], judge, words: dict[str, Wording], folder
) -> tuple[list[Response], list[Response]]:
    """Best-of-N of a weak teacher by example (bestof.best_of_n): the chosen rows, and all candidates.

    N is the profile's. Every try is kept in `folder` under a hash of what the teacher is told. Words that might as well
    stand in any order, by the model's own probabilities, are not chosen.
    """
    told = [{target: getattr(said, part) for target, said in words.items()} for part in ("prompt", "example")]
    sampling = dict(profile.sampling, max_new_tokens=profile.max_new_tokens)
    path = folder / f"candidates-{fingerprint(*told, sampling, profile.seed)}.jsonl"
    print(len(tasks), "tasks; every try is kept in", files.shown(path))

    def gains(texts: list[str]):
        return order_gains(base, texts, files.run_dir(profile))

    tries = profile.capstone.candidates
    return best_of_n(attempts(base, profile), tasks, tries, judge, path, by_example(words), gains)


def taught_texts(teacher: Teacher, tasks: list[Task], path) -> list[Response]:
    """A teacher's texts that aim at each task's target, up to their last whole sentence.

    A local one tells after its first texts how many minutes the others will take.
    """
    if not teacher.remote:
        before, began = len(read_responses(path)), time.monotonic()
        generate_responses(teacher, tasks[: teacher.batch_size], path, teacher_messages)
        new = len(read_responses(path)) - before
        if new and (left := len(tasks) - teacher.batch_size) > 0:
            whole = minutes((time.monotonic() - began) / new * left)
            print(f"{whole} for {left} more texts by {teacher.name} on this machine, by the first {new}")
    rows = generate_responses(teacher, tasks, path, teacher_messages)
    return [{**row, "response": whole_sentences(row["response"])} for row in rows]
