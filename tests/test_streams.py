"""An endpoint's answer while it grows, over a real server on this machine: what is shown, kept, stopped and refused."""

import itertools
import json
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replies import completion, delta, serving_pieces

from cpt_utils import answer_stream, teachers
from cpt_utils.fresh import fresh_text
from cpt_utils.generation import read_responses
from cpt_utils.prompts import messages
from cpt_utils.runtime import keys
from cpt_utils.runtime.errors import CutOffError, EndpointError, GenerationError, RefusedError
from cpt_utils.teachers import Teacher, endpoint_teacher
from cpt_utils.thoughts import aloud_so_far

TURNS = messages("Describe the sea.")
TASK = {"prompt": "Describe the sea.", "rubric": "rococo", "target": 95}
DONE = "data: [DONE]\n\n"
WORDS = [delta("", role="assistant"), delta("The "), delta("sea"), delta("."), delta(reason="stop")]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(teachers, "PAUSES", (0, 0.01, 0.01))
    monkeypatch.setattr(answer_stream, "EVERY", 0)
    monkeypatch.setattr(keys, "_GIVEN", set())
    monkeypatch.setenv("OPENAI_API_KEY", "ollama")
    monkeypatch.setenv("no_proxy", "*")


def streamed(reply, stop=None, **options):
    """(text, whether it came to its end), what was shown, and the bodies of the requests."""
    shown, bodies = [], []
    with serving_pieces(lambda body: bodies.append(body) or (reply(body) if callable(reply) else reply)) as url:
        teacher = endpoint_teacher("m", url, retries=1, **options)
        return teacher.stream(TURNS, shown.append, stop or threading.Event()), shown, bodies


def test_a_text_is_shown_while_it_grows_and_comes_whole():
    seen = threading.Event()
    pieces = [*WORDS[:3], seen, *WORDS[3:], DONE]
    bodies, shown = [], []

    def show(text):
        shown.append(text)
        if text == "The sea":
            seen.set()  # the server waits for it: the text was there before its end

    with serving_pieces(lambda body: bodies.append(body) or pieces) as url:
        said = endpoint_teacher("m", url, timeout=10).stream(TURNS, show, threading.Event())
    assert said == ("The sea.", True) and seen.is_set() and len(bodies) == 1 and bodies[0]["stream"] is True
    assert shown[0] == "" and shown[-1] == "The sea." and all("The sea.".startswith(text) for text in shown)


