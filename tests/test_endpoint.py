"""A real OpenAI-compatible server (`transformers serve`) with the embedded model, on this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from cpt_utils.generation import generate_responses, generation_tasks
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.models.embedded import embedded_model_path
from cpt_utils.runtime.files import read_jsonl
from cpt_utils.teachers import endpoint_teacher


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = open(tmp_path_factory.mktemp("serve") / "log", "w+")
    model = str(embedded_model_path())
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "transformers.cli.transformers",
            "serve",
            model,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--device",
            "cpu",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        start_new_session=True,
    )
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
            break
        except OSError:
            assert process.poll() is None, log.seek(0) or log.read()[-2000:]
            time.sleep(0.5)
    else:
        pytest.fail("the server did not come up in two minutes")
    yield f"http://127.0.0.1:{port}/v1", model
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(20)


def test_responses_come_from_the_server_and_a_second_run_asks_for_the_missing_ones_only(server, tmp_path):
    url, model = server
    teacher = endpoint_teacher(model, url, workers=2, max_tokens=12, temperature=0)
    tasks = generation_tasks(["Describe the sea."], ["rococo"])
    path = tmp_path / "r.jsonl"
    first = generate_responses(teacher, tasks[:2], path)
    assert len(first) == 2 and all(row["response"] for row in first)
    assert generate_responses(teacher, tasks, path)[:2] == first
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
