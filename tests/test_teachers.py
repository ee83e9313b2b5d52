"""Endpoints that misbehave in every way, over hundreds of requests to a real server on this machine."""

import collections
import json
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from replies import completion, send_json

from cpt_utils import generation, teachers
from cpt_utils.asking import GIVE_UP
from cpt_utils.generation import generate_responses, generation_tasks
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.prompts import load_responses, messages
from cpt_utils.runtime.errors import EndpointError, GenerationError
from cpt_utils.teachers import api_key, endpoint_teacher

KEY = "sk-very-secret-123"


def PLAIN(prompt, rubric, target):
    return messages(f"{prompt} | {rubric} | {target}")


TASKS = generation_tasks([f"p{n}" for n in range(35)], ["rococo", "esoteric"])  # 210
FAULTS = ["429", "500", "502", "cut", "hang up", "empty", "html", "json", "no choices", "slow"]


class Endpoint:
    """A server; `fault(number of the request, prompt, tries of this prompt)` names a fault or None."""

    def __init__(self, fault, slow: float = 1.2):
        endpoint, self.asked, self.fault, self.count, self.slow = self, collections.Counter(), fault, 0, slow
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                prompt = body["messages"][-1]["content"]
                with lock:
                    endpoint.count += 1
                    endpoint.asked[prompt] += 1
                    tries, number = endpoint.asked[prompt], endpoint.count
                endpoint.reply(self, endpoint.fault(number, prompt, tries), prompt)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size, daemon_threads = 64, True

            def handle_error(self, *args):  # clients that went away
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def reply(self, to, fault, prompt):
        good = json.dumps(completion(f"text for {prompt}")).encode()
        error = json.dumps({"error": {"message": f"no, {to.headers['authorization']}\nnever"}}).encode()
        status, data = {
            None: (200, good),
            "slow": (200, good),
            "drip": (200, good),
            "cut": (200, good),
            "empty": (200, b""),
            "json": (200, b"{broken"),
            "html": (200, b"<html>sign in</html>"),
            "no choices": (200, b'{"choices": []}'),
            "nothing": (200, json.dumps(completion(None)).encode()),
            "echo": (200, json.dumps(completion(f"you sent {to.headers['authorization']}")).encode()),
        }.get(fault) or (int(fault) if fault.isdigit() else 0, error)
        if fault == "hang up":
            return to.connection.close()
        if fault == "slow":
            time.sleep(self.slow)
        to.send_response(status)
        to.send_header("content-type", "text/html" if fault == "html" else "application/json")
        to.send_header("content-length", str(len(data)))
        if status == 429:
            to.send_header("retry-after", "1")
        to.end_headers()
        if fault == "drip":  # every byte in time, the whole never
            for byte in data:
                to.wfile.write(bytes([byte]))
                to.wfile.flush()
                time.sleep(0.1)
            return
        to.wfile.write(data[:20] if fault == "cut" else data)
        to.close_connection = True


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The real back-off, with shorter pauses."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(teachers, "PAUSES", (0, 0.01, 0.01))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "*")


