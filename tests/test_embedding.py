"""Sentence embeddings: the official weights or none, one vector a text, whatever its length."""

import importlib.machinery
import zipfile

import numpy as np
import pytest

from cpt_utils.models import embedding
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.runtime.errors import ModelError


@pytest.fixture(scope="module")
def embed():
    return embedding.embedder()


def test_near_meanings_are_near(embed):
    cat, kitten, tax = embed(["A cat sleeps on the sofa.", "The kitten naps on a couch.", "The tax return is due."])
    assert cat @ kitten > 0.5 > 0.2 > cat @ tax


def test_one_unit_vector_a_text_the_same_alone_and_in_company(embed):
    texts = [row["response"] for row in load_responses()[:20]]
    texts += [" ".join(texts), "A sun.", texts[0]]
    together = embedding.Embedder(embedding.embedding_source())(texts)
    assert together.shape == (len(texts), 384) and together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([embed([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5
    assert embed([]).shape == (0, 384) and not embed([""]).any()


def test_a_long_text_is_about_all_of_its_parts(embed):
    prompts = [prompt["prompt"] for prompt in load_prompts()[:12]]
    texts = [" ".join([prompt] * 40) for prompt in prompts]  # several windows each
    assert (embed(texts) @ embed(prompts).T).argmax(1).tolist() == list(range(12))


def test_text_cannot_speak_in_special_tokens(embed):
    ids = embed._windows("a [SEP] b [CLS] c [MASK]")[0]
    assert not set(ids) & set(embed.tokenizer.all_special_ids)


def test_a_package_with_other_weights_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    spec = importlib.machinery.ModuleSpec("all_minilm_l6_v2", None, origin=str(tmp_path / "package" / "__init__.py"))
    monkeypatch.setenv("CPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedding.importlib.util, "find_spec", lambda name: spec)
    (tmp_path / "package").mkdir()
    archive = tmp_path / "package" / "model.zip"
    with pytest.raises(ModelError, match="cannot be unpacked .*reinstall"):
        embedding.embedding_source()
    archive.write_bytes(b"no archive")
    with pytest.raises(ModelError, match="cannot be unpacked .*reinstall"):
        embedding.embedding_source()
    with zipfile.ZipFile(archive, "w") as file:
        for name in (*embedding.SHA256, *embedding.OTHER_FILES, "../evil.py"):
            file.writestr(name, "{}")
    with pytest.raises(ModelError, match="model.safetensors in model.zip is not the official file: reinstall"):
        embedding.embedding_source()
    assert not list((tmp_path / "cache").glob("[!.]*")) and not list((tmp_path / "cache").glob(".*.partial"))
    assert not (tmp_path / "evil.py").exists()
    monkeypatch.setattr(embedding.importlib.util, "find_spec", lambda name: None)
    assert embedding.embedding_source() == embedding.HUB_FALLBACK
