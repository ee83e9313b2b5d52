"""`python -m cpt_utils try`: one prompt under several system prompts, in the terminal."""

import os
import subprocess
import sys

import pytest

from cpt_utils import __main__ as commands
from cpt_utils import runtime
from cpt_utils.commands import series, trial
from cpt_utils.models import adapters, loading
from cpt_utils.models.conversation import ChatModel
from cpt_utils.prompts import load_prompts, system_prompt
from cpt_utils.runtime import errors, files, profiles

SHIPPED = [system_prompt(rubric, target) for rubric, target in trial.STYLES]
EVIL = "\x1b[2J\x1b]0;title\x07\x9b31mred\r\x08\u202eback\x00"


@pytest.fixture
def loaded(tiny_model, tokenizer, monkeypatch):
    """A tiny model in place of the embedded one; what it was loaded with."""
    tokenizer.padding_side = "left"
    calls = []

    def load(profile, adapter, **options):
        calls.append((profile.name, adapter, options))
        return ChatModel(tiny_model.eval(), tokenizer, "tiny")

    smoke = profiles.load_profile("smoke")  # its texts are short
    monkeypatch.setattr(runtime, "start", lambda name: smoke.replace(name=name, seed=1))
    monkeypatch.setattr(loading, "load_chat_model", load)
    return calls


def asked_of(monkeypatch):
    """The conversations and options that reach the model from now on."""
    asked = []
    stream = trial.stream_chat

    def watched(model, turns, *rest, **options):
        asked.append((turns, options))
        return stream(model, turns, *rest, **options)

    monkeypatch.setattr(trial, "stream_chat", watched)
    return asked


def test_three_shipped_system_prompts_with_the_shipped_adapter(loaded, monkeypatch, capsys):
    asked = asked_of(monkeypatch)
    assert commands.main(["try"]) == 0
    printed = capsys.readouterr().out
    assert [turns[0]["content"] for turns, _ in asked] == SHIPPED and len(set(SHIPPED)) == 3
    assert {turns[1]["content"] for turns, _ in asked} == {load_prompts(heldout=True)[0]["prompt"]}
    assert loaded == [("embedded", adapters.SHIPPED_ADAPTER, {"dtype": "auto"})]
    assert (adapters.SHIPPED_ADAPTER / "adapter_model.safetensors").exists()
    places = [printed.index(words) for words in SHIPPED]
    assert places == sorted(places) and printed.rstrip().endswith("s, loading included.")
    assert "3 answers in " in printed


def test_own_prompt_and_system_prompts(loaded, monkeypatch, capsys):
    asked = asked_of(monkeypatch)
    assert commands.main(["try", "--prompt", " Why? ", "--system", "Be brief.", "--system", "Be grand."]) == 0
    assert [[turn["content"] for turn in turns] for turns, _ in asked] == [["Be brief.", "Why?"], ["Be grand.", "Why?"]]
    assert "2 answers in " in capsys.readouterr().out
    assert commands.main(["try", "--system", "Be brief."]) == 0
    assert "\n1 answer in " in capsys.readouterr().out


def test_answers_are_streamed_whole(loaded, monkeypatch, capsys):
    steps = []

    def spoken(model, turns, show, stop, **options):
        for text in ("  Once", "  Once \ufffd", "  Once é\n", "  Once é\n\nmore"):
            show(text)
            steps.append(capsys.readouterr().out)
        return text.strip()

    monkeypatch.setattr(trial, "stream_chat", spoken)
    assert trial.try_it("Hello", ["Be brief."]) == ["Once é\n\nmore"]
    assert steps[0].endswith("\n\nOnce") and steps[1:] == ["", " é", "\n\nmore"]


def test_text_cannot_steer_the_terminal(loaded, monkeypatch, capsys):
    def spoken(model, turns, show, stop, **options):
        show(EVIL + "one\n\ttwo")
        return EVIL

    monkeypatch.setattr(trial, "stream_chat", spoken)
    trial.try_it("prompt " + EVIL, ["system " + EVIL])
    printed = capsys.readouterr().out
    assert trial.printable(printed) == printed and "one\n two" in printed and "[2J" in printed
    assert not set(EVIL) & {"\x1b", "\x9b", "\r", "\u202e"} & set(printed)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--prompt", "  "], "try stopped: The prompt is empty: write one.\n"),
        (["--prompt", "x" * 9000], "shorten them to 8000.\n"),
        (["--system", "x" * 9000], "shorten them to 8000.\n"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence_before_anything_is_loaded(loaded, capsys, options, said):
    assert commands.main(["try", *options]) == 1
    shown = capsys.readouterr()
    assert shown.err.endswith(said) and shown.err.count("\n") == 1 and not shown.out and not loaded


def test_a_missing_model_is_one_sentence(loaded, monkeypatch, capsys):
    def missing(*_, **__):
        raise errors.ModelError("The embedded model is not installed: install it.")

    monkeypatch.setattr(loading, "load_chat_model", missing)
    assert commands.main(["try"]) == 1
    assert capsys.readouterr().err == "try stopped: The embedded model is not installed: install it.\n"


def test_run_hands_its_arguments_to_the_series(monkeypatch):
    got = []
    monkeypatch.setattr(series, "main", lambda arguments: got.append(arguments) or 7)
    assert commands.main(["run", "--only", "06", "--in-place"]) == 7 and commands.main(["run"]) == 7
    assert got == [["--only", "06", "--in-place"], []]


@pytest.mark.parametrize("wrong", [[], ["walk"], ["try", "--louder"]])
def test_unknown_commands_and_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit) as stopped:
        commands.main(wrong)
    assert stopped.value.code == 2 and "usage: python -m cpt_utils" in capsys.readouterr().err


def test_the_command_answers_offline(tmp_path):
    """The embedded model itself in a new process that has no network and a terminal of ASCII only."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n\ndef refused(*_):\n    raise OSError('the network is refused')\n\n"
        "socket.socket.connect = socket.getaddrinfo = refused\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(files.ROOT)])
    hub = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-m", "cpt_utils", "try", "--prompt", "Describe a café."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env=hub | {"PYTHONPATH": paths, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stderr and "Prompt: Describe a caf?." in done.stdout
    rest = done.stdout
    for words in SHIPPED:
        _, rest = rest.split(words, 1)
        assert len(rest.split("System prompt (")[0].split("3 answers in")[0].split()) > 10
