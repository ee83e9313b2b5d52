"""Folders are written beside and swapped in; what the series did not write is never replaced."""

import json
import shutil
import subprocess
import sys
import types

import pytest
from peft import LoraConfig, get_peft_model

from cpt_utils import export
from cpt_utils.models import adapters
from cpt_utils.runtime import files, folders
from cpt_utils.runtime.errors import ExportError, StoreError


def write(folder, text, error=None, name="file"):
    with folders.whole_folder(folder) as place:
        (place / name).write_text(text)
        if error:
            raise error


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def peft_model(tiny_model):
    return get_peft_model(tiny_model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))


def test_a_folder_is_replaced_by_a_whole_one_or_stays(tmp_path):
    folder = tmp_path / "kept"
    write(folder, "old")
    for error in (OSError("full"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            write(folder, "new", error)
        assert (folder / "file").read_text() == "old"
    write(folder, "newer", name="other")
    assert (folder / "other").read_text() == "newer" and not (folder / "file").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"kept", ".kept.lock"}


def someones_thesis(folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("years")


def someones_file(folder):
    folder.write_text("years")


def anothers_adapter(folder):
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"years")


def ours_with_a_note(folder):
    write(folder, "ours")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "note.txt").write_text("years")


def ours_changed_by_hand(folder):
    write(folder, "ours")
    (folder / "file").write_text("mine now")


def ours_with_another_word_of_the_same_length(folder):
    write(folder, "ours")
    (folder / "file").write_text("mine")


def ours_with_a_link(folder):
    write(folder, "ours")
    (folder / "link").symlink_to(folder.parent)


SOMEONES = [
    someones_thesis,
    someones_file,
    anothers_adapter,
    ours_with_a_note,
    ours_changed_by_hand,
    ours_with_another_word_of_the_same_length,
    ours_with_a_link,
]


@pytest.mark.parametrize("make", SOMEONES)
def test_what_the_series_did_not_write_is_refused_and_stays(tmp_path, peft_model, make):
    folder = tmp_path / "adapter"
    make(folder)
    before = contents(tmp_path)
    with pytest.raises(ExportError, match="adapter holds what the series did not write.*move it away or choose"):
        adapters.save_adapter(peft_model, folder, "owner/base")
    with pytest.raises(ExportError, match="nothing was replaced"):
        export.merge(None, tmp_path / "another", folder)  # refused before anything is loaded
    assert contents(tmp_path) == before | {".adapter.lock": b""}


def test_a_file_that_comes_while_a_folder_is_written_stays(tmp_path):
    write(tmp_path / "kept", "old")
    with pytest.raises(ExportError, match="note.txt"), folders.whole_folder(tmp_path / "kept") as place:
        (place / "file").write_text("new")
        (tmp_path / "kept" / "note.txt").write_text("just written")
    assert (tmp_path / "kept" / "note.txt").exists() and (tmp_path / "kept" / "file").read_text() == "old"


def test_neighbours_with_likely_names_stay(tmp_path):
    names = ("kept.partial", "kept.old", ".kept.partial", ".kept.old")
    for name in names:
        someones_thesis(tmp_path / name)
    write(tmp_path / "kept", "old")
    write(tmp_path / "kept", "new")
    assert all((tmp_path / name / "thesis.txt").exists() for name in names)


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "kept").symlink_to(tmp_path / "big")
    for text in ("old", "new"):
        write(tmp_path / "kept", text)
    assert (tmp_path / "kept").is_symlink() and (tmp_path / "big" / "file").read_text() == "new"


