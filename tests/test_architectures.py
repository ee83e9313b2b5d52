"""Tiny random models of the release's architectures through the whole path: rows, training, adapter, chat."""

import os
import sys
import types
from pathlib import Path

import pytest
import torch
import trl
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Regex, pre_tokenizers
from transformers import AutoModelForCausalLM, Gemma2Config, MistralConfig, Phi3Config, Qwen3Config, set_seed
from trl import DPOConfig

from cpt_utils.models import adapters, checks, conversation, loading
from cpt_utils.models.embedded import embedded_model_path
from cpt_utils.prompts import messages
from cpt_utils.runtime import catalogue, errors
from cpt_utils.runtime.profiles import load_profile
from cpt_utils.training import MirroredDPOTrainer, PairedDPOTrainer, prepare_trainer

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
# The condition of Mistral-Nemo's: the system text goes into the last turn, if that is a user's.
MISTRAL = (
    "{%- set ns = namespace(system='') -%}"
    "{%- for m in messages -%}"
    "{%- if m.role == 'system' -%}{%- set ns.system = m.content + '\\n\\n' -%}"
    "{%- elif m.role == 'user' -%}[INST]{{ (ns.system if loop.last else '') + m.content }}[/INST]"
    "{%- else -%}{{ m.content }}<|im_end|>{%- endif -%}"
    "{%- endfor -%}"
)
SIZES = dict(
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=1024,
)
KINDS = {
    "qwen3": (Qwen3Config(head_dim=16, **SIZES), "qwen3.jinja"),
    "phi4": (Phi3Config(original_max_position_embeddings=1024, **SIZES), "phi3.jinja"),
    "mistral": (MistralConfig(head_dim=16, **SIZES), None),
    "gemma2": (Gemma2Config(head_dim=16, **SIZES), "gemma.jinja"),
}


@pytest.fixture
def rows(begun_rows):
    return begun_rows


@pytest.fixture(params=KINDS)
def student(request, tmp_path):
    """A profile whose student is a saved tiny random model with this family's chat template."""
    from transformers import AutoTokenizer

    config, template = KINDS[request.param]
    tokenizer = AutoTokenizer.from_pretrained(embedded_model_path())
    # Newlines are split off by themselves, as the tokenizers of Qwen, Phi-4 and Nemo do; SmolLM's joins the
    # template's last newlines with the first word of the answer.
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\s*[\r\n]+"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.add_special_tokens(
        {
            "additional_special_tokens": [
                "[INST]",
                "[/INST]",
                "<|user|>",
                "<|assistant|>",
                "<|system|>",
                "<|end|>",
                "<start_of_turn>",
                "<end_of_turn>",
            ]
        }
    )
    tokenizer.chat_template = (TEMPLATES / template).read_text() if template else MISTRAL
    torch.manual_seed(0)
    config.vocab_size, config.pad_token_id, config.eos_token_id = len(tokenizer), 2, 2
    config.bos_token_id = 1
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for folder in (model, tokenizer):
        folder.save_pretrained(tmp_path / request.param)
    small = {"student": str(tmp_path / request.param), "max_length": 512, "four_bit": False}
    return load_profile("t4").replace(name=request.param, seed=1, **small)


def settings(tmp_path, **changes):
    return DPOConfig(
        **{
            "output_dir": str(tmp_path / "out"),
            "use_cpu": True,
            "bf16": False,
            "per_device_train_batch_size": 2,
            "per_device_eval_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "max_steps": 2,
            "logging_steps": 1,
            "learning_rate": 5e-3,
            "warmup_steps": 0.1,
            "max_length": 512,
            "precompute_ref_log_probs": True,
            "gradient_checkpointing": True,
            "report_to": "none",
            "save_strategy": "no",
            "disable_tqdm": True,
            "seed": 1,
        }
        | changes
    )


def train(profile, rows, tmp_path, kind=MirroredDPOTrainer, **changes):
    chat_model = loading.load_student(profile)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    set_seed(1)
    model, peft_config = adapters.prepare_for_lora(chat_model, lora, profile)
    data = Dataset.from_list(conversation.fit_rows(chat_model.tokenizer, rows))
    trainer = kind(
        model=model,
        args=settings(tmp_path, **changes),
        train_dataset=data,
        eval_dataset=data.select(range(4)),
        processing_class=chat_model.tokenizer,
        peft_config=peft_config,
    )
    prepare_trainer(trainer).train()
    return trainer


