"""What an endpoint sends back, over a real server on this machine: whole answers, and the reasons why there is none."""

import dataclasses
import json
import re
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replies import completion, send_json, served_by, serving

from cpt_utils import teachers
from cpt_utils.asking import GIVE_UP
from cpt_utils.generation import generate_responses, generation_tasks, read_responses
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.prompts import load_responses, messages
from cpt_utils.replies import answer_of, refusal
from cpt_utils.runtime import keys
from cpt_utils.runtime.errors import CutOffError, EndpointError, GenerationError, RefusedError, SettingsError
from cpt_utils.runtime.keys import api_key, one_line, scrub
from cpt_utils.teachers import Teacher, endpoint_teacher
from cpt_utils.thoughts import aloud, spoken

TURNS = messages("Describe the sea.")
TASKS = generation_tasks([f"prompt {n}" for n in range(40)], ["rococo"], ["low"])


def PLAIN(prompt, rubric, target):
    return messages(prompt)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(teachers, "PAUSES", (0, 0.01, 0.01))
    monkeypatch.setattr(keys, "_GIVEN", set())
    monkeypatch.setenv("OPENAI_API_KEY", "ollama")
    monkeypatch.setenv("no_proxy", "*")


def asked(reply, **options):
    """The answer of an endpoint's teacher to one conversation, and the bodies of its requests."""
    bodies = []
    with serving(lambda body: bodies.append(body) or reply(body)) as url:
        return endpoint_teacher("m", url, retries=1, **options).answer([TURNS])[0], bodies


# Thinking


words = st.text("abc .,\n", max_size=20)
brackets = st.sampled_from(
    ["<think>|</think>", "<Thinking>|</Thinking>", "◁think▷|◁/think▷", "[THINK]|[/THINK]"]
    + ["<seed:think>|</seed:think>", '<think type="deep">|</think>']
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(words, brackets, words), max_size=3), words, st.booleans())
def test_thinking_is_cut_off_and_what_is_said_around_it_stays(parts, last, ends):
    text, said = "", ""
    for before, tags, thought in parts:
        opened, closed = tags.split("|")
        text += before + opened + thought + closed
        said += before
    assert aloud(text + last) == said + last
    assert aloud(f"{text}{last}<think>more") is None
    assert aloud(f"begun in the template{last}</think>\n{text}{last}") == f"\n{said}{last}"


def test_harmonys_channels_are_read_and_a_stage_direction_is_no_thought():
    assert aloud("<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>The sea.") == "The sea."
    assert aloud("<|channel|>analysis<|message|>hm") is None
    for text in ("[thoughts of a sailor] The sea.", "[Analysis] x < y and <b>bold</b>", "I think so."):
        assert aloud(text) == spoken(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "analysisThe user: hm.assistantfinalThe sea.",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>The sea.<|return|>",
        "<|begin_of_thought|>hm<|end_of_thought|>\n<|begin_of_solution|>The sea.<|end_of_solution|>",
        "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>The sea.<|END_RESPONSE|>",
        "<|channel>thought\nhm<channel|>The sea.",
        "<think>hm</think><answer>The sea.</answer>",
        "<thinking>hm <reflection>no</reflection></thinking>\n<output>\nThe sea.\n</output>",
        "Here is my thought process:\nhm\n\nHere is my response:\nThe sea.",
        "<thought>hm</thought>\n<reasoning>well</reasoning>\nThe sea.",
        "hm</thought>\nThe sea.",
        "I should write. </think> The sea.",
        '<think>No "</think>", hm</think>The sea.',
    ],
)
def test_the_thinking_of_each_family_is_cut_off(text):
    assert spoken(text).strip() == "The sea."
    assert aloud(text.partition("hm")[0] + "hm") is None or not text.startswith(("<|", "<think", "analysis"))


@pytest.mark.parametrize(
    "text",
    [
        'The machine printed "</think>" and stopped.',
        "It ended with `</think>`.",
        'The machine said "<think>" to me.\nIt was late.\n</think>\nrest',
        "<thinking out loud> I am the sea, I am the salt.",
        'On the wall: "<think>", in chalk.',
        "He looked up. <reflection>The mirror lies.</reflection> He left.",
        "The sea.\n<thought>\nI am the salt.\n</thought>\nThe end.",
        "<thought> I am the sea, I am the salt.",
        "<answer>None.</answer>",
        "Here is my thought process: I am the sea.",
        "analysis of the sea: salt. The assistant, final, bows.",
    ],
)
def test_words_of_a_story_are_no_thinking(text):
    assert spoken(text) == text
    assert spoken(f"<think>hm</think>{text}") == text or text.startswith("<answer>")