KILLED = """
import sys, time
from pathlib import Path
from cpt_utils.runtime import folders
with folders.whole_folder(Path(sys.argv[1])) as place:
    (place / "half").write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


def test_what_a_kill_leaves_is_cleared_away_by_the_next_writer(tmp_path):
    write(tmp_path / "kept", "old")
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "kept"], stdout=subprocess.PIPE)
        process.stdout.readline()
        process.kill()
        process.wait()
        assert len(list(tmp_path.iterdir())) == 3 and (tmp_path / "kept" / "file").read_text() == "old"
    write(tmp_path / "kept", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"kept", ".kept.lock"}


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path):
    write(tmp_path / "kept", "old")
    (tmp_path / "kept").rename(tmp_path / ".kept.cpt_utils-old")
    with pytest.raises(OSError):
        write(tmp_path / "kept", "new", OSError("full"))
    assert (tmp_path / "kept" / "file").read_text() == "old"


def test_an_adapter_with_its_card_is_replaced_by_the_next_one(tmp_path, peft_model):
    folder, sizes = tmp_path / "adapter", []
    for _ in range(2):
        sizes.append(adapters.save_adapter(peft_model, folder, "owner/base"))
        folders.write_own(folder / "README.md", "card")
    assert sizes == [sum(len(v) for k, v in contents(folder).items() if k.startswith("adapter_"))] * 2
    (folder / "README.md").write_text("my own card")
    with pytest.raises(ExportError, match="README.md was not written by the series, or was changed since"):
        folders.write_own(folder / "README.md", "card")
    with pytest.raises(ExportError, match="README.md"):
        adapters.save_adapter(peft_model, folder, "owner/base")
    assert (folder / "README.md").read_text() == "my own card"


@pytest.mark.parametrize("mark", [b"", b"[]", b"{", b"\xff"])
def test_a_damaged_mark_vouches_for_nothing(tmp_path, mark):
    write(tmp_path / "kept", "old")
    (tmp_path / "kept" / folders.MARK).write_bytes(mark)
    with pytest.raises(ExportError, match="file"):
        write(tmp_path / "kept", "new")


def test_a_mark_of_sizes_still_vouches(tmp_path):
    """As former versions wrote it."""
    write(tmp_path / "kept", "old")
    (tmp_path / "kept" / folders.MARK).write_text('{"file": 3}')
    write(tmp_path / "kept", "new")
    assert (tmp_path / "kept" / "file").read_text() == "new"


def test_rows_become_lines_that_can_be_read_again_and_keep_a_file_of_someone_elses(tmp_path):
    path, rows = tmp_path / "texts.jsonl", [{"text": "line\nend   é 日"}, {"text": "half \ud83d of one", "n": 1.5}]
    path.write_text("mine")
    folders.write_lines(path, rows)
    assert files.read_jsonl(path) == [rows[0], rows[1] | {"text": "half ? of one"}]
    assert [kept.read_text() for kept in tmp_path.glob("texts-before-*")] == ["mine"]
    folders.write_lines(path, [])
    assert path.read_bytes() == b""


def test_a_file_of_someone_elses_is_kept_beside_the_one_that_must_be_written(tmp_path, capsys):
    path = tmp_path / "01_x.ipynb"
    for text in ("first", "other"):
        folders.write_beside(path, text)
    assert capsys.readouterr().out == "" and len(list(tmp_path.glob("[!.]*"))) == 1
    path.write_text("mine!")
    folders.write_beside(path, "third")
    (kept,) = tmp_path.glob("01_x-before-*.ipynb")
    assert (kept.read_text(), path.read_text()) == ("mine!", "third")
    said = f"note: 01_x.ipynb was not written by the series, or was changed since: it is kept as {kept.name}\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("place, why", [("/", "is the whole disk"), ("a\0b", "null")])
def test_what_can_be_no_folder_is_told_in_a_sentence(place, why):
    with pytest.raises(ExportError, match=f"{why}.*choose a"), folders.whole_folder(place):
        pass
    with pytest.raises(ExportError, match="give the merged weights another folder" if place == "/" else why):
        export.merge(None, "adapter", place)
    with pytest.raises(ExportError, match="has no adapter_model.safetensors: save the adapter there first"):
        export.write_card(place, None, {})


def test_what_cannot_be_written_is_told_in_a_sentence(tmp_path):
    with pytest.raises(ExportError, match="has no adapter_model.safetensors: save the adapter there first"):
        export.write_card(tmp_path, None, {})
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "card.md", tmp_path / "a\0b", tmp_path / "a\0b" / "card.md"):
        with pytest.raises(StoreError, match="cannot be written .*choose another path"):
            folders.write_own(path, "card")
    for path in (tmp_path / "a\0b", tmp_path / "a" / "\ud800"):
        with pytest.raises(StoreError, match="cannot be read .*check the path"):
            files.read_jsonl(path)
        with pytest.raises(StoreError, match="cannot be written"), files.writing(path):
            pass


def test_files_beside_a_gguf_or_a_launch_stay_too(tmp_path, monkeypatch, tokenizer):
    from cpt_utils.runtime.profiles import load_profile

    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "convert_hf_to_gguf.py").write_text(
        "import sys\nopen(sys.argv[sys.argv.index('--outfile') + 1], 'w').write(sys.argv[-1])\n"
    )
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    for name in ("m.gguf", "Modelfile", "rows.jsonl", "dpo.yaml"):
        (tmp_path / name).write_text("someone's")
        before = contents(tmp_path)
        with pytest.raises(ExportError, match=f"{name} was not written by the series"):
            export.export_gguf(tmp_path, tmp_path / "m.gguf")
            export.write_launch(load_profile("smoke").replace(seed=1), [{"a": 1}] * 2, tmp_path)
        assert {k: v for k, v in contents(tmp_path).items() if k in before and k != folders.MARK} == {
            k: v for k, v in before.items() if k != folders.MARK
        }
        (tmp_path / name).unlink()
    for kind in ("q8_0", "q4_k"):  # its own it replaces, and only by a whole one
        assert export.export_gguf(tmp_path, tmp_path / "m.gguf", kind).read_text() == kind
    (tmp_path / "convert_hf_to_gguf.py").write_text("import sys\nsys.exit('no')")
    with pytest.raises(ExportError, match="m.gguf failed: no"):
        export.export_gguf(tmp_path, tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_text() == "q4_k"


def test_hidden_files_are_not_uploaded(tmp_path, peft_model, monkeypatch):
    import huggingface_hub

    sent = {}
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", lambda self, *a, **k: None)
    private = types.SimpleNamespace(private=True)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda self, name: private)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", lambda self, **options: sent.update(options))
    adapters.save_adapter(peft_model, tmp_path / "adapter", "owner/base")
    folders.write_own(tmp_path / "adapter" / "README.md", "card")
    assert folders.MARK not in export.push(tmp_path / "adapter", "me/mine", really=True)
    from huggingface_hub.utils import filter_repo_objects

    left = [file.name for file in (tmp_path / "adapter").iterdir()] + [".ipynb_checkpoints/README-checkpoint.md"]
    sends = sorted(filter_repo_objects(left, ignore_patterns=sent["ignore_patterns"]))
    assert sends == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert set(json.loads((tmp_path / "adapter" / folders.MARK).read_text())) == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }


LITTER = (".DS_Store", "._weights", "Thumbs.db", "Desktop.ini", "__pycache__/card.cpython-311.pyc")
COPY = ".ipynb_checkpoints/weights-checkpoint.txt"


def left_in(folder, name, text):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.parametrize("name", [*LITTER, COPY])
def test_what_a_system_leaves_in_a_folder_that_was_looked_at_stops_nothing(tmp_path, name):
    write(tmp_path / "adapter", "1", name="weights.txt")
    left_in(tmp_path / "adapter", name, "1")  # Jupyter's copy is of what the series wrote
    write(tmp_path / "adapter", "2", name="weights.txt")
    assert (tmp_path / "adapter" / "weights.txt").read_text() == "2"
    assert not (tmp_path / "adapter" / name).exists()


@pytest.mark.parametrize(
    "name",
    [COPY, ".ipynb_checkpoints/note-checkpoint.txt", "__pycache__/note.txt", "._mine/note.txt", ".DS_Store/note.txt"],
)
def test_a_users_work_among_what_a_system_leaves_is_refused_and_stays(tmp_path, name):
    write(tmp_path / "adapter", "1", name="weights.txt")
    left_in(tmp_path / "adapter", name, "my words")
    with pytest.raises(ExportError, match=name.rpartition("/")[2]):
        write(tmp_path / "adapter", "2", name="weights.txt")
    assert (tmp_path / "adapter" / name).read_text() == "my words"


def test_large_files_are_hashed_once_and_known_by_their_looks(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "LARGE", 3)
    hashed, sha256 = [], files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: (hashed.append(path.name), sha256(path))[1])
    folder = tmp_path / "merged"
    for _ in range(3):
        write(folder, "weights")
    assert hashed == ["file"] * 3  # as it is written, and never to be compared
    shutil.copyfile(folder / "file", tmp_path / "copy")
    (tmp_path / "copy").replace(folder / "file")  # another time of change, the same bytes
    write(folder, "weights")
    (folder / "file").write_text("mine is")  # another time of change, the same length
    with pytest.raises(ExportError, match="file"):
        write(folder, "weights")
    assert (folder / "file").read_text() == "mine is"
    (folder / folders.MARK).write_text('{"file": []}')
    assert folders.strangers(folder) == ["file"]


MANY = """
import sys
from pathlib import Path
from cpt_utils.runtime import folders
for number in range(40):
    folders.write_beside(Path(sys.argv[1]) / f"{sys.argv[2]}-{number}", "text")
    folders.write_beside(Path(sys.argv[1]) / "shared", f"{sys.argv[2]} {number}")