def test_training_and_chat_with_each_template(student, rows, tmp_path, caplog):
    profile = student
    trainer = train(profile, rows[:4], tmp_path)
    first = next(e for e in trainer.state.log_history if "loss" in e)
    assert first["loss/sigmoid"] == pytest.approx(0.6931, abs=1e-3)

    # The prompt that is trained on is the one that is used for chat, and it holds the system prompt.
    tokenizer = trainer.processing_class
    row = trainer.train_dataset[0]
    turns = rows[0]["prompt"]
    prompt = tokenizer.decode(row["prompt_ids"])
    used = tokenizer.apply_chat_template(
        conversation.fit_turns(tokenizer, turns), tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert prompt == used and turns[0]["content"] in prompt and turns[1]["content"] in prompt
    assert "not a prefix" not in caplog.text
    if profile.name == "qwen3":
        assert prompt.endswith("<think>\n\n</think>\n\n"), "thinking is off in training and use"
    assert conversation.takes_system(tokenizer) == (profile.name not in ("gemma2", "mistral"))

    adapters.save_adapter(trainer.model, tmp_path / "adapter", loading.hub_name(profile))
    tuned = loading.load_chat_model(profile, tmp_path / "adapter")
    base = loading.load_chat_model(profile)
    ids = torch.tensor([row["prompt_ids"]])
    with torch.no_grad():
        trained, merged, plain = (m(ids).logits for m in (trainer.model.eval(), tuned.model, base.model))
    torch.testing.assert_close(trained, merged, rtol=0.05, atol=0.02)  # bf16 on disk
    assert (trained - plain).abs().max() > 1e-3
    (answer,) = conversation.chat(tuned, [turns], max_new_tokens=5, temperature=0)
    assert isinstance(answer, str)


def test_unpacked_trainer_has_the_same_losses_and_counts_pairs(student, rows, tmp_path):
    if student.name != "qwen3":
        pytest.skip("the collator does not depend on the family")
    packed = train(student, rows[:4], tmp_path)
    plain = train(student, rows[:4], tmp_path, PairedDPOTrainer)
    losses = [[e["loss"] for e in t.state.log_history if "loss" in e] for t in (packed, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)
    found = [t.evaluate() for t in (packed, plain)]
    for name in ("rewards/accuracies", "rewards/both_directions"):
        assert found[0][f"eval_{name}"] == found[1][f"eval_{name}"]


def gradients(model, ids):
    model.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad and "lora_B" in n}


def test_a_qlora_step_on_the_cpu(student, rows, tmp_path):
    pytest.importorskip("bitsandbytes")
    if student.name == "gemma2":
        pytest.skip("one family without a released model is enough in float32")
    profile = student.replace(four_bit=True)
    trainer = train(profile, rows[:4], tmp_path, optim="adamw_torch")
    linear = [m for m in trainer.model.modules() if type(m).__name__ == "Linear4bit"]
    assert len(linear) >= 2 * 4, "the base is quantised"
    trained = [p for p in trainer.model.parameters() if p.requires_grad]
    assert trained and {p.dtype for p in trained} == {torch.float32}
    losses = [e["loss"] for e in trainer.state.log_history if "loss" in e]
    assert losses[0] == pytest.approx(0.6931, abs=0.02)

    # Gradients reach every adapter as they would through the dequantised weights, after evaluation too.
    ids = torch.tensor([trainer.train_dataset[0]["prompt_ids"]])
    quantised = trainer.model.eval()
    with torch.no_grad():
        quantised(ids)
    found = gradients(quantised.train(), ids)
    dequantised = gradients(quantised.base_model.model.dequantize() and quantised, ids)
    for name, gradient in dequantised.items():
        assert torch.cosine_similarity(found[name].flatten(), gradient.flatten(), dim=0) > 0.98, name
    adapters.save_adapter(trainer.model, tmp_path / "adapter", "x/y")
    tuned = loading.load_chat_model(profile, tmp_path / "adapter")
    assert conversation.chat(tuned, [messages("hello", "be brief")], max_new_tokens=3, temperature=0)


def test_weights_quantised_in_advance_compute_in_the_number_type_of_the_machine(student, tmp_path, monkeypatch):
    """Whatever type their checkpoint names: a T4 would emulate bf16."""
    pytest.importorskip("bitsandbytes")
    if student.name != "qwen3":
        pytest.skip("the layers do not depend on the family")
    monkeypatch.setenv("CPT_PRECISION", "bfloat16")
    loaded = loading.load_student(student.replace(four_bit=True))
    for thing in (loaded.model, loaded.tokenizer):
        thing.save_pretrained(tmp_path / "quantised")
    monkeypatch.setenv("CPT_PRECISION", "float32")
    again = loading.load_student(student.replace(four_bit=True, student=str(tmp_path / "quantised")))
    layers = [module for module in again.model.modules() if type(module).__name__ == "Linear4bit"]
    assert again.model.config.quantization_config.bnb_4bit_compute_dtype == torch.bfloat16
    assert layers and {layer.compute_dtype for layer in layers} == {torch.float32}


@pytest.mark.parametrize("form", ["config", "dict"])
def test_the_number_type_of_a_callers_own_quantisation_stays(student, monkeypatch, form):
    pytest.importorskip("bitsandbytes")
    if student.name != "qwen3":
        pytest.skip("the layers do not depend on the family")
    from transformers import BitsAndBytesConfig

    monkeypatch.setenv("CPT_PRECISION", "float32")
    own = {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.float16}
    config = own if form == "dict" else BitsAndBytesConfig(**own)
    loaded = loading.load_student(student.replace(four_bit=True), quantization_config=config)
    layers = [module for module in loaded.model.modules() if type(module).__name__ == "Linear4bit"]
    assert layers and {layer.compute_dtype for layer in layers} == {torch.float16}


def test_unsloth_is_asked_for_no_pickles_and_no_code_and_its_errors_are_one_sentence(student, monkeypatch):
    if student.name != "qwen3":
        pytest.skip("the call does not depend on the family")
    asked = {}

    class FastLanguageModel:
        @staticmethod
        def from_pretrained(name, **options):
            asked.update(options)
            raise RuntimeError("Unsloth: No config file found\nand more")

    monkeypatch.setitem(sys.modules, "unsloth", types.SimpleNamespace(FastLanguageModel=FastLanguageModel))
    monkeypatch.setattr(loading.machine, "engine", lambda profile: "unsloth")
    with pytest.raises(errors.ModelError, match="cannot be loaded .Unsloth: No config file found.: .*again.$"):
        loading.load_student(student)
    wanted = {"use_safetensors": True, "trust_remote_code": False, "local_files_only": True}
    assert {name: asked.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("number, words", [(13, "Permission denied"), (30, "Read-only file system"), (28, "No space")])
def test_a_cache_of_the_hub_that_cannot_be_written_is_told_as_that(student, monkeypatch, number, words):
    if student.name != "qwen3":
        pytest.skip("the cache does not depend on the family")
    import transformers.utils.hub

    def refused(*_, **__):
        raise OSError(number, os.strerror(number), "/cache/model.safetensors")

    for name in ("hf_hub_download", "snapshot_download"):
        monkeypatch.setattr(transformers.utils.hub, name, refused)
    profile = student.replace(student="Qwen/Qwen3-4B", four_bit=False)
    with pytest.raises(errors.ModelError, match=f"Qwen3-4B cannot .*, as the cache .*{words}.*set HF_HOME") as told:
        loading.load_student(profile)
    assert "/cache" not in str(told.value)


def test_a_family_with_fused_projections_is_told_that_it_lacks_the_seven(student):
    if student.name != "phi4":
        pytest.skip("only Phi fuses them")
    chat_model = loading.load_student(student)
    with pytest.raises(errors.SettingsError, match="no layer 'gate_proj'"):
        adapters.prepare_for_lora(chat_model, adapters.lora_config(student), student)


def test_a_model_without_chat_template_is_refused(student):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(student.student)
    tokenizer.chat_template = None
    for file in Path(student.student).glob("chat_template*"):
        file.unlink()
    tokenizer.save_pretrained(student.student)
    with pytest.raises(errors.ModelError, match="has no chat template"):
        loading.load_chat_model(student)


@pytest.mark.parametrize("key", catalogue.known_models())
def test_registry_shapes_match_transformers_own_count(key):
    """Parameters counted from our shapes equal those of the architecture built without memory."""
    entry = catalogue.known_models()[key]
    kind = {
        "smollm2": "LlamaConfig",
        "qwen3": "Qwen3Config",
        "phi4": "LlamaConfig",
        "mistral": "MistralConfig",
        "rocinante": "MistralConfig",
        "gemma2": "Gemma2Config",
    }[key.split("-")[0]]
    import transformers

    s = entry["shape"]
    config = getattr(transformers, kind)(
        hidden_size=s["hidden"],
        intermediate_size=s["intermediate"],
        num_hidden_layers=s["layers"],
        num_attention_heads=s["heads"],
        num_key_value_heads=s["kv_heads"],
        head_dim=s["head_dim"],
        vocab_size=s["vocab"],
        tie_word_embeddings=s["tied"],
        pad_token_id=0,
    )
    with torch.device("meta"):
        count = AutoModelForCausalLM.from_config(config).num_parameters()
    assert entry["parameters"] == pytest.approx(count, rel=2e-4)


def test_the_t4_profile_fits_15_gib_by_estimate():
    t4 = load_profile("t4")
    need = {k: catalogue.training_memory(m["shape"], t4)["total"] for k, m in catalogue.known_models().items()}
    assert need["qwen3-4b"] < 13 and need["qwen3-0.6b"] < need["qwen3-1.7b"] < need["qwen3-4b"]
    assert need["phi4"] > 15 and need["mistral-nemo-12b"] > 15


def test_unknown_models_are_named():
    with pytest.raises(errors.ModelError, match="no model 'qwen'.*qwen3-4b"):
        catalogue.find_model("qwen")
    assert catalogue.find_model("some/model") == {"key": "some/model", "hub": "some/model"}
    assert catalogue.find_model("vicgalle/configurable-preference-phi4")["key"] == "phi4"
    with pytest.raises(errors.ModelError, match="no tuned version of 'qwen3-0.6b'"):
        loading.load_released("qwen3-0.6b")


def test_released_models_load_in_one_call(monkeypatch):
    seen = []
    monkeypatch.setattr(
        loading, "load_student", lambda profile, **o: seen.append(profile) or conversation.ChatModel(0, 0, "")
    )
    for key in ("qwen3-4b", "phi4", "mistral-nemo-12b", "rocinante-12b"):
        assert loading.load_released(key).name == f"configurable-preference-{key}"
    assert [loading.weights_of(p) for p in seen] == [
        f"vicgalle/configurable-preference-{p}" for p in ("qwen3-4b", "phi4", "mistral-nemo-12b", "rocinante-12b")
    ]
    t4 = load_profile("t4")
    assert loading.weights_of(t4) == "unsloth/Qwen3-4B-unsloth-bnb-4bit"
    assert loading.weights_of(t4.replace(four_bit=False)) == "Qwen/Qwen3-4B"


@pytest.mark.parametrize("name", ["phi4", "unsloth/phi-4", "microsoft/phi-4", "unsloth/phi-4-unsloth-bnb-4bit"])
def test_a_model_is_known_by_each_of_its_names(name):
    assert catalogue.find_model(name)["key"] == "phi4" and checks._known(name) == "phi4"


@pytest.mark.parametrize("name, free, fits", [("t4", 17.5, True), ("t4", 14.6, False), ("embedded", 40.0, False)])
def test_base_and_tuned_model_are_held_at_once_only_where_both_fit(monkeypatch, name, free, fits):
    """Notebook 05 with RELEASED: Mistral-Nemo twice is too much for a T4, which is said before the download."""
    loaded = []

    def load(profile, **options):
        loaded.append(profile.student)
        return conversation.ChatModel(0, 0, "")

    monkeypatch.setattr(loading, "load_student", load)
    monkeypatch.setattr(loading.machine, "free_memory_gib", lambda: free)
    profile = load_profile(name)
    if fits:
        *_, which = loading.load_pair(profile, "mistral-nemo-12b")
        assert which == "the release's configurable-preference-mistral-nemo-12b" and len(loaded) == 2
        return
    with pytest.raises(errors.ModelError, match=r"compare_released\('mistral-nemo-12b'\) holds one at a time") as told:
        loading.load_pair(profile, "mistral-nemo-12b")
    assert not loaded and f"{free:.0f} are free" in str(told.value)
    assert ("four_bit" in str(told.value)) == (not profile.four_bit)
