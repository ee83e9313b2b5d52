"""How many requests at a time are worth it: `make serving` asks a server on this machine with ever more `workers`.

The server is `transformers serve` with the embedded model, which batches requests as vLLM does: each step writes a
token for all that are under way. What counts is the shape; a GPU's server takes more at a time, and is faster.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil

from benchmarks.measured import RESULTS, add, so_far
from cpt_utils.connection import connected
from cpt_utils.models.embedded import embedded_model_path
from cpt_utils.prompts import load_prompts, messages, system_prompt
from cpt_utils.runtime import files, machine

NAME = "serving"
WORKERS = (1, 2, 4, 8, 16)
TOKENS = 16
"""Written for each request."""
CACHE = ("--cb-block-size", "64", "--cb-num-blocks", "64", "--cb-max-batch-tokens", "512")
"""Room for 16 requests; left to itself the server fills what memory there is."""


@contextlib.contextmanager
def server(*options: str) -> Iterator[tuple[str, str, psutil.Process]]:
    """`transformers serve` with the embedded model on one thread: its address, the model's name there, its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = str(embedded_model_path())
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", *options]
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | quiet, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1", model, psutil.Process(process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def wait_for(address: str, process: subprocess.Popen, log, seconds: float = 240) -> None:
    """Until the server answers there; a RuntimeError with the end of its log if it ends before, or does not."""
    until = time.time() + seconds
    while time.time() < until and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.5)
    log.seek(0)
    raise RuntimeError(f"the server did not come up: {log.read()[-2000:]}")


def measure(client, model: str, process: psutil.Process, workers: int) -> dict[str, float]:
    """Tokens a second with so many requests at a time, by the clock and by the server's seconds on the processor.

    Programs beside it slow the clock's figure, and the other one hardly.
    """
    prompts = [row["prompt"] for row in load_prompts()][: max(WORKERS)]
    asked = [messages(prompt, system_prompt("rococo", "high")) for prompt in prompts]

    def ask(turns: list[dict]) -> int:
        answer = client.chat.completions.create(model=model, messages=turns, max_tokens=TOKENS, temperature=0)
        return answer.usage.completion_tokens

    ask(asked[0])  # warms up
    started, before = time.perf_counter(), sum(process.cpu_times()[:2])
    with ThreadPoolExecutor(workers) as pool:
        tokens = sum(pool.map(ask, asked))
    seconds, computed = time.perf_counter() - started, sum(process.cpu_times()[:2]) - before
    return {
        "requests": len(asked),
        "tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "tokens_per_computed_second": tokens / computed,
    }


def lacking() -> list[int]:
    """The numbers of workers that have not been measured; all of them where another machine measured."""
    known = so_far(NAME)
    if any(told["hardware"] != machine.hardware() for told in known.values()):
        (RESULTS / f"{NAME}.json").unlink()
        known = {}
    return [workers for workers in WORKERS if str(workers) not in known]


def main() -> None:
    if not (wanted := lacking()):
        sys.exit(f"All is measured: delete {files.shown(RESULTS / NAME)}.json to measure again.")
    with server("--continuous-batching", *CACHE) as (url, model, process):
        client = connected(url, "none", retries=0, timeout=600)
        for workers in wanted:
            found = measure(client, model, process, workers)
            add(NAME, str(workers), found)
            print(f"{workers:2} at a time: {found['tokens_per_second']:.1f} tokens a second", flush=True)


if __name__ == "__main__":
    main()
