"""A local model whose answers are cut off by the limit of tokens: kept, asked again or refused, as an option says."""

import re

import pytest
import torch

from cpt_utils.bestof import candidates
from cpt_utils.fast import decoding
from cpt_utils.generation import generate_responses, generation_tasks
from cpt_utils.judging import Judgement
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.models.conversation import ChatModel, answered
from cpt_utils.prompts import messages
from cpt_utils.runtime.errors import CutOffError, GenerationError, SettingsError
from cpt_utils.runtime.files import read_jsonl
from cpt_utils.teachers import local_teacher

TASKS = generation_tasks(["words: 5", "words: 30", "words: 150"], ["rococo"], ["low"])


def PLAIN(prompt, rubric, target):
    return messages(prompt)


@pytest.fixture
def model(tiny_model, tokenizer, monkeypatch):
    """A chat model that ends after as many tokens as its prompt says, and the rooms that it was given."""
    tokenizer.padding_side = "left"
    word, rooms = tokenizer.encode(" sea")[0], []

    def generate(model, batch, max_new_tokens, pad_token_id, **options):
        prompts = tokenizer.batch_decode(batch["input_ids"])
        sizes = [int(re.search(r"words: (\d+)", prompt)[1]) for prompt in prompts]
        rooms.append((max_new_tokens, sizes))
        new = torch.full((len(sizes), max_new_tokens), pad_token_id)
        for row, size in zip(new, sizes):
            row[:size] = word
            row[size : size + 1] = tokenizer.eos_token_id
        return new

    monkeypatch.setattr(decoding, "generate", generate)
    return ChatModel(tiny_model, tokenizer, "tiny"), rooms


def asked(chat_model, *sizes, **options) -> list:
    return local_teacher(chat_model, **options).texts([messages(f"words: {size}") for size in sizes])


def length(text: str) -> int:
    return len(text.split())


def test_a_real_answer_says_whether_it_came_to_its_end():
    from cpt_utils.models.loading import load_chat_model

    turns = messages("What is the capital of France? Answer in one word.")
    (short, cut), (whole, ended) = (
        answered(load_chat_model("embedded"), [turns], max_new_tokens=most, temperature=0)[0] for most in (2, 60)
    )
    assert (cut, ended) == (False, True) and whole.startswith(short) and len(short) < len(whole)


def test_unasked_what_is_cut_off_is_kept(model):
    """As notebooks 02 and 06 have it: the embedded model hardly ever ends before its limit."""
    chat_model, rooms = model
    assert [length(text) for text in asked(chat_model, 5, 30, max_new_tokens=10)] == [5, 10]
    assert rooms == [(10, [5, 30])]
    assert [length(text) for text in asked(chat_model, 150)] == [130]


def test_only_what_is_cut_off_is_asked_again_with_more_room(model):
    chat_model, rooms = model
    texts = asked(chat_model, 5, 30, 9, 150, longer=2, max_new_tokens=10)
    assert [length(text) for text in texts] == [5, 30, 9, 150]
    assert rooms == [(10, [5, 30, 9, 150]), (40, [30, 150]), (160, [150])]


@pytest.mark.parametrize("longer, room", [(0, [10]), (1, [10, 40])])
def test_it_is_refused_in_the_end_and_the_others_of_its_batch_stay(model, tmp_path, longer, room):
    chat_model, rooms = model
    teacher = local_teacher(chat_model, longer=longer, max_new_tokens=10)
    with pytest.raises(GenerationError, match=f"{2 - longer} of 3 .* x an answer that the limit of tokens cut off"):
        generate_responses(teacher, TASKS, tmp_path / "r.jsonl", PLAIN)
    kept = read_jsonl(tmp_path / "r.jsonl")
    assert [length(row["response"]) for row in kept] == [5, 30][: longer + 1] and [most for most, _ in rooms] == room


def test_thinking_without_an_answer_is_asked_again_too(model, tokenizer, monkeypatch):
    chat_model, rooms = model
    generate, thinking = decoding.generate, tokenizer.encode("<think>")

    def ponder(model, batch, max_new_tokens, **options):
        new = generate(model, batch, max_new_tokens, **options)
        if max_new_tokens == 10:
            new[:, : len(thinking)] = torch.tensor(thinking)
        return new

    monkeypatch.setattr(decoding, "generate", ponder)
    assert length(asked(chat_model, 8, longer=1, max_new_tokens=10)[0]) == 8 and len(rooms) == 2
    (cut,) = asked(chat_model, 8, longer=0, max_new_tokens=10)
    assert isinstance(cut, CutOffError) and "thinking, and no answer" in str(cut)


def test_a_judge_leaves_such_a_text_out_and_a_try_counts_as_a_bad_one(model, tmp_path):
    chat_model, _ = model
    teacher = local_teacher(chat_model, longer=0, max_new_tokens=10)
    judged = LLMJudge(teacher, retries=0).score("rococo", "words: 30", "It is a plain text about the grey sea.")
    assert judged.score is None and "cut off (raise max_tokens or max_new_tokens" in judged.reason

    class Reader:
        def score(self, rubric, prompt, response):
            return Judgement(50.0, False)

    rows = candidates(lambda i: teacher, TASKS, 1, Reader(), tmp_path / "c.jsonl", PLAIN)
    assert [row["response"] for row in rows[1:]] == ["(no answer)"] * 2 and length(rows[0]["response"]) == 5


@pytest.mark.parametrize("longer", [-1, 1.5, True, "2"])
def test_how_often_is_a_number(model, longer):
    with pytest.raises(SettingsError, match="longer is .*write a whole number of 0 or more"):
        local_teacher(model[0], longer=longer)
