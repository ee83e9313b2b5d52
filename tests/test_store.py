"""The store of responses: killed, torn, full, shared, edited: what is finished stays, once, and the rest is asked."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from cpt_utils import generation
from cpt_utils.generation import generate_responses, generation_tasks
from cpt_utils.pairs import build_mirrored_pairs
from cpt_utils.prompts import messages, teacher_messages
from cpt_utils.runtime import errors, files
from cpt_utils.teachers import Teacher

RUBRICS = ["rococo", "esoteric"]
TASKS = generation_tasks([f"prompt {n}" for n in range(20)], RUBRICS)


def PLAIN(prompt, rubric, target):
    return messages(f"{prompt} {rubric} {target}")


# A process that answers slowly and notes every conversation that it was asked.
WORKER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell starts with it ignored
from cpt_utils.generation import Teacher, generate_responses, generation_tasks
from cpt_utils.prompts import messages
path, log, workers, pause = sys.argv[1], open(sys.argv[2], "a"), int(sys.argv[3]), float(sys.argv[4])
def answer(asked):
    time.sleep(pause)
    print(asked[0][0]["content"], file=log, flush=True)
    return ["é" * 300 + asked[0][0]["content"]]
tasks = generation_tasks([f"prompt {n}" for n in range(20)], ["rococo", "esoteric"])
plain = lambda prompt, rubric, target: messages(f"{prompt} {rubric} {target}")
rows = generate_responses(Teacher("t", answer, workers=workers), tasks, path, plain)
assert len(rows) == 120
"""