@pytest.mark.parametrize(
    "text",
    [
        " <think> Okay, the user wants a review",
        "Okay. <think> Let me plan",
        "<reasoning>\nThe user wants a review",
        "<thought>\nThe user",
        "<scratchpad>\n- plan",
        '<think depth="2">hm',
        "Here is my thought process:\n\nThe user wants a review",
        '<think>No "</think>" before the end',
    ],
)
def test_thinking_without_an_end_is_no_answer(text):
    with pytest.raises(CutOffError):
        spoken(text)


def test_thinking_reaches_no_store_whoever_writes_it(tmp_path):
    texts = ["<think>hm</think>\nThe sea.", "hm</think>The sky.", "<think>hm", "<think>hm</think>\n", "Plain."]
    with pytest.raises(GenerationError, match="2 of 5 .* 2 x thinking, and no answer after it .raise max_tokens"):
        generate_responses(Teacher("t", lambda turns: texts, 5), TASKS[:5], tmp_path / "r.jsonl", PLAIN)
    assert [row["response"] for row in read_responses(tmp_path / "r.jsonl")] == ["The sea.", "The sky.", "Plain."]


@pytest.mark.parametrize(
    "reply, said",
    [
        (completion("<think>hm</think>\n\nThe sea."), "The sea."),
        (completion("hm, well</think>\nThe sea."), "The sea."),
        (completion("The sea.", reasoning_content="hm"), "The sea."),
        (completion("The sea.", reasoning="hm", finish_reason="eos"), "The sea."),
        (completion([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "The sea."}]), "The sea."),
        (completion([{"type": "output_text", "text": "The sea."}]), "The sea."),
        (completion("The sea.", finish_reason=None), "The sea."),
        ("\ufeff" + json.dumps(completion("The sea.")), "The sea."),
        (completion("ollama, an animal, sk-learn_ing_all_day"), "ollama, an animal, sk-learn_ing_all_day"),
    ],
)
def test_an_answer_is_what_is_said_after_the_thinking(reply, said):
    text, bodies = asked(lambda body: (200, reply))
    assert text.strip() == said and len(bodies) == 1


# Answers that are none


@pytest.mark.parametrize(
    "reply, kind, told",
    [
        (completion("The sea is", finish_reason="length"), CutOffError, "cut off .raise max_tokens"),
        (completion("The sea is", finish_reason="model_length"), CutOffError, "cut off"),
        (completion("", finish_reason="length", reasoning="hm"), CutOffError, "spent before any answer .raise max_tok"),
        (completion(None, finish_reason="length"), CutOffError, "turn thinking off"),
        (completion(None, reasoning_content="hm"), CutOffError, "no answer after it .*turn thinking off"),
        (completion(None, reasoning_details=[{"text": "hm"}]), CutOffError, "no answer after it .*turn thinking off"),
        (completion("<think>hm"), CutOffError, "no answer after it .*turn thinking off"),
        (completion(None, refusal="I will\nnot."), RefusedError, "the model refuses .*it says: I will not."),
        (completion("The", finish_reason="content_filter"), RefusedError, "filter held the answer back"),
        (completion(None, finish_reason="tool_calls"), EndpointError, "without text .finish_reason: tool_calls"),
        (completion("The", finish_reason="error"), EndpointError, "broke off"),
        ({"choices": [{"message": None}]}, EndpointError, "no chat completion .*end in /v1"),
        ("<html>sign in</html>", EndpointError, "no chat completion .*end in /v1"),
        ("Error: loading", EndpointError, "no chat completion .it says: Error: loading.$"),
        ({"choices": None}, EndpointError, "without any answer in it .run the same call again.$"),
        ({"choices": [], "promptFeedback": {"blockReason": "OTHER"}}, RefusedError, "filter refuses .*blockReason"),
        ({"success": False, "errors": [{"code": 7003, "message": "No route"}]}, EndpointError, "it says: No route"),
        (
            {"error": {"message": "upstream is\ndown"}},
            EndpointError,
            "in place of an answer; it says: upstream is down",
        ),
        ({"error": "no luck"}, EndpointError, "no luck"),
        ({"choices": [{"error": {"code": 502, "message": "bad gate"}}]}, EndpointError, "HTTP 502 .*bad gate"),
        ({"error": {"code": "insufficient_quota", "message": "no"}}, EndpointError, "waiting does not help"),
        ({"error": {"code": 403, "message": "Your input was flagged"}}, RefusedError, "filter refuses this conver"),
        ({"error_code": 17, "error_msg": "The daily limit is reached"}, EndpointError, "it says: The daily limit"),
        ({"error": True, "message": "The model is overloaded"}, EndpointError, "it says: The model is overloaded"),
        ({"error": 1, "errMessage": "The room is full"}, EndpointError, "it says: The room is full"),
        ({"choices": None, "base_resp": {"status_msg": "login fail"}}, EndpointError, "it says: login fail"),
        ({"choices": [], "base": {"msg": "insufficient balance"}}, EndpointError, "waiting does not help"),
        ({"object": "chat", "message": {"role": "assistant", "content": "Hi."}}, EndpointError, "end in /v1"),
    ],
)
def test_what_is_no_whole_answer_says_why_and_what_to_do(reply, kind, told):
    with pytest.raises(EndpointError, match=told) as caught:
        asked(lambda body: (200, reply))
    assert type(caught.value) is kind and "\n" not in str(caught.value)


