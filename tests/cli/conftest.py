"""The program with a scripted model: in a process of its own, with pipes or on a terminal."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

PROGRAM = str(Path(__file__).with_name("scripted.py"))
Run = Callable[..., subprocess.CompletedProcess[bytes]]
Terminal = Callable[..., pexpect.spawn]


@pytest.fixture
def environment(own_home: Path) -> dict[str, str]:
    """The environment of a process: this one's, with the home of this test and no opinion on colours and width."""
    left_out = ("NO_COLOR", "COLUMNS", "TERM", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if name not in left_out}


@pytest.fixture
def llamachat(environment: dict[str, str]) -> Run:
    """Runs a command line to its end; `answers` is what the model says, `stdin` what is piped in."""

    def run(
        *arguments: str, answers: tuple[str, ...] = ("An answer.",), stdin: bytes = b"", **more: str
    ) -> subprocess.CompletedProcess[bytes]:
        own = {**environment, "SCRIPTED_ANSWERS": json.dumps(answers), **more}
        command = [sys.executable, PROGRAM, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, env=own, timeout=60, check=False)

    return run


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    """Starts a command line on a terminal of its own."""
    started: list[pexpect.spawn] = []

    def start(
        *arguments: str, answers: tuple[str, ...] = ("An answer.",), term: str = "xterm-256color", columns: int = 80
    ) -> pexpect.spawn:
        own = {**environment, "SCRIPTED_ANSWERS": json.dumps(answers), "TERM": term, "PROMPT_TOOLKIT_NO_CPR": "1"}
        child = pexpect.spawn(
            sys.executable, [PROGRAM, *arguments], env=own, dimensions=(24, columns), encoding="utf-8", timeout=30
        )
        started.append(child)
        return child

    yield start
    for child in started:
        if child.isalive():
            child.kill(signal.SIGKILL)
            child.wait()
        child.close()


@pytest.fixture
def llamachat_to(environment: dict[str, str]) -> Callable[..., tuple[int, str]]:
    """Runs a command line with its standard output in a file or device; its exit code and standard error."""

    def run(path: str, *arguments: str) -> tuple[int, str]:
        own = {**environment, "SCRIPTED_ANSWERS": json.dumps(["An answer."])}
        with open(path, "wb") as output:
            done = subprocess.run(
                [sys.executable, PROGRAM, *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, env=own, timeout=60, check=False,
            )  # fmt: skip
        return done.returncode, done.stderr.decode()

    return run


@pytest.fixture
def llamachat_command(environment: dict[str, str]) -> Callable[..., list[str]]:
    """The command line of the scripted program, whose model says "An answer." unless the environment has another."""
    environment["SCRIPTED_ANSWERS"] = json.dumps(["An answer."])
    return lambda *arguments: [sys.executable, PROGRAM, *arguments]
