"""A real OpenAI-compatible server (`transformers serve`) with the embedded model, on this machine."""

import json

import pytest

from benchmarks import measured, serving
from cpt_utils.generation import generate_responses, generation_tasks
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.prompts import messages
from cpt_utils.runtime.files import read_jsonl
from cpt_utils.teachers import endpoint_teacher


@pytest.fixture(scope="module")
def server():
    with serving.server() as (url, model, _):
        yield url, model


def in_short(prompt, rubric, target):
    """A whole rubric takes this server a quarter of a minute to read; the judges' prompts below bring one along."""
    return messages(prompt, f"You answer in one word, in the style {rubric}, {target} of 100.")


def test_responses_come_from_the_server_and_a_second_run_asks_for_the_missing_ones_only(server, tmp_path):
    url, model = server
    teacher = endpoint_teacher(model, url, workers=2, max_tokens=12, temperature=0)
    tasks = generation_tasks(["Which colour has the sea? Answer in one word."], ["rococo"])
    path = tmp_path / "r.jsonl"
    first = generate_responses(teacher, tasks[:2], path, in_short)
    assert len(first) == 2 and all(row["response"] for row in first)
    assert generate_responses(teacher, tasks, path, in_short)[:2] == first
    assert sorted(row["target"] for row in read_jsonl(path)) == [10, 50, 95]


def test_a_chat_model_behind_the_server_can_judge(server):
    url, model = server
    teacher = endpoint_teacher(model, url, max_tokens=8, temperature=0, longer=0)
    asked = []

    def answer(conversations):
        asked.extend(conversations)
        return teacher.answer(conversations)

    verdict = LLMJudge(answer, retries=1).score(
        "rococo", "Describe the sea.", "The sea is wide and grey and cold today."
    )
    assert verdict.score is None or 0 <= verdict.score <= 100
    assert 1 <= len(asked) <= 2 and "JSON" in json.dumps(asked)


def test_the_server_takes_a_judges_schema_and_a_cut_answer_says_so(server):
    url, model = server
    judge = LLMJudge(endpoint_teacher(model, url, max_tokens=8, temperature=0, longer=0))
    verdict = judge.score("rococo", "Describe the sea.", "The sea is wide and grey and cold today.")
    assert verdict.score is None and "cut off (raise max_tokens" in verdict.reason


def test_a_server_that_does_not_come_up_says_why():
    with pytest.raises(RuntimeError, match="the server did not come up: (?s:.*)for full details"):
        with serving.server("--no-such-option"):
            pass


def test_what_another_machine_measured_is_measured_again(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    monkeypatch.setattr(serving, "RESULTS", tmp_path)
    assert serving.lacking() == list(serving.WORKERS)
    measured.add("serving", "1", {"tokens": 256})
    assert serving.lacking() == list(serving.WORKERS[1:]), "an interrupted run goes on"
    monkeypatch.setattr(serving.machine, "hardware", lambda: "another")
    assert serving.lacking() == list(serving.WORKERS) and not (tmp_path / "serving.json").exists()