REASONS = {
    CutOffError: "MAX_TOKENS max_length token_limit error_limit context_length_exceeded model_context_window_exceeded "
    "max_output_tokens truncated incomplete",
    RefusedError: "SAFETY ERROR_TOXIC SPII guardrail_intervened PROHIBITED_CONTENT IMAGE_SAFETY content_filtered "
    "BLOCKLIST",
    EndpointError: "cancelled interrupted engine_overloaded timeout time_limit aborted insufficient_system_resource",
}


@pytest.mark.parametrize("kind, reason", [(kind, reason) for kind in REASONS for reason in REASONS[kind].split()])
def test_half_an_answer_is_none_whatever_the_server_calls_it(kind, reason):
    with pytest.raises(EndpointError) as caught:
        asked(lambda body: (200, completion("The sea is", finish_reason=reason)))
    assert type(caught.value) is kind


@pytest.mark.parametrize("reason", "stop STOP eos eos_token end_turn stop_sequence COMPLETE unknown".split())
def test_an_answer_with_an_end_is_one_whatever_the_server_calls_it(reason):
    assert asked(lambda body: (200, completion("The sea.", finish_reason=reason)))[0] == "The sea."


def growing(enough: int, most: int = 10**6, name="max_tokens"):
    """A server whose answers need `enough` tokens, and that gives at most `most`."""

    def reply(body):
        if body[name] > most:
            return 400, {"error": {"message": f"{name} is too large", "param": name}}
        return 200, completion("The sea.", finish_reason="stop" if body[name] >= enough else "length")

    return reply


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_cut_answer_is_asked_again_with_more_room(name):
    text, bodies = asked(growing(100, name=name), **{name: 10})
    assert text == "The sea." and [body[name] for body in bodies] == [10, 40, 160]


@pytest.mark.parametrize("longer, most, room", [(0, 10**6, [10]), (1, 10**6, [10, 40]), (5, 50, [10, 40, 160])])
def test_it_is_refused_in_the_end_as_the_option_or_the_server_says(longer, most, room):
    bodies = []
    with pytest.raises(CutOffError, match="cut off .raise max_tokens"):
        reply = growing(1000, most)
        asked(lambda body: bodies.append(body["max_tokens"]) or reply(body), longer=longer, max_tokens=10)
    assert bodies == room


# Errors of the server