@pytest.mark.parametrize(
    "pieces",
    [
        [*WORDS, DONE],
        WORDS,  # no [DONE]
        [*WORDS[:-1], DONE],  # no reason to finish, as whole answers may have none
        [*WORDS, {"choices": [], "usage": {"total_tokens": 9}}, DONE],
        [{"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, *WORDS, DONE],
        [": OPENROUTER PROCESSING\n\n", *WORDS, 'event: ping\ndata: {"type": "ping"}\n\n', DONE],
        ["data: ping\n\n", *WORDS, DONE],
        [*WORDS, None],  # breaks off behind its end
        [*WORDS[:-1], delta(reason="null"), delta(reason="stop"), DONE],
        [delta("Th"), delta("other", index=1), delta("e sea."), delta(reason="stop", index=1), delta(reason="stop")],
        ["".join(f"data:{json.dumps(one)}\r\n\r\n" for one in WORDS) + DONE],
        ["".join(f"data: {json.dumps(one)}\n" for one in WORDS) + DONE],  # no empty lines between events
        ["\ufeff" + "".join(f"id: 7\nretry: 9\ndata: {json.dumps(one)}\n\n" for one in WORDS)],
        ["".join(f"data: {line}\n" for line in json.dumps(completion("The sea."), indent=1).splitlines()) + "\n"],
        [*WORDS[:-1], {"choices": [{"message": {"content": "The sea."}, "finish_reason": "stop"}]}],
        [delta([{"type": "text", "text": "The "}]), delta([{"type": "text", "text": "sea."}], "stop"), DONE],
        [json.dumps(completion("The sea."))],  # a whole answer in spite of the request
        (200, completion("The sea.")),
        (200, json.dumps(completion("The sea."), indent=2)),
    ],
)
def test_streams_of_many_servers_are_read(pieces):
    (text, ended), shown, bodies = streamed(pieces)
    assert (text, ended, shown[-1], len(bodies)) == ("The sea.", True, "The sea.", 1)


@settings(deadline=None, max_examples=30)
@given(
    st.text(max_size=30),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([None, 1]),
)
def test_a_text_is_the_same_wherever_the_stream_is_cut(text, sizes, end, indent):
    """Also within a letter; and letters that other readers take for ends of lines, such as U+2028, stay."""
    events = [delta(letter) for letter in text] + [delta(reason="stop")]
    said = [json.dumps(one, ensure_ascii=False, indent=indent).replace("\n", f"{end}data: ") for one in events]
    raw = "".join(f"data: {one}{end}{end}" for one in said)
    raw = raw.encode("utf-8", "surrogatepass") if text.isascii() else raw.encode("utf-8", "ignore")
    pieces, place = [], 0
    for size in itertools.cycle(sizes):
        if place >= len(raw):
            break
        pieces.append(raw[place : place + size])
        place += size
    body, beside = {}, {}
    for name, data in answer_stream._events(answer_stream._lines(iter(pieces)), other := []):
        answer_stream._add(body, beside, name, data)
    said = "".join(part["text"] for part in body["choices"][0]["message"]["content"])
    assert said == text and not other and not beside


# --- thinking and keys


@pytest.mark.parametrize(
    "pieces",
    [
        [delta(reasoning_content="hm, "), delta(reasoning_content="hm"), *WORDS],
        [delta(None, reasoning="hm"), *WORDS],
        [delta("<th"), delta("ink>hm, hm"), delta("</thi"), delta("nk>\n\n"), *WORDS],
        [delta([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]), *WORDS],
        [delta("<thought>hm"), delta(" hm"), delta("</thought>\n"), *WORDS],
        [delta("<|channel|>analysis<|message|>hm<|end|>"), delta("<|channel|>final<|message|>"), *WORDS],
    ],
)
def test_thinking_is_never_shown(pieces):
    (text, ended), shown, _ = streamed([*pieces, DONE])
    assert text.strip() == "The sea." and ended and "The sea" in shown
    assert not [seen for seen in shown if not "The sea.".startswith(seen.strip())]


def test_a_thought_that_the_template_begins_is_shown_once_at_most():
    """Its end alone tells of it, and from then on the next answer waits for one."""
    thought = [delta("hm, "), delta("hm </th"), delta("ink>\n\n"), *WORDS, DONE]
    script, shown = [thought, thought, WORDS, WORDS], []
    with serving_pieces(lambda body: script.pop(0)) as url:
        teacher = endpoint_teacher("m", url)
        for _ in range(4):
            shown.append([])
            text, ended = teacher.stream(TURNS, shown[-1].append, threading.Event())
            assert text.strip() == "The sea." and ended
    told = ["hm" in "".join(seen) for seen in shown]
    assert told == [True, False, False, False]
    assert "The sea" not in shown[2] and "The sea" in shown[3]  # one without a thought, and the next grows again


@pytest.mark.parametrize("text", ["<b", "He said [", "a < b", "<thinking out loud> I am", "<answer>None"])
def test_a_story_grows_though_it_looks_a_little_like_thinking(text):
    assert aloud_so_far(f"{text} more of it, so much that no tag is left to come.").endswith("to come.") or (
        text.startswith("<thinking")  # which waits for its end
    )


def test_a_key_is_neither_shown_nor_kept(monkeypatch):
    key = "a1b2c3d4e5f6a7b8c9"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    shown = []
    with serving_pieces(lambda body: [delta("Yours: "), *map(delta, key), delta("!", "stop"), DONE]) as url:
        with pytest.raises(RefusedError, match="your key in it"):
            endpoint_teacher("m", url).stream(TURNS, shown.append, threading.Event())
    assert "Yours: " in shown and not [seen for seen in shown if key[:8] in seen]


# --- what is no whole answer


@pytest.mark.parametrize(
    "pieces, kind, told",
    [
        ([*WORDS[:3], delta(reason="length"), DONE], CutOffError, "cut off .raise max_tokens"),
        ([delta(reasoning_content="hm"), delta(reason="length")], CutOffError, "spent before any answer"),
        ([delta(reasoning_content="hm"), delta(reason="stop"), DONE], CutOffError, "no answer after it"),
        ([delta("<think>hm"), delta(reason="stop"), DONE], CutOffError, "no answer after it"),
        ([*WORDS[:3], delta(reason="content_filter"), DONE], RefusedError, "filter held the answer back"),
        ([delta(refusal="I will"), delta(refusal=" not."), delta(reason="stop")], RefusedError, "says: I will not."),
        ([delta(tool_calls=[{"index": 0}]), delta(reason="tool_calls")], EndpointError, "without text .finish_reason"),
        (WORDS[:3], EndpointError, "broke off .interrupted: run the same call again"),
        ([*WORDS[:3], None], EndpointError, "broke off .interrupted"),
        ([*WORDS[:2], 'data: {"choices": [{"del', None], EndpointError, "broke off .interrupted"),
        ([*WORDS[:2], 'data: {"choices": [{"del\n\n', *WORDS[3:], DONE], EndpointError, "broke off .interrupted"),
        ([DONE], EndpointError, "without any answer in it .run the same call again"),
        ([], EndpointError, "without any answer in it"),
        ([": ping\n\n"], EndpointError, "without any answer in it"),
        (["<html>sign in</html>"], EndpointError, "no chat completion .*end in /v1"),
        (["<!doctype html>\n<p>Sign in:\n</p>\n"], EndpointError, "no chat completion .*end in /v1"),
        (["data: Error: loading\n\n"], EndpointError, "it says: Error: loading"),
        ([{"error": {"message": "upstream is\ndown"}}], EndpointError, "in place of an answer; it says: upstream is"),
        ([*WORDS[:3], {"error": {"code": 502, "message": "bad gate"}}], EndpointError, "HTTP 502 .*bad gate"),
        ([*WORDS[:3], 'event: error\ndata: {"message": "too hot"}\n\n'], EndpointError, "it says: too hot"),
        ([*WORDS, {"error": {"message": "taken back"}}, DONE], EndpointError, "it says: taken back"),
        ([*WORDS[:3], {"object": "error", "message": "no room", "code": 418}], EndpointError, "HTTP 418 .*no room"),
        ([*WORDS[:3], json.dumps({"error": {"message": "a proxy fell"}})], EndpointError, "it says: a proxy fell"),
        ([*WORDS[:3], "Internal Server Error"], EndpointError, "it says: Internal Server Error"),
        ([{"choices": [{"error": {"code": 503, "message": "bad gate"}}]}], EndpointError, "HTTP 503 .*bad gate"),
        ([{"choices": [], "promptFeedback": {"blockReason": "OTHER"}}], RefusedError, "filter refuses .*blockReason"),
        ([{"error": {"code": "insufficient_quota", "message": "no"}}], EndpointError, "waiting does not help"),
        ([delta(7), delta(reason="stop")], EndpointError, "no chat completion"),
        ([{"choices": "none"}, {"choices": [7]}, {"choices": [{"delta": 7}]}], EndpointError, "broke off"),
    ],
)
def test_a_stream_without_a_whole_answer_says_why_as_a_whole_reply_would(pieces, kind, told):
    with pytest.raises(EndpointError, match=told) as caught:
        streamed(lambda body: pieces if body.get("stream") else (400, {"error": "only streams"}), longer=0)
    assert type(caught.value) is kind and "\n" not in str(caught.value)


@pytest.mark.parametrize("fails", [WORDS[:3], [*WORDS[:3], None], [DONE], [{"error": "overloaded"}]])
def test_what_may_pass_is_asked_again_and_the_page_begins_anew(fails):
    turns = iter([fails, [*WORDS, DONE]])
    (text, ended), shown, bodies = streamed(lambda body: next(turns))
    assert (text, ended, len(bodies)) == ("The sea.", True, 2) and shown.count("") >= 2


def test_a_cut_answer_is_asked_again_with_more_room():
    def reply(body):
        return [*WORDS[:3], delta(reason="length")] if body["max_tokens"] < 40 else [*WORDS, DONE]

    (text, _), _, bodies = streamed(reply, max_tokens=10)
    assert text == "The sea." and [body["max_tokens"] for body in bodies] == [10, 40]


@pytest.mark.parametrize("drip", [delta("x"), ": ping\n\n", " ", delta(reasoning_content="hm")])
def test_a_stream_that_drips_for_ever_ends_with_the_timeout(drip):
    started = time.monotonic()
    with pytest.raises(EndpointError, match="no answer within 0.6 s"):
        streamed([piece for _ in range(100) for piece in (drip, 0.1)], timeout=0.6)
    assert time.monotonic() - started < 4


def test_an_answer_at_its_end_is_whole_though_the_stream_goes_on():
    (text, ended), _, bodies = streamed([*WORDS, *itertools.chain(*[(": ping\n\n", 0.1)] * 30)], timeout=0.8)
    assert (text, ended, len(bodies)) == ("The sea.", True, 1)


@pytest.mark.parametrize(
    "refusal",
    [
        (400, {"error": {"message": "Unsupported value: 'stream'", "param": "stream"}}),
        (422, {"detail": [{"loc": ["body", "stream"], "msg": "no"}]}),
        (501, "not implemented"),
        (500, "crashed"),
        (200, {"error": {"message": "Streaming is not supported"}}),
    ],
)
def test_an_endpoint_that_refuses_a_stream_gives_whole_answers(refusal):
    bodies, shown = [], []

    def reply(body):
        bodies.append("stream" in body)
        return refusal if "stream" in body else (200, completion("The sea."))

    with serving_pieces(reply) as url:
        teacher = endpoint_teacher("m", url, retries=0)
        for _ in range(2):
            assert teacher.stream(TURNS, shown.append, threading.Event()) == ("The sea.", True)
    assert shown[-1] == "The sea." and bodies[-2:] == [False, False]


def test_a_refused_conversation_is_not_sent_again_without_a_stream():
    with pytest.raises(RefusedError, match="a filter refuses"):
        _, _, bodies = streamed((400, {"error": {"code": "content_filter", "message": "content management policy"}}))


def test_an_endpoint_that_refuses_the_request_itself_is_told_of():
    with pytest.raises(EndpointError, match="does not take 'temperature'"):
        streamed((400, {"error": {"message": "'temperature' is too high"}}), temperature=9)


# --- stop


def until(condition, seconds=5.0):
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("silent", [True, False])
def test_stop_ends_a_stream_at_once_and_the_server_hears_of_it(silent):
    stop, gone, shown = threading.Event(), threading.Event(), []

    def pieces():
        try:
            yield from WORDS[:3]
            for _ in range(200):
                yield from (0.1,) if silent and not stop.is_set() else (delta("!"), 0.05)
        finally:
            gone.set()

    def show(text):
        shown.append(text)
        if "sea" in text:
            threading.Timer(0.2, stop.set).start()

    with serving_pieces(lambda body: pieces()) as url:
        started = time.monotonic()
        text, ended = endpoint_teacher("m", url, timeout=60).stream(TURNS, show, stop)
        assert time.monotonic() - started < 3 and not ended and text.startswith("The sea")
        assert until(gone.is_set)


def test_stop_before_the_first_word_ends_a_request_too():
    stop, held = threading.Event(), threading.Event()
    threading.Timer(0.3, stop.set).start()
    (text, ended), _, _ = streamed(lambda body: held.wait(2) or [*WORDS, DONE], stop)
    assert (text, ended) == ("", False)


def test_an_answer_at_its_end_is_kept_though_it_was_stopped():
    stop = threading.Event()
    pieces = [*WORDS, stop, 0.3, DONE]

    def show(text):
        if text == "The sea.":
            threading.Timer(0.3, stop.set).start()

    with serving_pieces(lambda body: pieces) as url:
        assert endpoint_teacher("m", url, timeout=20).stream(TURNS, show, stop) == ("The sea.", True)


def test_half_a_text_is_not_kept_and_a_whole_one_is(tmp_path):
    path, stop = tmp_path / "fresh.jsonl", threading.Event()
    pieces = itertools.chain(WORDS[:3], itertools.cycle([delta("!"), 0.05]))
    with serving_pieces(lambda body: [*WORDS, DONE]) as url:
        row = fresh_text(endpoint_teacher("m", url), TASK, TURNS, path)
    assert row["response"] == "The sea." and read_responses(path) == [row]
    with serving_pieces(lambda body: pieces) as url:
        made = fresh_text(endpoint_teacher("m", url), TASK, TURNS, path, lambda text: text and stop.set(), stop)
    assert made is None and read_responses(path) == [row]
    with serving_pieces(lambda body: [*WORDS[:3], None]) as url, pytest.raises(GenerationError, match="m gave no text"):
        fresh_text(endpoint_teacher("m", url), TASK, TURNS, path)
    assert read_responses(path) == [row]


def test_a_whole_answer_that_was_stopped_is_kept(tmp_path):
    """It is paid for: a teacher that does not stream is waited for."""
    stop = threading.Event()
    stop.set()
    row = fresh_text(Teacher("t", lambda turns: ["The sea."]), TASK, TURNS, tmp_path / "r.jsonl", stop=stop)
    assert row["response"] == "The sea."
