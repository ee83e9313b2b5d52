"""What is kept: card, merged weights, GGUF through a converter, an upload that needs a clear yes."""

import json
import stat
import types

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open

from cpt_utils import export
from cpt_utils.models import adapters, loading
from cpt_utils.prompts import system_prompt
from cpt_utils.runtime import errors
from cpt_utils.runtime.files import sha256
from cpt_utils.runtime.profiles import load_profile

REPORT = {
    "hardware": "a test",
    "versions": {"torch": "1"},
    "data": {"train_rows": 480, "heldout_prompts": 18},
    "training": {"steps": 160},
    "steerability": {"cpt": {"accuracy": 0.5, "kendall_tau": 0.6, "spearman_rho": 0.7, "texts": 96}},
}


@pytest.fixture
def trained(tiny_model, tokenizer, tmp_path):
    """A profile with a tiny student on disk, and an adapter with weights that matter."""
    student = tmp_path / "student"
    tiny_model.save_pretrained(student)
    tokenizer.save_pretrained(student)
    peft_model = get_peft_model(tiny_model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in peft_model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    adapters.save_adapter(peft_model, tmp_path / "adapter", "owner/student")
    return (
        load_profile("t4").replace(student=str(student), four_bit=False, seed=1),
        tmp_path / "adapter",
        peft_model,
    )


def test_the_card_tells_origin_numbers_and_hash(trained):
    profile, adapter, _ = trained
    text = export.write_card(adapter, profile.replace(student="qwen3-4b"), REPORT).read_text()
    assert "base_model: Qwen/Qwen3-4B" in text and "license: apache-2.0" in text
    assert "480 rows for 160 steps" in text and "rho 0.70" in text and "On 96 texts for held-out" in text
    assert sha256(adapter / "adapter_model.safetensors") in text
    text = export.write_card(adapter, profile, {}).read_text()
    assert "has not been measured" in text and str(adapter.parent) not in text


def test_merged_weights_answer_as_the_adapter_does(trained):
    profile, adapter, peft_model = trained
    merged = export.merge(profile, adapter, adapter.parent / "merged")
    assert list(merged.glob("*.safetensors")) and not list(merged.glob("*.bin"))
    again = loading.load_chat_model(profile.replace(student=str(merged)), dtype=torch.float32)
    ids = torch.arange(30)[None]
    torch.testing.assert_close(again.model(ids).logits, peft_model.eval()(ids).logits, rtol=0.05, atol=0.05)


def test_an_adapter_is_never_merged_into_rounded_weights(trained, monkeypatch):
    """A profile in 4 bits gets the whole base for it, by the name that is not quantised in advance."""
    profile, adapter, _ = trained
    asked, load = [], loading.load_chat_model
    monkeypatch.setattr(
        loading, "load_chat_model", lambda profile, *rest, **o: asked.append(profile) or load(profile, *rest, **o)
    )
    merged = export.merge(profile.replace(four_bit=True), adapter, adapter.parent / "merged")
    assert [one.four_bit for one in asked] == [False]
    assert loading.weights_of(asked[0].replace(student="qwen3-4b")) == "Qwen/Qwen3-4B"
    config = json.loads((merged / "config.json").read_text())
    assert "quantization_config" not in config
    with safe_open(merged / "model.safetensors", "pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} <= {"F32", "F16", "BF16"}


@pytest.mark.parametrize("folder", ["adapter", ".", "adapter/../adapter"])
def test_merged_weights_never_replace_the_adapter_they_come_from(tmp_path, folder):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    with pytest.raises(errors.ExportError, match="holds the adapter itself: give the merged weights another folder"):
        export.merge(None, adapter, tmp_path / folder)  # before anything is loaded
    assert adapter.is_dir() and [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_gguf_goes_through_the_converter_that_is_there(tmp_path, monkeypatch, tokenizer):
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.ExportError, match="set LLAMA_CPP to its folder"):
        export.export_gguf(tmp_path, tmp_path / "m.gguf")
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text("import sys\nopen(sys.argv[sys.argv.index('--outfile') + 1], 'w').write(sys.argv[-1])\n")
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    with pytest.raises(errors.ExportError, match=r"has no tokenizer that can be read: merge\(\) writes one"):
        export.export_gguf(tmp_path, tmp_path / "m.gguf")
    tokenizer.save_pretrained(tmp_path)
    assert export.export_gguf(tmp_path, tmp_path / "m.gguf", system="In gold.").read_text() == "q8_0"
    told = (tmp_path / "Modelfile").read_text()
    assert told.startswith("FROM ./m.gguf\nTEMPLATE ") and 'SYSTEM """In gold."""' in told
    assert 'PARAMETER stop "<|im_end|>"' in told and "PARAMETER top_p 0.9" in told
    export.export_gguf(tmp_path, tmp_path / "m.gguf")
    assert system_prompt("rococo", "high") in (tmp_path / "Modelfile").read_text()
    script.write_text("import sentencepiece_that_is_not_there")
    with pytest.raises(errors.ExportError, match="No module named 'sentencepiece_that_is_not_there' .it is needed by"):
        export.export_gguf(tmp_path, tmp_path / "n.gguf")
    script.write_text("import sys\nsys.exit('Model Foo is not supported')")
    with pytest.raises(errors.ExportError, match="Foo is not supported"):
        export.export_gguf(tmp_path, tmp_path / "n.gguf")


def test_nothing_is_uploaded_without_a_clear_yes(trained, monkeypatch):
    import huggingface_hub

    calls = []

    class Api:
        def create_repo(self, *args, **options):
            calls.append(("create", args, options))

        def repo_info(self, name):
            return types.SimpleNamespace(private="public" not in name)

        def upload_folder(self, **options):
            calls.append(("upload", options))

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    _, adapter, _ = trained
    with pytest.raises(errors.ExportError, match="no model card"):
        export.push(adapter, "me/mine")
    export.write_card(adapter, load_profile("embedded").replace(seed=1), REPORT)
    assert "would upload README.md, adapter_config.json, adapter_model.safetensors" in export.push(adapter, "me/mine")
    assert not calls
    assert "private" in export.push(adapter, "me/mine", really=True)
    assert calls[0][2]["private"] is True and calls[1][1]["repo_id"] == "me/mine"
    with pytest.raises(errors.ExportError, match="me/public is a public repository: make it private"):
        export.push(adapter, "me/public", really=True)
    assert [kind for kind, *_ in calls] == ["create", "upload", "create"]


def test_a_folder_without_weights_gets_no_card_and_is_not_uploaded(tmp_path):
    with pytest.raises(errors.ExportError, match="no adapter_model.safetensors: save the adapter"):
        export.write_card(tmp_path, load_profile("embedded"), REPORT)
    with pytest.raises(errors.ExportError, match="no model card or no weights"):
        export.push(tmp_path / "none", "me/mine")