"""


def test_two_kernels_write_into_one_folder_and_no_mark_is_lost(tmp_path):
    kernels = [
        subprocess.Popen([sys.executable, "-c", MANY, tmp_path, name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    said = "".join(kernel.communicate(timeout=120)[0] for kernel in kernels)
    assert "was not written by the series" not in said and [kernel.returncode for kernel in kernels] == [0, 0]
    assert folders.strangers(tmp_path) == [] and len(list(tmp_path.glob("[!.]*"))) == 81


@pytest.mark.parametrize("meet", ["keep", "refuse"])
def test_what_stands_there_keeps_its_place_where_the_new_text_cannot_be_written(tmp_path, monkeypatch, meet):
    path = tmp_path / "rows.jsonl"
    path.write_text("mine")

    def full(self, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(StoreError if meet == "keep" else (StoreError, ExportError), match="No space left"):
        (folders.write_beside if meet == "keep" else folders.write_own)(path, "new")
    assert [file.name for file in tmp_path.glob("[!.]*")] == ["rows.jsonl"] and path.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["mine", "mine.yaml", "report.json", "mine.judge.yaml", "夜記.prompts.yaml"])
def test_names_of_what_is_set_aside_keep_their_ending(tmp_path, name):
    kept = []
    for _ in range(3):
        (tmp_path / name).write_text("x")
        kept.append(files.set_aside(tmp_path / name, files.before_now(name)).name)
    stem, dot, ending = name.partition(".")
    assert len(set(kept)) == 3
    assert all(other.startswith(f"{stem}-before-") and other.endswith(dot + ending) for other in kept)


def test_a_version_in_a_name_is_no_ending():
    assert files.before_now("Qwen3-0.6B").startswith("Qwen3-0-before-") and files.before_now("v1.2.json").endswith(
        ".json"
    )
    assert files.before_now("v1.2.yaml").startswith("v1.2-before-") and files.before_now(".lock").startswith(".lock-")
