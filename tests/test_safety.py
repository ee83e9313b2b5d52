"""No network, no files in foreign places, nothing that runs code out of a file."""

import json
import os
import re
import subprocess
import sys

import pytest

from cpt_utils.models.embedded import cache_dir, embedded_model_path
from cpt_utils.runtime.files import ROOT

# What the notebooks call, in a process that refuses all sockets and notes each file it opens to write.
CALLS = """
import json, os, sys
written = set()
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise OSError(f"the network is refused: {event} {arguments}")
    if event == "open" and isinstance(arguments[0], str):
        changes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        if set(arguments[1] or "") & set("wax+") or (arguments[2] or 0) & changes:
            written.add(os.path.abspath(arguments[0]))
    if event in ("os.mkdir", "os.rename", "os.link", "os.symlink") and isinstance(arguments[0], (str, os.PathLike)):
        written.update(os.path.abspath(place) for place in arguments[:1 + (event != "os.mkdir")])
sys.addaudithook(watch)

from cpt_utils import evaluation, generation, pairs, prompts, rubrics, runtime, teachers
from cpt_utils.exercises import nb01, nb06
from cpt_utils.models import loading
from cpt_utils.judging import embedded_judge
profile = runtime.start("smoke")
rubric = rubrics.load_rubric("rococo")
folder = runtime.run_dir(profile)
rubrics.Rubric.checked(rubric.model_dump() | {"name": "mine"}).to_yaml(folder / "mine.yaml")
judge = embedded_judge()
judge.score("rococo", "", prompts.load_responses()[0]["response"])
small = loading.load_chat_model(profile)
teacher = teachers.local_teacher(small, batch_size=3, max_new_tokens=2)
tasks = generation.generation_tasks(["Describe a chair."], ["rococo"], ["low"])
path = folder / "responses_live.jsonl"
live = generation.generate_responses(teacher, tasks, path, lambda *task: prompts.messages(task[0]))
from datasets import Dataset
for part in ("train", "heldout"):
    Dataset.from_list(pairs.rows_for(profile, part)).to_json(folder / f"{part}.jsonl")
rows, where = pairs.load_rows(profile, "train")
pairs.check_lengths(rows, small.tokenizer, profile.max_length)
evaluation.preference_margins(small, pairs.load_rows(profile, "heldout")[0][:2])
runtime.update_report(profile, "judge", {"a": 1})
from cpt_utils.plotting import figure, save
save(figure()[0], profile, "figure", "A finding")
print("WRITTEN", json.dumps(sorted(written)))
"""


def test_the_embedded_profile_needs_no_network_and_writes_to_its_own_folders_only(tmp_path):
    for name in ("home", "runs", "work", "tmp"):
        (tmp_path / name).mkdir()
    embedded_model_path()  # converted before, so that this test is about what comes after
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "CPT_", "XDG_", "MPL", "TORCH"))} | {
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "CPT_RUNS": str(tmp_path / "runs"),
        "CPT_CACHE": str(cache_dir()),
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "agg",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    out = subprocess.run(
        [sys.executable, "-c", CALLS], cwd=tmp_path / "work", env=environment, capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr[-3000:]
    written = json.loads(out.stdout.split("WRITTEN ")[1])
    ours = [str(tmp_path / "runs"), str(cache_dir())]
    # Others' own: matplotlib's list of fonts, the Hub's empty cache folders, compilers' temporary folders.
    theirs = [
        str(tmp_path / "home" / ".cache"),
        str(tmp_path / "home" / ".config" / "matplotlib"),
        str(tmp_path / "tmp"),
        "/dev/",
        "/proc/",
    ]
    foreign = [
        p for p in written if not p.startswith((*ours, *theirs)) and p not in (str(tmp_path / "home" / ".config"),)
    ]
    assert not foreign
    assert not list((tmp_path / "work").iterdir())
    assert {"mine.yaml", "responses_live.jsonl", "report.json"} <= {
        p.name for p in (tmp_path / "runs" / "smoke").iterdir()
    }


FORBIDDEN = {
    r"\btorch\.load\(": "weights are safetensors: a pickle runs code",
    r"\bpickle\b|\bjoblib\b|\bdill\b|\bmarshal\b|np\.load\(": "a pickle runs code",
    r"yaml\.(load|full_load|unsafe_load)\b|yaml\.(Full|Unsafe)?Loader\b": "use yaml.safe_load or SafeLoader",
    r"(?<![.\w])(eval|exec)\(": "runs text as code",
    r"trust_remote_code\s*=\s*True": "runs code of the Hub",
    r"shell\s*=\s*True|os\.system\(": "runs text in a shell",
}


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_nothing_runs_code_out_of_files(pattern):
    sources = [
        *(ROOT / "cpt_utils").rglob("*.py"),
        *(ROOT / "notebooks").glob("*.ipynb"),
        *(ROOT / "benchmarks").glob("*.py"),
    ]
    assert len(sources) > 30
    for path in sources:
        text = path.read_text("utf-8")
        if path.suffix == ".ipynb":
            text = "\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code")
        assert not re.search(pattern, text), f"{path.name}: {FORBIDDEN[pattern]}"