LASTING = [  # (status, error, what is told): one request has to be enough
    (429, {"code": "insufficient_quota", "message": "You exceeded your current quota"}, "waiting does not help"),
    (402, {"message": "Insufficient Balance"}, "waiting does not help"),
    (400, {"message": "Your credit balance is too low"}, "waiting does not help"),
    (429, {"message": "Your team has used all available credits. Try again in 9 s"}, "waiting does not help"),
    (429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}, "waiting does not"),
    (429, {"code": "1113", "message": "余额不足"}, "waiting does not help"),
    (412, {"message": "Account x is suspended, possibly for reaching the monthly spending limit."}, "waiting does not"),
    (400, {"code": "Arrearage", "message": "Access denied."}, "waiting does not help"),
    (200, {"message": "unknown option temperature"}, "does not take 'temperature'"),
    (400, {"message": "Model m is not supported"}, "no such model"),
    (401, {"message": "No such key"}, "refuses the key: check OPENAI_API_KEY; it says: No such key"),
    (403, {"message": "Country not supported"}, "refuses the key.*Country not supported"),
    (400, {"message": "API key not valid."}, "refuses the key"),
    (404, {"message": "The model `m` is gone"}, "no such model.*is gone"),
    (400, {"message": "m is not a valid model ID, this model does not exist"}, "no such model"),
    (400, {"message": "Unsupported parameter: 'max_tokens'", "param": "max_tokens"}, "does not take 'max_tokens'"),
    (400, {"message": "`temperature` does not support 3"}, "does not take 'temperature'.*mend or drop it"),
    (400, {"message": "Unrecognized request argument supplied: top_k"}, "does not take 'top_k'"),
    (400, {"message": "foo/bar-large is not a valid model ID"}, "no such model"),
    (400, {"message": "Invalid model: mistral-smal-latest", "type": "invalid_model"}, "no such model"),
    (400, {"message": "Invalid model 'sonar-x'. Permitted models are in the manual."}, "no such model"),
    (400, {"message": "Unable to access model foo/bar. Please visit the list."}, "no such model"),
    (404, {"message": "The model `omni-moderation-last` does not exist"}, "no such model"),
    (400, {"message": "For this model, the parameter 'temperature' is not supported."}, "does not take 'temperature'"),
    (400, {"message": "Error for model x: Unknown parameter: 'temperature'."}, "does not take 'temperature'"),
    (400, {"message": "max_tokens: 100000 > 8192, which is the maximum allowed"}, "does not take 'max_tokens'"),
    (400, {"message": "max_tokens=9999 exceeds the limit"}, "does not take 'max_tokens'"),
    (400, {"message": "Invalid value for 'temperature': 3.0"}, "does not take 'temperature'"),
    (422, {"message": "temperature: 3.5 should be at most 2"}, "does not take 'temperature'"),
    (400, {"message": "Invalid 'max_tokens': array too long. Expected an array"}, "does not take 'max_tokens'"),
    (403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}, "waiting does not help"),
    (403, {"message": "Project p does not have access to model gpt-x"}, "no such model"),
    (403, {"code": "model_not_found", "message": "no"}, "no such model"),
]


@pytest.mark.parametrize("status, error, told", LASTING)
def test_what_cannot_get_better_ends_the_asking_at_once(tmp_path, status, error, told):
    bodies = []
    options = {"max_tokens": 50, "temperature": 3, "extra_body": {"top_k": 4}}
    with serving(lambda body: bodies.append(1) or (status, {"error": error})) as url:
        with pytest.raises(GenerationError, match=told) as caught:
            generate_responses(endpoint_teacher("m", url, 4, **options), TASKS, tmp_path / "r.jsonl", PLAIN)
    assert len(bodies) <= 4 and f"HTTP {status}" in str(caught.value)


def test_a_refused_key_is_told_behind_a_redirect():
    moved = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            moved.append(self.path)
            if len(moved) > 1:
                return send_json(self, 401, {"error": {"message": "Incorrect key"}})
            self.send_response(308)
            self.send_header("location", "/moved")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    with served_by(Handler) as url, pytest.raises(EndpointError, match="refuses the key.*Incorrect key") as caught:
        endpoint_teacher("m", url, retries=2).answer([TURNS])
    assert caught.value.fatal and len(moved) == 2


def test_a_settings_place_is_told_as_pydantic_servers_tell_it(tmp_path):
    detail = [{"loc": ["body", "temperature"], "msg": "Input should be less than 2", "type": "less_than"}]
    with pytest.raises(EndpointError, match="'temperature'.*it says: temperature: Input should be") as caught:
        asked(lambda body: (422, {"detail": detail}), temperature=3)
    assert caught.value.fatal


@pytest.mark.parametrize(
    "status, error, kept",
    [(403, {"message": "flagged by moderation"}, 7), (500, {"message": "no luck"}, 7), (401, {"message": "no"}, 3)],
)
def test_one_failed_request_of_a_batch_leaves_what_the_others_paid_for(tmp_path, status, error, kept):
    def reply(body):
        return (status, {"error": error}) if "prompt 3" in str(body) else (200, completion("The sea."))

    with serving(reply) as url:
        teacher = dataclasses.replace(endpoint_teacher("m", url, retries=0, workers=1), batch_size=8)
        with pytest.raises(GenerationError):
            generate_responses(teacher, TASKS[:8], tmp_path / "r.jsonl", PLAIN)
    assert len(read_responses(tmp_path / "r.jsonl")) == kept


