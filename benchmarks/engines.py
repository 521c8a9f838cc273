"""Engines that are measured in turns, each in processes of its own: ours, llama.cpp, ik_llama.cpp."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parents[1]
PAUSE_S = 0.3  # idle workers of an OpenMP engine spin for some milliseconds after their last work


class EngineFailed(Exception):
    """An engine does not start with this model, or ended."""


class Engine(Protocol):
    """A loaded model, or a program that loads it for each test."""

    about: str

    def seconds(self, test: str) -> float:
        """Seconds of a test, "pp" or "tg", from an empty context. Raises EngineFailed."""
        ...

    def close(self) -> None:
        """Ends what it started."""
        ...


class Worker:
    """An engine in `worker.py`. lengths: tokens of the tests, see there."""

    def __init__(
        self, python: str, engine: str, model: Path, lengths: Mapping[str, int], threads: int, checkout: Path = HERE
    ) -> None:
        worker = checkout / "benchmarks" / "worker.py"
        numbers = (lengths.get("pp", 0), lengths.get("tg", 0), threads)
        command = [python, str(worker), engine, str(model), *map(str, numbers)]
        environment = {**os.environ, "PYTHONPATH": str(checkout)} if engine == "llamachat" else None
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, env=environment
        )
        self.about: str = self._answer()["about"]

    def seconds(self, test: str) -> float:
        """Measured once, now."""
        found: float = self.ask(test)["seconds"]
        return found

    def ask(self, question: str) -> Any:
        """The answer to a line. Raises EngineFailed."""
        assert self._process.stdin is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            self._said.seek(0)
            said = self._said.read().strip().splitlines()
            raise EngineFailed(f"{self._process.args} ended with {self._process.returncode}: {' '.join(said[-2:])}")
        return json.loads(line)


class LlamaBench:
    """ik_llama.cpp or llama.cpp by the path of a `llama-bench`, which loads the model for each test."""

    def __init__(self, program: Path, model: Path, lengths: Mapping[str, int], threads: int) -> None:
        self.about, self._lengths = "ik_llama.cpp" if "ik" in str(program) else "llama.cpp", lengths
        self._command = [str(program), "-m", str(model), "-t", str(threads), "-r", "1", "-o", "json"]

    def seconds(self, test: str) -> float:
        """From the speed that it prints. Raises EngineFailed."""
        n = self._lengths[test]
        lengths = ["-p", str(n), "-n", "0"] if test == "pp" else ["-p", "0", "-n", str(n)]
        done = subprocess.run([*self._command, *lengths], capture_output=True, text=True)
        try:
            return n / float(json.loads(done.stdout)[0]["avg_ts"])
        except (ValueError, IndexError, KeyError) as error:
            raise EngineFailed(f"{self._command[0]} ended with {done.returncode}: {done.stderr[-200:]}") from error

    def close(self) -> None:
        """Nothing runs."""


@contextlib.contextmanager
def awake(wanted: bool = True) -> Iterator[None]:
    """Keeps every processor busy with a loop of idle priority, which gives way to all others (Linux).

    A virtual machine may put threads that work for moments on few processors when it is idle: then two threads read
    memory as one does, and engines whose barriers spin run at a tenth of their speed.
    """
    loop = "import os, sys\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
    loop += "while os.getppid() == int(sys.argv[1]): pass"
    n = len(os.sched_getaffinity(0)) if wanted and sys.platform == "linux" else 0
    loops = [subprocess.Popen([sys.executable, "-c", loop, str(os.getpid())]) for _ in range(n)]
    try:
        yield
    finally:
        for one in loops:
            one.kill()
            one.wait()


def rounds(engines: Sequence[Engine], tests: Sequence[str], n: int) -> dict[str, list[list[float]]]:
    """{test: [seconds of each engine] of each round}; the engine that begins alternates. Raises EngineFailed."""
    seconds: dict[str, list[list[float]]] = {test: [] for test in tests}
    for number in range(n):
        for test in tests:
            found = {}
            for engine in engines if number % 2 == 0 else reversed(engines):
                time.sleep(PAUSE_S)
                found[engine] = engine.seconds(test)
            seconds[test].append([found[engine] for engine in engines])
            said = " ".join(f"{s:.3f} s" for s in seconds[test][-1])
            print(f"round {number + 1}/{n} {test}: {said}", file=sys.stderr)
    return seconds


def has_peer(python: str) -> bool:
    """Whether llama_cpp is installed for that interpreter."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('llama_cpp') is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def text_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns for a terminal."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in (titles, *rows))
    return "\n".join(line.rstrip() for line in lines)


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], n_left: int = 1) -> str:
    """The same for a document; all but the first columns are numbers."""
    rule = ["---" if i < n_left else "---:" for i in range(len(titles))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (titles, rule, *rows))
