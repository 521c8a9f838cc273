"""Seconds from process start to the first byte of an answer, and peak memory.

    python benchmarks/startup.py -m smollm2 -r 5

Measures `llamachat run` with a prompt of 20 tokens and an object cache of its own, first empty (cold), then filled
(warm), and `llamachat --help`. Memory is the peak resident size of a warm run, against 1.25 x file + the whole KV cache
+ 150 MB; resident pages of the mapped file count. Each measurement is a new process; medians are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from llamachat.catalog import resolve
from llamachat.engine.backend.choose import choose
from llamachat.engine.gguf import open_gguf
from llamachat.engine.graph import states
from llamachat.engine.measure import processor_name
from llamachat.engine.models import describe
from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import LlamaChatError

TEXT = (
    "The history of the railway begins with wooden tracks in the mines of central Europe, where small wagons were "
    "pushed by hand for many years before anybody thought of steam."
)
N_PROMPT, N_ANSWER = 20, 8
MB = 1e6


@dataclass(frozen=True)
class Started:
    """One process: seconds to the first byte of its output, and its largest resident size in bytes."""

    first_byte_s: float
    peak_bytes: int


def start(arguments: list[str], cache: Path) -> Started:
    """Runs `python -m llamachat` to its end."""
    environment = {**os.environ, "LLAMACHAT_CACHE": str(cache)}
    command = [sys.executable, "-m", "llamachat", *arguments]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    first = os.read(process.stdout.fileno(), 1)
    seconds = time.perf_counter() - began
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not first:
        raise SystemExit(f"startup.py: {command} ended with {process.returncode} and no output")
    # Linux counts in KiB, macOS in bytes; what this process held when it forked is the least that is reported.
    return Started(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def prompt_of(path: Path) -> tuple[str, int]:
    """A text of 20 tokens (or as near as the vocabulary allows), and how many it has."""
    tokenizer = Tokenizer(path)
    text = TEXT
    while len(tokenizer.encode(text)) > N_PROMPT:
        text = text.rpartition(" ")[0]
    return text, len(tokenizer.encode(text))


def memory_bound(path: Path, n_ctx: int) -> tuple[float, float]:
    """(bytes that a run may take at most, bytes of the KV cache in it)."""
    file = open_gguf(path)
    kept = states(describe(file.metadata, file.tensors, path).graph().nodes)
    cache = choose().state_sizes(kept, "f16", "f16").cache(n_ctx)
    return 1.25 * sum(tensor.n_bytes for tensor in file.tensors.values()) + cache + 150 * MB, cache


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", help="a GGUF file, or a name from `llamachat models`")
    parser.add_argument("-c", "--ctx-size", type=int, default=512, help="tokens that the context holds [512]")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="rounds [5]")
    return parser.parse_args()


def main() -> None:
    chosen = parse_arguments()
    try:
        path = resolve(chosen.model)
        prompt, n_prompt = prompt_of(path)
        bound, cache_bytes = memory_bound(path, chosen.ctx_size)
    except LlamaChatError as error:
        raise SystemExit(f"startup.py: {error}") from None
    run = ["run", "-m", str(path), "-c", str(chosen.ctx_size), "-p", prompt, "-n", str(N_ANSWER), "--temp", "0"]
    cold, warm, asked = [], [], []
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(start(run, Path(folder)))
            warm.append(start(run, Path(folder)))
            asked.append(start(["--help"], Path(folder)))
    peak = max(one.peak_bytes for one in warm)
    print(f"{path.stem}, prompt of {n_prompt} tokens, {processor_name()}, {time.strftime('%Y-%m-%d')}")
    for name, found in (("first byte, warm", warm), ("first byte, empty object cache", cold), ("--help", asked)):
        print(f"{name:32} {statistics.median(one.first_byte_s for one in found):.3f} s")
    share = f"{peak / bound:.0%} of 1.25 x file + {cache_bytes / MB:.0f} MB of KV cache + 150 MB"
    print(f"{'peak memory':32} {peak / MB:.0f} MB: {share}")


if __name__ == "__main__":
    main()