@pytest.mark.parametrize(
    "status, error",
    [
        (403, {"message": "Your input was flagged", "metadata": {"reasons": ["violence"]}}),
        (400, {"code": "content_filter", "message": "The prompt triggered the content management policy"}),
        (400, {"code": "data_inspection_failed", "message": "Inappropriate content"}),
    ],
)
def test_a_moderated_prompt_concerns_itself_alone(tmp_path, status, error):
    """30 of 40, more in a row than other faults may be: all are asked about, once each."""
    bodies = []

    def reply(body):
        bodies.append(1)
        number = int(body["messages"][0]["content"].split()[1])
        return (status, {"error": error}) if number < 30 else (200, completion("The sea."))

    with serving(reply) as url, pytest.raises(GenerationError, match="30 x HTTP .*a filter refuses this conversation"):
        generate_responses(endpoint_teacher("m", url, 4), TASKS, tmp_path / "r.jsonl", PLAIN)
    assert len(bodies) == 40 and len(read_responses(tmp_path / "r.jsonl")) == 10


QUOTED = "Give an account of my model of the temperature, not found"


@pytest.mark.parametrize(
    "status, error",
    [
        (403, {"message": "Your input was flagged", "metadata": {"flagged_input": "an account"}}),
        (403, {"message": f"Flagged as harmful: '{QUOTED}'"}),
        (400, {"message": f"cannot tokenize {QUOTED}"}),
        (400, {"message": "cannot tokenize this; params: temperature=0.9, 'temperature': 0.9"}),
        (
            400,
            {"message": "Bad request. params: max_tokens=9, temperature=0.9. It must not be empty.", "type": "invalid"},
        ),
        (400, {"message": "Invalid content in messages[1]. Received Model Group=m"}),
    ],
)
def test_what_an_error_quotes_of_the_request_does_not_end_the_asking(tmp_path, status, error):
    def reply(body):
        return (status, {"error": error}) if QUOTED in str(body) else (200, completion("The sea."))

    tasks = generation_tasks([QUOTED, *(task["prompt"] for task in TASKS)], ["rococo"], ["low"])
    with serving(reply) as url, pytest.raises(GenerationError, match="1 of 41 "):
        generate_responses(endpoint_teacher("m", url, 2, temperature=0.9), tasks, tmp_path / "r.jsonl", PLAIN)


def test_a_page_in_place_of_an_answer_is_repeated_until_that_is_of_no_use(tmp_path):
    bodies = []
    with serving(lambda body: bodies.append(1) or (200, "<html>sign in</html>")) as url:
        with pytest.raises(GenerationError, match="no chat completion"):
            generate_responses(endpoint_teacher("m", url, 1), TASKS, tmp_path / "r.jsonl", PLAIN)
    assert len(bodies) <= GIVE_UP + 4


def test_what_passes_inside_of_a_reply_is_outlived_by_all(tmp_path):
    """The first prompts meet too many requests for good, the others once each."""
    counts = Counter()

    def reply(body):
        prompt = body["messages"][0]["content"]
        counts[prompt] += 1
        busy = prompt in ("prompt 0", "prompt 1") or counts[prompt] == 1
        return 200, {"error": {"code": 429, "message": "slow down"}} if busy else completion("The sea.")

    with serving(reply) as url, pytest.raises(GenerationError, match="2 of 40 .*HTTP 429"):
        generate_responses(endpoint_teacher("m", url, 1), TASKS, tmp_path / "r.jsonl", PLAIN)
    assert len(read_responses(tmp_path / "r.jsonl")) == 38


@pytest.mark.parametrize(
    "message", ["Rate limit reached, try again in {} s", "Quota exceeded: see billing. Limit {} per minute"]
)
def test_what_waiting_mends_is_waited_for_and_counted_as_one_kind(tmp_path, message):
    counts = []

    def reply(body):
        counts.append(1)
        return 429, {"error": {"message": message.format(len(counts))}}

    with serving(reply) as url, pytest.raises(GenerationError, match="2 x HTTP 429 .too many requests: wait.*it says"):
        teacher = endpoint_teacher("m", url, 1, retries=2)
        generate_responses(teacher, TASKS[:2], tmp_path / "r.jsonl", PLAIN)
    assert len(counts) == 6


def test_a_judge_gives_no_score_where_a_text_is_refused_and_says_why():
    texts = [row["response"] for row in load_responses(heldout=True)[:2]]

    def reply(body):
        flagged = texts[0] in body["messages"][-1]["content"]
        return (403, {"error": {"message": "flagged"}}) if flagged else (200, completion('{"score": 40}'))

    with serving(reply) as url:
        judge = LLMJudge(endpoint_teacher("m", url))
        judged = judge.score_all([{"rubric": "rococo", "prompt": "p", "response": text} for text in texts])
    assert [j.score for j in judged] == [None, 40] and "a filter refuses" in judged[0].reason