def test_every_fault_that_passes_is_outlived(tmp_path):
    """Each prompt meets one fault, some two, before its answer: all 210 rows come, each once."""

    def fault(number, prompt, tries):
        place = [f"{t['prompt']} | {t['rubric']} | {t['target']}" for t in TASKS].index(prompt)
        if tries == 1:
            return FAULTS[place % len(FAULTS)]
        return FAULTS[place // 10 % 9] if tries == 2 and place % 3 == 0 else None

    endpoint = Endpoint(fault)
    teacher = endpoint_teacher("m", endpoint.url, workers=16, timeout=0.9)
    rows = generate_responses(teacher, TASKS, tmp_path / "r.jsonl", PLAIN)
    assert [row["response"] for row in rows] == [
        f"text for {t['prompt']} | {t['rubric']} | {t['target']}" for t in TASKS
    ]
    assert endpoint.count >= 2 * len(TASKS)
    assert (tmp_path / "r.jsonl").read_text().count("\n") == 210


def test_a_reply_that_drips_for_ever_ends_with_the_timeout(tmp_path):
    endpoint = Endpoint(lambda number, prompt, tries: "drip")
    teacher = endpoint_teacher("m", endpoint.url, retries=1, timeout=0.5)
    started = time.monotonic()
    with pytest.raises(EndpointError, match="no answer within 0.5 s"):
        teacher.answer([messages("p | rococo | 10")])
    assert time.monotonic() - started < 5 and endpoint.count == 2


def test_an_answer_that_repeats_the_key_is_not_kept(tmp_path):
    endpoint = Endpoint(lambda number, prompt, tries: "echo" if number == 1 else None)
    with pytest.raises(GenerationError, match="1 of 3 .* 1 x an answer with your key in it"):
        generate_responses(endpoint_teacher("m", endpoint.url), TASKS[:3], tmp_path / "r.jsonl", PLAIN)
    assert (tmp_path / "r.jsonl").read_text().count("\n") == 2 and KEY not in (tmp_path / "r.jsonl").read_text()


def test_lasting_faults_are_counted_by_kind_and_the_rest_arrives(tmp_path, capsys):
    lasting = dict(zip(range(0, 210, 12), ["429", "500", "cut", "html", "400", "nothing", "slow"] * 3))
    prompts = [f"{t['prompt']} | {t['rubric']} | {t['target']}" for t in TASKS]
    endpoint = Endpoint(lambda number, prompt, tries: lasting.get(prompts.index(prompt)), slow=4)
    teacher = endpoint_teacher("m", endpoint.url, workers=16, timeout=3, retries=1)
    with pytest.raises(GenerationError) as caught:
        generate_responses(teacher, TASKS, tmp_path / "r.jsonl", PLAIN)
    said = str(caught.value)
    assert said.startswith("18 of 210 responses are missing from r.jsonl, the first for 'p0' (rococo, low), after ")
    for part in (
        "3 x HTTP 429 (too many",
        "3 x HTTP 500",
        "x no connection",
        "3 x a reply that is no chat completion",
        "x HTTP 400 (",
        "x ValueError: an empty response",
        "x no answer within 3 s",
        "run the same call again",
    ):
        assert part in said, (part, said)
    assert "\n" not in said and KEY not in said
    assert KEY not in "".join(traceback.format_exception(caught.value)) + "".join(capsys.readouterr())
    assert len(generation.read_responses(tmp_path / "r.jsonl")) == 192
    endpoint.fault, before = lambda *_: None, endpoint.count
    assert len(generate_responses(teacher, TASKS, tmp_path / "r.jsonl", PLAIN)) == 210
    assert endpoint.count - before == 18


@pytest.mark.parametrize(
    "status, named", [("401", "refuses the key"), ("403", "refuses the key"), ("404", "no such model")]
)
def test_a_bad_key_or_model_name_ends_the_asking(tmp_path, status, named):
    endpoint = Endpoint(lambda number, prompt, tries: status if number > 5 else None)
    with pytest.raises(GenerationError, match=f"HTTP {status} .*{named}") as caught:
        generate_responses(endpoint_teacher("m", endpoint.url, workers=4), TASKS, tmp_path / "r.jsonl", PLAIN)
    assert endpoint.count <= 5 + 4 and KEY not in str(caught.value)
    assert len(generation.read_responses(tmp_path / "r.jsonl")) == 5


def test_a_server_that_is_down_is_not_asked_for_ever(tmp_path):
    endpoint = Endpoint(lambda *_: None)
    endpoint.server.shutdown()
    endpoint.server.server_close()
    asked = []
    teacher = endpoint_teacher("m", endpoint.url, workers=2, retries=1)
    counted = teachers.Teacher("m", lambda turns: asked.append(1) or teacher.answer(turns), workers=2)
    with pytest.raises(GenerationError, match="210 of 210 .* x no connection"):
        generate_responses(counted, TASKS, tmp_path / "r.jsonl", PLAIN)
    assert len(asked) <= GIVE_UP + 4


def test_the_judge_gets_a_named_error_without_the_key():
    endpoint = Endpoint(lambda *_: "422")
    judge = LLMJudge(endpoint_teacher("m", endpoint.url))
    with pytest.raises(EndpointError, match=r"HTTP 422 .*no, Bearer \[key\] never") as caught:
        judge.score("rococo", "p", load_responses()[0]["response"])
    error = caught.value
    assert (
        error.__context__ is None and error.__cause__ is None and KEY not in "".join(traceback.format_exception(error))
    )


def test_keys_come_from_the_environment_colab_or_a_hidden_prompt(monkeypatch, capsys):
    import getpass
    import sys
    import types

    assert api_key() == KEY and repr(KEY) not in repr(endpoint_teacher("m", "http://localhost/v1"))
    monkeypatch.delenv("OPENAI_API_KEY")
    assert api_key() is None
    monkeypatch.setattr(getpass, "getpass", lambda prompt: f" {prompt[:3]} \n")
    assert api_key(ask=True) == "OPE"
    secrets = types.SimpleNamespace(get={"OPENAI_API_KEY": "from colab"}.__getitem__)
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(userdata=secrets))
    assert api_key() == "from colab"
    assert api_key(name="OTHER") is None  # userdata raises
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\u201csecret")
    with pytest.raises(EndpointError, match="copy the key again") as caught:
        api_key()
    assert "secret" not in str(caught.value) and "".join(capsys.readouterr()) == ""


def test_an_address_without_its_scheme_is_named():
    with pytest.raises(EndpointError, match="write it like http://"):
        endpoint_teacher("m", "localhost:8000/v1")


@pytest.mark.parametrize("status", [None, 400, 422])
def test_a_schema_is_sent_where_the_endpoint_can_and_given_up_for_good_where_it_refuses(status):
    """status: what the server answers to structured output; None: it takes it."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            bodies.append(body)
            refused = status and "response_format" in body
            reply = {"error": {"message": "unknown field response_format"}} if refused else completion('{"score": 40}')
            send_json(self, status if refused else 200, reply)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        judge = LLMJudge(endpoint_teacher("m", f"http://127.0.0.1:{server.server_port}/v1", retries=0))
        texts = [row["response"] for row in load_responses(heldout=True)[:3]]
        assert [judge.score("rococo", "p", text).score for text in texts] == [40] * 3
    finally:
        server.shutdown()
    schemas = ["response_format" in body for body in bodies]
    assert schemas == ([True, False, False, False] if status else [True] * 3)
    assert bodies[0]["response_format"]["json_schema"]["schema"]["required"] == ["criteria", "score"]