def worker(path, log, workers=4, pause=0.01):
    return subprocess.Popen(
        [sys.executable, "-u", "-c", WORKER, str(path), str(log), str(workers), str(pause)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def teacher(asked, name="t", batch_size=5):
    def answer(conversations):
        asked.extend(turns[-1]["content"] for turns in conversations)
        return [f"answer {len(asked)}-{i}" for i in range(len(conversations))]

    return Teacher(name, answer, batch_size)


def keys(rows):
    return [generation.key(row) for row in rows]


def test_killed_at_random_moments_and_resumed(tmp_path):
    path, log, chance = tmp_path / "r.jsonl", tmp_path / "log", random.Random(5)
    kept = []
    for _ in range(6):
        process = worker(path, log)
        wanted = len(kept) + chance.randint(1, 18)
        while process.poll() is None and not (path.exists() and path.read_bytes().count(b"\n") >= wanted):
            time.sleep(0.005)
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = generation.read_responses(path)
        assert found[: len(kept)] == kept and len(set(keys(found))) == len(found)
        kept = found
    before = len(log.read_text().splitlines())
    asked = []
    rows = generate_responses(teacher(asked), TASKS, path, PLAIN)
    assert 6 < len(kept) <= 120 and len(asked) == 120 - len(kept) and len(rows) == 120
    assert len(set(keys(generation.read_responses(path)))) == 120 == path.read_bytes().count(b"\n")
    assert before - len(kept) <= 6 * 8  # lost: at most what was under way at each kill


def test_two_processes_on_one_file_ask_nothing_twice(tmp_path):
    path, logs = tmp_path / "r.jsonl", [tmp_path / "a", tmp_path / "b"]
    with files.writing(path):  # so that both meet, however long each takes to begin
        processes = [worker(path, log, workers=2) for log in logs]
        assert all("another process writes to r.jsonl" in process.stdout.readline() for process in processes)
    said = [process.communicate(timeout=60) for process in processes]
    assert [p.returncode for p in processes] == [0, 0], said
    assert sum(len(log.read_text().splitlines()) for log in logs) == 120
    assert len(set(keys(generation.read_responses(path)))) == 120 == path.read_bytes().count(b"\n")


def test_the_second_process_takes_over_when_the_first_is_killed(tmp_path):
    path, logs = tmp_path / "r.jsonl", [tmp_path / "a", tmp_path / "b"]
    first = worker(path, logs[0], workers=1, pause=0.05)
    while len(files.read_jsonl(path)) < 3:
        time.sleep(0.01)
    second = worker(path, logs[1], workers=2)
    time.sleep(0.3)
    first.kill()
    first.communicate()
    assert second.wait(60) == 0, second.communicate()
    assert len(set(keys(generation.read_responses(path)))) == 120 == path.read_bytes().count(b"\n")


@pytest.mark.parametrize("workers", [1, 4])
def test_an_interrupt_from_outside_keeps_every_finished_response(tmp_path, workers):
    path, log = tmp_path / "r.jsonl", tmp_path / "log"
    process = worker(path, log, workers)
    while len(files.read_jsonl(path)) < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode and "KeyboardInterrupt" in error
    rows = generation.read_responses(path)
    assert len(set(keys(rows))) == len(rows) >= 5
    answered = len(log.read_text().splitlines())
    assert answered - len(rows) <= 2 * workers  # under way at the interrupt, or begun in that moment


FULL = """
import resource, sys
from cpt_utils.generation import generate_responses, generation_tasks
from cpt_utils.runtime.errors import StoreError
from cpt_utils.teachers import Teacher
if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
tasks = generation_tasks([f"p{n}" for n in range(50)], ["rococo"])
try:
    generate_responses(Teacher("t", lambda asked: ["x" * 900] * len(asked), 3), tasks, sys.argv[1])
except StoreError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.parametrize("kind", ["limit", "tmpfs"])
def test_a_full_disk_keeps_whole_rows_and_says_what_to_do(tmp_path, kind):
    pytest.importorskip("resource")  # not on Windows
    folder, limit = tmp_path / "small", "40000" if kind == "limit" else "0"
    folder.mkdir()
    if kind == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "none", str(folder)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("no right to mount a small disk")
    try:
        out = subprocess.run([sys.executable, "-c", FULL, folder / "r.jsonl", limit], capture_output=True, text=True)
        assert out.returncode == 3, out.stderr
        reason = "File too large" if kind == "limit" else "No space left on device"
        assert out.stdout.startswith(f"r.jsonl cannot be written ({reason}): free some space")
        kept = generation.read_responses(folder / "r.jsonl")
        assert len(kept) > 20 and len(kept) % 3 == 0 and (folder / "r.jsonl").read_bytes().endswith(b"\n")
        roomy = tmp_path / "roomy.jsonl"
        roomy.write_bytes((folder / "r.jsonl").read_bytes())
    finally:
        if kind == "tmpfs":
            subprocess.run(["umount", folder])
    asked = []
    generate_responses(teacher(asked), generation_tasks([f"p{n}" for n in range(50)], ["rococo"]), roomy)
    assert len(asked) == 150 - len(kept)


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StoreError, match="r.jsonl cannot be .*: (free|check)"):
        generate_responses(teacher([]), TASKS[:1], tmp_path / "file" / "r.jsonl", PLAIN)
    (tmp_path / "folder").mkdir()
    with pytest.raises(errors.StoreError, match=r"folder cannot be read \(Is a directory\)"):
        generate_responses(teacher([]), TASKS[:1], tmp_path / "folder", PLAIN)


def test_a_changed_rubric_is_asked_again_and_the_newest_counts(tmp_path, capsys):
    path, asked = tmp_path / "r.jsonl", []
    old = generate_responses(teacher(asked), TASKS[:6], path)

    def changed(p, r, q):
        return teacher_messages(p, r, q) + messages("more" if r == "rococo" else "")

    capsys.readouterr()
    new = generate_responses(teacher(asked), TASKS[:6], path, lambda p, r, q: changed(p, r, q)[: 2 + (r == "rococo")])
    assert len(asked) == 9 and len(files.read_jsonl(path)) == 9
    said = capsys.readouterr().out.splitlines()
    assert said == ["3 rows of r.jsonl answer an older text of their rubric or prompt: asking again"]
    for before, after in zip(old, new):
        assert (before == after) == (before["rubric"] == "esoteric")
    assert generate_responses(teacher(asked), TASKS[:6], path) == old and len(asked) == 9  # changed back
    pairs = build_mirrored_pairs(generation.read_responses(path))  # a reader of the file sees the newest, too
    texts = {row["chosen"][0]["content"] for row in pairs}
    assert texts == {row["response"] for row in new}


def test_rows_that_name_their_target_in_words_are_read_and_not_asked_again(tmp_path):
    """Files of earlier versions: "qualifier" in words, and the same hash of the same messages."""
    path, asked = tmp_path / "r.jsonl", []
    for task, name in zip(TASKS[:3], ("low", "mid", "high")):
        sent = generation.digest(teacher_messages(task["prompt"], task["rubric"], name))
        old = {"prompt": task["prompt"], "rubric": task["rubric"], "qualifier": name, "response": f"text {name}"}
        files.append(path, [old | {"model": "t", "asked": sent}])
    rows = generate_responses(teacher(asked), TASKS[:4], path)
    assert [row["response"] for row in rows[:3]] == ["text low", "text mid", "text high"] and len(asked) == 1
    assert [row["target"] for row in generation.read_responses(path)] == [10, 50, 95, 10]
    assert all("qualifier" not in row for row in generation.read_responses(path))
    assert len(build_mirrored_pairs(generation.read_responses(path))) == 6
    files.append(path, [old | {"model": "t", "qualifier": "huge"}])
    with pytest.raises(
        errors.StoreError, match="row 5: 'huge' in column 'target' is no target; mend or delete the row"
    ):
        generation.read_responses(path)


def test_rows_without_a_hash_are_taken_as_they_are(tmp_path):
    path, asked = tmp_path / "r.jsonl", []
    rows = [{**task, "response": "old", "model": "t"} for task in TASKS[:3]] + [
        {**TASKS[3], "response": "old", "model": "t", "asked": None}
    ]
    path.write_text("".join(json.dumps(row) + "\r\n" for row in rows) + "\n", "utf-8-sig")
    assert [r["response"] for r in generate_responses(teacher(asked), TASKS[:4], path)] == ["old"] * 4 and not asked
    assert path.read_bytes().count(b"\n") == 5  # nothing was written


def test_a_last_line_without_its_end_counts_if_it_is_whole(tmp_path):
    path, asked = tmp_path / "r.jsonl", []
    first = generate_responses(teacher(asked), TASKS[:3], path)
    path.write_bytes(path.read_bytes()[:-1])
    assert generate_responses(teacher(asked), TASKS[:5], path)[:3] == first and len(asked) == 5
    assert len(files.read_jsonl(path)) == 5


@pytest.mark.parametrize(
    "line, named",
    [
        (b"not json", "line 2: not JSON"),
        (b"[1]", "line 2: not JSON"),
        (b"\xff\xfe{}", "line 2: not JSON"),
        (b"[" * 100000, "line 2: not JSON"),
        (b'{"prompt": "p"}', "row 2: no text in column 'rubric'"),
        (b'{"prompt": ["p"]}', "row 2: no text in column 'prompt'"),
    ],
)
def test_a_bad_line_within_is_named_and_the_file_left_alone(tmp_path, line, named):
    path = tmp_path / "r.jsonl"
    generate_responses(teacher([]), TASKS[:3], path, PLAIN)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], line, *lines[1:]]))
    before = path.read_bytes()
    with pytest.raises(errors.StoreError, match=named):
        generate_responses(teacher([]), TASKS[:5], path, PLAIN)
    assert path.read_bytes() == before


def test_halves_of_characters_do_not_stop_the_store(tmp_path):
    half = json.loads('"cut \\ud83d"')
    rows = generate_responses(
        Teacher("t", lambda asked: [half] * len(asked), 3), TASKS[:3], tmp_path / "r.jsonl", PLAIN
    )
    assert rows[0]["response"] == "cut ?" and os.path.getsize(tmp_path / "r.jsonl")


INTERRUPTED = """
import os, signal, sys, threading, time
from cpt_utils.generation import generate_responses, generation_tasks
from cpt_utils.prompts import messages
from cpt_utils.teachers import Teacher
signal.signal(signal.SIGINT, signal.default_int_handler)
asked, all_ask, workers = [], threading.Event(), int(sys.argv[4])
def answer(conversations):
    asked.append(1)
    if len(asked) == workers:
        all_ask.set()
    time.sleep(float(sys.argv[2]))
    return ["text"]
def stop():
    all_ask.wait()
    for _ in range(int(sys.argv[3])):
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=stop, daemon=True).start()
tasks = generation_tasks([f"p{n}" for n in range(20)], ["rococo"])
plain = lambda *task: messages(" ".join(map(str, task)))
try:
    generate_responses(Teacher("t", answer, workers=workers, remote=True), tasks, sys.argv[1], plain)
except KeyboardInterrupt:
    print(len(asked), flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("interrupts, workers, kept", [(1, 8, 8), (2, 8, 0), (1, 1, 1)])
def test_answers_that_arrive_after_an_interrupt_are_kept(tmp_path, interrupts, workers, kept):
    """What the workers were about is paid for; nothing more is asked, and a second interrupt waits for nothing."""
    path, pause = tmp_path / "r.jsonl", "1.5" if interrupts == 1 else "60"
    command = [sys.executable, "-c", INTERRUPTED, str(path), pause, str(interrupts), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    said = f"stopping: the answers to {workers} requests under way are kept; interrupt again to leave them"
    assert done.stdout.splitlines() == [said, str(workers)], done.stderr
    assert len(generation.read_responses(path)) == kept


@pytest.mark.parametrize("written", ["nothing", "a part", "all"])
def test_an_interrupt_while_a_row_is_written_loses_and_doubles_none_and_reads_the_store_once(
    tmp_path, monkeypatch, written
):
    """Of eight answers that have all arrived, the first is interrupted in its writing."""
    path, arrived, readings = tmp_path / "r.jsonl", threading.Barrier(8), []
    append, read = files.append, generation.read_responses

    def interrupted(path, rows):
        monkeypatch.setattr(files, "append", append)
        monkeypatch.setattr(generation, "read_responses", lambda path: readings.append(1) or read(path))
        if written != "nothing":
            append(path, rows)
        if written == "a part":
            os.truncate(path, path.stat().st_size - 20)
        raise KeyboardInterrupt

    def answer(conversations):
        arrived.wait(20)
        return [conversations[0][-1]["content"]]

    monkeypatch.setattr(files, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate_responses(Teacher("t", answer, workers=8), TASKS[:8], path, PLAIN)
    wanted = [PLAIN(*task.values())[-1]["content"] for task in TASKS[:8]]
    assert sorted(row["response"] for row in read(path)) == sorted(wanted) and len(readings) == 1


def test_a_store_of_many_rows_is_read_and_matched_soon_and_in_little_memory(tmp_path):
    """10,000 rows in a tenth of what 100,000 may take, which are 10 seconds of work and 300 MB."""
    import tracemalloc

    path, tasks = tmp_path / "r.jsonl", generation_tasks([f"Write about thing {n}." for n in range(1667)], RUBRICS)
    sent = (PLAIN(*task.values()) for task in tasks)
    rows = [{**t, "response": "word " * 200, "model": "t", "asked": generation.digest(s)} for t, s in zip(tasks, sent)]
    files.append(path, rows)
    del rows
    started = time.process_time()
    assert len(generate_responses(Teacher("t", lambda asked: None), tasks, path, PLAIN)) == 10002
    assert time.process_time() - started < 1
    tracemalloc.start()
    generate_responses(Teacher("t", lambda asked: None), tasks, path, PLAIN)
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_a_reader_that_meets_a_writer_reads_again(tmp_path, monkeypatch):
    """It holds no lock: a torn end may be mended, and rows be added, while it stands there."""
    path, (row,), met, read_line = tmp_path / "r.jsonl", TASKS[:1], [], files.row_of
    row = {**row, "response": "word " * 50, "model": "t"}
    files.append(path, [row])
    with open(path, "ab") as file:
        file.write(b'{"prompt": "p')

    def meanwhile(line, number, *rest):
        if number == 2 and not met:
            met.append(line)
            files.append(path, [row, row])
        return read_line(line, number, *rest)

    monkeypatch.setattr(files, "row_of", meanwhile)
    assert len(generation.read_responses(path)) == 3 and met == [b'{"prompt": "p']
    with open(path, "a") as file:
        file.write("no row\n")
    with pytest.raises(errors.StoreError, match="line 4"):
        generation.read_responses(path)
