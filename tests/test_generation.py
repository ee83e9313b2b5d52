import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from replies import completion, send_json

from cpt_utils.generation import generate_responses, generation_tasks
from cpt_utils.runtime.errors import GenerationError, SettingsError, StoreError
from cpt_utils.runtime.files import read_jsonl
from cpt_utils.teachers import Teacher, endpoint_teacher

TASKS = generation_tasks(["one", "two"], ["rococo", "esoteric"])


def counting(fail_on=(), batch_size=5):
    asked = []

    def answer(conversations):
        asked.extend(conversations)
        if any(len(asked) - len(conversations) <= n < len(asked) for n in fail_on):
            raise ConnectionError("the teacher went away")
        return [f" answer {len(asked)}-{i}\u2028 " for i in range(len(conversations))]

    return Teacher("counted", answer, batch_size), asked


def test_rows_come_in_order_with_the_contract_columns(tmp_path):
    teacher, asked = counting()
    rows = generate_responses(teacher, TASKS, tmp_path / "r.jsonl")
    assert [{k: r[k] for k in ("prompt", "rubric", "target")} for r in rows] == TASKS
    assert list(rows[0]) == ["prompt", "rubric", "target", "response", "model"]
    assert len(asked) == 12
    kept = read_jsonl(tmp_path / "r.jsonl")
    assert all(list(row) == [*rows[0], "asked"] for row in kept)  # a hash of what was asked comes last
    assert sorted(str({k: row[k] for k in rows[0]}) for row in kept) == sorted(map(str, rows))


def test_nothing_is_asked_twice(tmp_path):
    teacher, asked = counting()
    first = generate_responses(teacher, TASKS[:7], tmp_path / "r.jsonl")
    everything = generate_responses(teacher, TASKS, tmp_path / "r.jsonl")
    assert len(asked) == 12 and everything[:7] == first
    other = Teacher("another", teacher.answer, 12)
    generate_responses(other, TASKS, tmp_path / "r.jsonl")
    assert len(asked) == 24


def test_a_fault_keeps_the_rest_and_says_so(tmp_path):
    teacher, asked = counting(fail_on=[0])
    with pytest.raises(RuntimeError, match="5 of 12 responses are missing .*went away.* run the same call again"):
        generate_responses(teacher, TASKS, tmp_path / "r.jsonl")
    assert len(read_jsonl(tmp_path / "r.jsonl")) == 7
    healthy, asked = counting()
    assert len(generate_responses(healthy, TASKS, tmp_path / "r.jsonl")) == 12 and len(asked) == 5


def test_a_torn_last_line_is_asked_again(tmp_path):
    path = tmp_path / "r.jsonl"
    teacher, asked = counting()
    generate_responses(teacher, TASKS, path)
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    assert len(generate_responses(teacher, TASKS, path)) == 12
    assert len(asked) == 13 and path.read_bytes().count(b"\n") == 12
    path.write_bytes(b"not json\n" + data)
    with pytest.raises(ValueError, match="line 1: not JSON"):
        generate_responses(teacher, TASKS, path)


def test_endpoint_teacher_speaks_to_a_real_server(tmp_path, monkeypatch):
    """A local server that fails twice before it answers: the client's own retries carry on."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append((self.path, self.headers["authorization"], body))
            fail = len(seen) <= 2
            reply = {"error": {"message": "busy"}} if fail else completion(f"text {len(seen)}", body["model"])
            send_json(self, 503 if fail else 200, reply)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    teacher = endpoint_teacher("some-model", f"http://127.0.0.1:{server.server_port}/v1", workers=1, max_tokens=9)
    rows = generate_responses(teacher, TASKS[:3], tmp_path / "r.jsonl")
    server.shutdown()
    assert [r["response"] for r in rows] == ["text 3", "text 4", "text 5"]
    path, key, body = seen[-1]
    assert path == "/v1/chat/completions" and key == "Bearer sk-secret"
    assert body["model"] == "some-model" and body["max_tokens"] == 9 and body["messages"][0]["role"] == "system"
    assert "sk-secret" not in (tmp_path / "r.jsonl").read_text()


def test_an_interrupt_keeps_what_arrived_and_stops(tmp_path):
    asked = []

    def answer(conversations):
        asked.append(len(conversations))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return ["text"] * len(conversations)

    with pytest.raises(KeyboardInterrupt):
        generate_responses(Teacher("t", answer, batch_size=2), TASKS, tmp_path / "r.jsonl")
    assert len(asked) < 6 and len(read_jsonl(tmp_path / "r.jsonl")) >= 2


@pytest.mark.parametrize("sizes", [{"workers": 0}, {"workers": 2.0}, {"batch_size": -1}])
def test_a_teacher_answers_at_least_one_at_a_time(sizes):
    with pytest.raises(SettingsError, match=f"{next(iter(sizes))} is .*one or more"):
        Teacher("t", lambda asked: asked, **sizes)


@pytest.mark.parametrize("path, error", [(None, GenerationError), (7, GenerationError), ("a\0b.jsonl", StoreError)])
def test_a_path_that_is_none_is_named(path, error):
    with pytest.raises(error, match="path"):
        generate_responses(Teacher("t", list), TASKS, path)
