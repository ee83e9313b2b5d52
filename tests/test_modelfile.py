"""Ollama's template writes what the tokenizer's writes, for every family of the series."""

import re

import pytest
from test_templates import GEMMA, WORKING, tokenizer_with

from cpt_utils.models import templates
from cpt_utils.models.modelfile import go_template, modelfile
from cpt_utils.runtime.errors import ModelError


def ollama(template, *turns):
    """What Ollama sends for (system, prompt, response) turns; of the last one no response is there yet."""
    return "".join(one_turn(template, *turn) for turn in turns)


def one_turn(template, system, prompt, response):
    values = {"System": system, "Prompt": prompt, "Response": response}
    kept = r"\1" if system else ""
    turn = re.sub(r"(?s){{ if \.System }}(.*?){{ end }}", kept, template)
    if not response:
        turn = turn.partition("{{ .Response }}")[0]
    return re.sub(r"{{ \.(\w+) }}", lambda name: values[name[1]], turn)


@pytest.mark.parametrize("name", WORKING)
def test_it_is_the_prompt_that_training_wrote(name):
    tokenizer = tokenizer_with(*WORKING[name][:2])
    template = go_template(tokenizer)
    turns = [{"role": "system", "content": "In rhyme."}, {"role": "user", "content": "On rain."}]
    asked = turns if templates.takes_system(tokenizer) else templates.in_user_turn(turns)
    assert ollama(template, ("In rhyme.", "On rain.", "")) == templates.rendered(
        tokenizer, asked, tokenize=False, add_generation_prompt=True
    )
    later = [*asked, {"role": "assistant", "content": "Drip."}, {"role": "user", "content": "More."}]
    wanted = templates.rendered(tokenizer, later, tokenize=False, add_generation_prompt=True)
    found = ollama(template, ("In rhyme.", "On rain.", "Drip."), ("", "More.", ""))
    assert found.replace("<think>\n\n</think>\n\n", "") == wanted.replace("<think>\n\n</think>\n\n", "")


def test_a_modelfile_names_weights_template_system_and_where_to_stop(tokenizer):
    text = modelfile(tokenizer, "m.gguf", "Write in gold.", {"temperature": 0.7})
    assert text.startswith('FROM ./m.gguf\nTEMPLATE """{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n')
    assert text.endswith('SYSTEM """Write in gold."""\nPARAMETER temperature 0.7\nPARAMETER stop "<|im_end|>"\n')


def test_what_no_modelfile_can_hold_is_told(tokenizer):
    with pytest.raises(ModelError, match="ends a text in a Modelfile: leave it out"):
        modelfile(tokenizer, "m.gguf", 'Write """ often.', {})
    backwards = "{% for m in messages|reverse %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    with pytest.raises(ModelError, match="no form that Ollama takes: write TEMPLATE by hand"):
        go_template(tokenizer_with(backwards))


def test_the_token_before_every_text_is_left_to_llama_cpp():
    tokenizer = tokenizer_with("<|endoftext|>" + GEMMA, "<end_of_turn>")
    tokenizer.bos_token = "<|endoftext|>"
    assert go_template(tokenizer).startswith("<|endoftext|>"), "no text gets it here: the template must"