# Settings and teachers


@pytest.mark.parametrize(
    "options, told",
    [
        ({"temperatur": 1}, "'temperatur' is no option .*do you mean 'temperature'"),
        ({"worker": 1}, "'worker' is no option .*do you mean 'workers'.$"),
        ({"retry": 1}, "do you mean 'retries'.$"),
        ({"max_retries": 1}, "do you mean 'retries'.$"),
        ({"time_out": 1}, "do you mean 'timeout'.$"),
        ({"n": 3}, "'n' is no option: one whole answer is read .*; leave it out"),
        ({"extra_body": {"stream": True}}, "'stream' is no option: one whole answer"),
        ({"max_new_tokens": 9}, "'max_new_tokens' is no option"),
        ({"top_k": 4}, "extra_body={'top_k': ...}"),
        ({"stream": True}, "'stream' is no option"),
        ({"timeout": 0}, "timeout is 0: write a number of seconds"),
        ({"timeout": "9"}, "timeout is '9'"),
        ({"retries": -1}, "retries is -1: write a whole number"),
        ({"longer": 1.5}, "longer is 1.5: write a whole number"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_asked(options, told):
    with pytest.raises(SettingsError, match=told):
        endpoint_teacher("m", "http://localhost/v1", **options)


@pytest.mark.parametrize("proxy", ["socks5://u:pass-word@localhost:1", "socks9://u:pass-word@localhost:1"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch, proxy):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("ALL_PROXY", proxy)
    try:
        endpoint_teacher("m", "http://example.org/v1")
    except EndpointError as error:
        assert "ALL_PROXY" in str(error) and "pass-word" not in str(error) and error.fatal
    else:
        pytest.importorskip("socksio")


@pytest.mark.parametrize("address", [None, 5, "localhost:8000/v1", "https://host:port/v1"])
def test_an_address_that_is_none_is_named(address):
    with pytest.raises(EndpointError, match="base_url"):
        endpoint_teacher("m", address)


@pytest.mark.parametrize("name", [None, "", 5, "half \ud83d"])
def test_a_teachers_name_is_a_text(name):
    with pytest.raises(SettingsError, match="a teacher's name is a text"):
        Teacher(name, list)


@pytest.mark.parametrize("given", [None, {"a", "b", "c"}, "abc", (text for text in "abc"), {"a": 1}, 7])
def test_a_teacher_that_gives_no_list_is_asked_once(tmp_path, given):
    calls = []
    teacher = Teacher("t", lambda turns: calls.append(1) or given, 3)
    with pytest.raises(GenerationError, match=f"the teacher gave a {type(given).__name__}: .* return a list of texts"):
        generate_responses(teacher, TASKS, tmp_path / "r.jsonl", PLAIN)
    assert len(calls) == 1


def test_what_a_teacher_gave_beside_a_wrong_entry_is_kept(tmp_path):
    with pytest.raises(GenerationError, match="2 of 4 .* 1 x TypeError: a dict in place of a response"):
        given = ["one", {"text": "two"}, None, "four"]
        generate_responses(Teacher("t", lambda turns: given, 4), TASKS[:4], tmp_path / "r.jsonl", PLAIN)
    assert [row["response"] for row in read_responses(tmp_path / "r.jsonl")] == ["one", "four"]


@pytest.mark.parametrize(
    "tasks, told",
    [
        ("abc", "tasks are a str: give a list of dicts"),
        (None, "tasks are a NoneType"),
        (dict(TASKS[0]), "tasks are a dict"),
        (["abc"], "Task 1 is a str"),
        ([TASKS[0], None], "Task 2 is a NoneType"),
        ([TASKS[0], TASKS[1] | {"prompt": "cut \ud83d"}], "Task 2 has half a character in 'prompt'"),
        ([TASKS[0] | {"target": "9" * 5000}], "Task 1 has no target"),
    ],
)
def test_tasks_that_are_none_are_named_before_anything_is_asked(tmp_path, tasks, told):
    with pytest.raises(GenerationError, match=told):
        generate_responses(Teacher("t", lambda turns: ["x"], workers=4), tasks, tmp_path / "r.jsonl", PLAIN)


def test_a_function_is_no_teacher_yet(tmp_path):
    with pytest.raises(GenerationError, match="a function becomes one by Teacher"):
        generate_responses(lambda turns: ["x"], TASKS[:1], tmp_path / "r.jsonl", PLAIN)


@pytest.mark.parametrize("text", ["", " \n", "\u200b\u2060", "\ufeff", "\x00\x1b"])
def test_what_nobody_sees_is_no_response(tmp_path, text):
    with pytest.raises(GenerationError, match="1 x ValueError: an empty response"):
        generate_responses(Teacher("t", lambda turns: [text]), TASKS[:1], tmp_path / "r.jsonl", PLAIN)


def test_a_foreign_error_is_told_in_words_that_can_be_shown(tmp_path):
    def answer(turns):
        raise StopIteration("red \x1b[31m and half \ud83d\r\n\x00 of it") if "0" in str(turns) else KeyError

    with pytest.raises(GenerationError) as caught:
        generate_responses(Teacher("t", answer), TASKS[:2], tmp_path / "r.jsonl", PLAIN)
    assert "1 x StopIteration: red [31m and half of it, 1 x KeyError: what arrived" in str(caught.value)


@pytest.mark.parametrize("given", [("one", ["rococo"]), (["one"], "rococo"), (["one"], ["rococo"], "low")])
def test_a_text_is_no_list_of_prompts_rubrics_or_targets(given):
    with pytest.raises(GenerationError, match="is the text .*: give a list"):
        generation_tasks(*given)


def test_half_a_character_in_one_conversation_leaves_the_others(tmp_path):
    def to_messages(prompt, rubric, target):
        return messages(prompt + "\ud83d" * (prompt == "prompt 1"))

    with serving(lambda body: (200, completion("The sea."))) as url:
        with pytest.raises(GenerationError, match="1 of 4 .* 1 x a request with half a character"):
            generate_responses(endpoint_teacher("m", url, 4), TASKS[:4], tmp_path / "r.jsonl", to_messages)
    assert len(read_responses(tmp_path / "r.jsonl")) == 3


# Keys


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_longer_part_of_a_key_stays_in_a_message(data):
    key = data.draw(st.text("abcXYZ019-_./+=", min_size=8, max_size=40))
    start = data.draw(st.integers(0, len(key) - 8))
    part = key[start : data.draw(st.integers(start + 8, len(key)))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_API_KEY", key + "\n")
        message = scrub(f"Wrong key: «{part}», says the server")
    assert not any(key[n : n + 8] in message for n in range(len(key) - 7))
    assert message.startswith("Wrong key: «") and message.endswith("», says the server")


def test_a_typed_key_reaches_no_message(monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setattr("getpass.getpass", lambda prompt: "typed-and-secret-77\n")
    assert api_key(ask=True) == "typed-and-secret-77"

    def answer(turns):
        raise RuntimeError("wrong key: typed-and-sec***")

    with pytest.raises(GenerationError, match=r"wrong key: \[key\]\*\*\*"):
        generate_responses(Teacher("t", answer), TASKS[:1], tmp_path / "r.jsonl", PLAIN)


@pytest.mark.parametrize(
    "options",
    [
        {"extra_headers": {"api-key": "a1b2c3d4e5f6a7b8"}},
        {"extra_headers": {"Authorization": "Basic a1b2c3d4e5f6a7b8"}},
        {"extra_query": {"key": "a1b2c3d4e5f6a7b8"}},
        {"extra_body": {"account": {"api_key": "a1b2c3d4e5f6a7b8"}}},
        {},
    ],
)
def test_a_key_in_any_option_or_variable_reaches_no_message(monkeypatch, options):
    if not options:
        monkeypatch.setenv("AZURE_OPENAI_KEY", "a1b2c3d4e5f6a7b8")
    with pytest.raises(EndpointError) as caught:
        asked(lambda body: (400, {"error": {"message": "bad: a1b2c3d4e5f6a7b8"}}), **options)
    assert "a1b2c3d4" not in str(caught.value) and "[key]" in str(caught.value)


def test_a_key_is_known_behind_what_is_not_shown(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "a1b2c3d4e5f6a7b8")
    assert one_line("no:\n a1b2\u200bc3d4\x00e5f6a7b8 \ud83d!") == "no: [key] !"


def test_a_key_given_as_an_option_is_told_where_it_belongs():
    with pytest.raises(SettingsError, match="'api_key' is no option: put a key into OPENAI_API_KEY, or pass ask_key"):
        endpoint_teacher("m", "http://localhost/v1", api_key="secret-1234")


def test_whatever_looks_like_a_key_reaches_no_message():
    for secret in ("sk-abcdefghijkl", "AIzaSyA1234567890abc", "Bearer abc123def456", "http://user:pass1@host"):
        assert re.search(r"abcdefgh|1234567|abc123|pass1", scrub(f"so {secret} it is")) is None
    for secret in (
        "?api_key=abcdefgh",
        "&sig=abcdefgh",
        "token='a1b2c3d4e5'",
        "x-api-key: a1b2c3d4e5",
        "Basic a1b2c3d4e5f6",
    ):
        assert not re.search("abcd|a1b2", scrub(f"so https://host/v1{secret} it is"))
    for plain in ("tokenizer.pad_token=tokenizer.eos_token", "max_tokens=1000000", "the key: check OPENAI_API_KEY"):
        assert scrub(plain) == plain
    assert scrub("Bearer authentication is needed, see http://host/a@b") == (
        "Bearer authentication is needed, see http://host/a@b"
    )


@pytest.mark.parametrize("said", [
    "Try `pip install hf_transfer`.", "hf_hub_download() failed", "hf-internal-testing/tiny-random-LlamaForCausalLM",
    "xai-grok-4-fast-reasoning", "gsk-something else", "Unexpected key: model.layers.0.self_attn.q_proj.weight",
    "no such key: criteria[0].weight", "primary key: column_12_of_table", "token: 'special_token_128009'",
])  # fmt: skip
def test_names_that_look_a_little_like_keys_stay_in_a_message(said):
    assert keys.scrub(said) == said
    assert "a1B2" not in keys.scrub(f"{said} hf_a1B2c3D4e5F6g7H8i9J0 x-api-key: a1B2c3D4e5F6g7 token: a1B2.c3D4.e5F6")


def test_a_key_in_the_address_reaches_no_message():
    with pytest.raises(EndpointError, match="base_url is a key, which belongs into OPENAI_API_KEY"):
        endpoint_teacher("m", "0123456789abcdef" * 2)
    with pytest.raises(SettingsError, match="name is a key"):
        endpoint_teacher("0123456789abcdef" * 2, "http://localhost/v1")
    endpoint_teacher("m", "http://joe:hunter2%21x@localhost/v1?token=correct-horse")
    assert scrub("no hunter2!x, hunter2%21x, correct-horse") == "no [key], [key], [key]"


# Time, and many threads


def test_headers_that_drip_end_with_the_timeout():
    drips = socket.create_server(("127.0.0.1", 0))

    def drip():
        connections = []
        while True:
            connections.append(drips.accept()[0])
            threading.Thread(target=slowly, args=connections[-1:], daemon=True).start()

    def slowly(connection):
        try:
            for byte in b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-filler: " + b"x" * 1000:
                connection.send(bytes([byte]))
                time.sleep(0.1)
        except OSError:  # the client has gone
            pass

    threading.Thread(target=drip, daemon=True).start()
    teacher = endpoint_teacher("m", f"http://127.0.0.1:{drips.getsockname()[1]}/v1", retries=1, timeout=0.5)
    started = time.monotonic()
    with pytest.raises(EndpointError, match="no answer within 0.5 s"):
        teacher.answer([TURNS])
    assert time.monotonic() - started < 8


@pytest.mark.parametrize("stored", [False, True])
def test_threads_that_want_the_same_verdict_ask_once(tmp_path, stored):
    calls, text = [], load_responses()[0]["response"]

    def answer(turns):
        calls.append(1)
        time.sleep(0.05)
        return ['{"score": 40}']

    judge = LLMJudge(answer, tmp_path / "v.jsonl" if stored else None)
    verdicts = []
    threads = [
        threading.Thread(target=lambda: verdicts.append(judge.score("rococo", "p", text).score)) for _ in range(8)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert verdicts == [40] * 8 and len(calls) == 1
    assert not stored or len((tmp_path / "v.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("levels", [40, 900])
@pytest.mark.parametrize("opens, closes", [('{"a": ', "}"), ("[", "]")])
def test_a_reply_of_many_levels_is_told_in_the_servers_own_words(levels, opens, closes):
    deep = f"{opens * levels}1{closes * levels}"
    text = f'{{"error": {{"message": "the disk is full", "inner": {deep}}}}}'
    assert "the disk is full" in str(refusal(500, text)) and "HTTP 418" in str(refusal(418, deep))
    with pytest.raises(EndpointError, match="the disk is full"):
        answer_of(text)
    with pytest.raises(EndpointError, match="no chat completion"):
        answer_of(deep)
    assert answer_of(f'{{"choices": [{{"message": {{"content": "Hi."}}}}], "x": {deep}}}') == "Hi."
