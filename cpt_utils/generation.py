"""Ask a teacher for many responses and keep each one the moment it arrives."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from cpt_utils.prompts import teacher_messages

KEY = ("prompt", "rubric", "qualifier", "model")


@dataclass(frozen=True)
class Teacher:
    """A model that answers conversations: `answer(list of conversations) -> list of texts`."""

    name: str
    answer: Callable[[list[list[dict]]], list[str]]
    batch_size: int = 1
    workers: int = 1


def local_teacher(chat_model, batch_size: int = 8, **chat_options) -> Teacher:
    """A teacher that runs a loaded chat model (models.load_chat_model) in this process."""
    from cpt_utils.models import chat

    return Teacher(
        chat_model.name, lambda conversations: chat(chat_model, conversations, **chat_options), batch_size
    )


def endpoint_teacher(model: str, base_url: str, workers: int = 8, **options) -> Teacher:
    """A teacher behind any OpenAI-compatible endpoint; the key is read from OPENAI_API_KEY.

    Retries with back-off are the openai client's own. `options` go to chat.completions.create.
    """
    from openai import OpenAI

    client = OpenAI(
        base_url=base_url, api_key=os.environ.get("OPENAI_API_KEY", "none"), max_retries=4, timeout=120
    )

    def answer(conversations: list[list[dict]]) -> list[str]:
        return [
            client.chat.completions.create(model=model, messages=turns, **options)
            .choices[0].message.content
            for turns in conversations
        ]

    return Teacher(model, answer, workers=workers)


def generation_tasks(prompts: list[str], rubrics: list[str], qualifiers=("low", "mid", "high")) -> list:
    """One task {prompt, rubric, qualifier} for each combination."""
    return [
        {"prompt": prompt, "rubric": rubric, "qualifier": qualifier}
        for prompt in prompts for rubric in rubrics for qualifier in qualifiers
    ]


def read_jsonl(path: Path) -> list[dict]:
    """Rows of a JSONL file; a torn last line (a crash while writing) is cut off the file."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with open(path, "r+b") as file:
            file.truncate(len(whole))
    rows = []
    for number, line in enumerate(whole.decode("utf-8").rstrip("\n").split("\n"), 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            raise ValueError(f"{path.name}, line {number}: not JSON; mend or delete the line.") from None
    return rows


def generate_responses(teacher: Teacher, tasks: list[dict], path: Path, to_messages=teacher_messages):
    """Responses to all tasks, from `path` where they are there already, else from the teacher.

    Each batch is appended to `path` as soon as it is finished, so that a run that was stopped goes on
    where it was. Faults of the teacher do not end the rest; they are counted in one closing error.
    Returns the rows {prompt, rubric, qualifier, response, model} in the order of the tasks.
    """
    from tqdm import tqdm

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    key = lambda row: tuple(row[k] for k in KEY)  # noqa: E731
    done = {key(row): row for row in read_jsonl(path)}
    tasks = [{**task, "model": teacher.name} for task in tasks]
    todo = list({key(task): task for task in tasks if key(task) not in done}.values())
    batches = [todo[i : i + teacher.batch_size] for i in range(0, len(todo), teacher.batch_size)]

    def work(batch: list[dict]) -> list[str]:
        return teacher.answer(
            [to_messages(task["prompt"], task["rubric"], task["qualifier"]) for task in batch]
        )

    faults = []
    bar = tqdm(total=len(tasks), initial=len(tasks) - len(todo), desc=f"responses by {teacher.name}")
    pool = ThreadPoolExecutor(teacher.workers)
    with bar, open(path, "a", encoding="utf-8") as file:
        futures = {pool.submit(work, batch): batch for batch in batches}
        try:
            for future in as_completed(futures):
                batch = futures[future]
                try:
                    texts = future.result()
                except Exception as error:  # any fault of a teacher: keep the others' answers
                    faults.append(f"{type(error).__name__}: {error}"[:200])
                    continue
                for task, text in zip(batch, texts, strict=True):
                    if not (text or "").strip():
                        faults.append("an empty response")
                        continue
                    row = {**{k: task[k] for k in KEY[:3]}, "response": text.strip(), "model": task["model"]}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                    done[key(task)] = row
                file.flush()
                bar.update(len(batch))
        finally:  # an interrupt must not wait for what has not begun
            pool.shutdown(wait=False, cancel_futures=True)
    if faults:
        raise RuntimeError(
            f"{len(faults)} failures in {len(batches)} requests (first: {faults[0]}). What arrived is in "
            f"{path.name}; run the same call again to ask for the rest."
        )
    return [done[key(task)] for task in tasks]
