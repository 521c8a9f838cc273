"""Resuming a chat: seconds from process start to the prompt, and the tokens evaluated for the next answer.

    python benchmarks/resume.py -m smollm2 -n 4000 -r 5

Makes a chat of at least N tokens in a folder of its own, with a process for each turn, then resumes it on a terminal.
Measured are the seconds from process start until the person may type. The tokens that were evaluated for the answer,
and its seconds, are read from the database. The same again without a snapshot (--cache-budget 0).
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from llamachat.engine.measure import processor_name

NAME = "benchmark"
READY = re.compile(rb"\x1b\[\?2004h")
SENTENCE = "The {} railway began with wooden tracks in the mines, where wagons were pushed by hand for {} years. "


@dataclass(frozen=True)
class Resumed:
    """Seconds to the prompt; tokens that were evaluated for the answer, and the seconds that it took."""

    start_s: float
    n_evaluated: int
    evaluated_s: float


def llamachat(*arguments: str, typed: str = "") -> str:
    """Runs a command to its end; its output."""
    command = [sys.executable, "-m", "llamachat", *arguments]
    done = subprocess.run(command, input=typed.encode(), capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"resume.py: {command} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout.decode()


def last_turn() -> dict[str, Any]:
    """What the database has of the last answer."""
    messages = json.loads(llamachat("sessions", "show", NAME, "-o", "json"))["messages"]
    return dict(messages[-1]["extra"])


def make(model: list[str], n_tokens: int) -> int:
    """Makes a chat of at least n tokens; how many it has."""
    turn = 0
    while True:
        text = "".join(SENTENCE.format(turn * 40 + n, n) for n in range(20)) + "What did I say?"
        llamachat("chat", *model, "--session", NAME, "-n", "32", typed=text)
        turn, last = turn + 1, last_turn()
        if last["n_prompt"] + last["n_generated"] >= n_tokens:
            return last["n_prompt"] + last["n_generated"]


def resume(arguments: list[str]) -> Resumed:
    """Resumes the chat on a terminal, sends one message and quits."""
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-m", "llamachat", "chat", "--session", NAME, "-n", "8", *arguments])
    until(terminal, READY)
    start_s = time.perf_counter() - began
    os.write(terminal, b"And why?\r")
    until(terminal, READY)
    os.write(terminal, b"\x04")
    until(terminal, None)
    os.waitpid(child, 0)
    last = last_turn()
    return Resumed(start_s, last["n_prompt"] - last["n_known"], float(last["prompt_s"]))


def until(terminal: int, wanted: re.Pattern[bytes] | None) -> None:
    """Reads until something was shown, or to the end."""
    seen = b""
    while wanted is None or not wanted.search(seen):
        try:
            read = os.read(terminal, 65536)
        except OSError:
            read = b""
        if not read:
            return
        seen += read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", default="smollm2", help="a GGUF file, or a name from `llamachat models`")
    parser.add_argument("-n", "--tokens", type=int, default=4000, help="tokens of the chat [4000]")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="rounds [5]")
    chosen = parser.parse_args()
    model = ["-m", chosen.model]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LLAMACHAT_DATA"] = folder
        n_tokens = make(model, chosen.tokens)
        print(f"{chosen.model}, a chat of {n_tokens} tokens, {processor_name()}, {time.strftime('%Y-%m-%d')}")
        for name, more in (("kept", []), ("not kept", ["--cache-budget", "0"])):
            found = [resume([*model, *more]) for _ in range(chosen.rounds)]
            start, seconds = (
                statistics.median(getattr(one, key) for one in found) for key in ("start_s", "evaluated_s")
            )
            evaluated = ", ".join(str(one.n_evaluated) for one in found)
            print(f"{name:9} prompt after {start:.2f} s; evaluated for the answer: {evaluated} tokens, {seconds:.2f} s")


if __name__ == "__main__":
    main()
