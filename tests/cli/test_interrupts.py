"""Ctrl+C at random moments of a run: exit 130 without a traceback, whatever is being imported, loaded or closed.

`LLAMACHAT_INTERRUPTS=N` sets how many. What comes before the program's own first line is Python's, and is left out.
"""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

N_INTERRUPTS = int(os.environ.get("LLAMACHAT_INTERRUPTS", "20"))
LONGEST_S = 1.0

PROGRAM = """
import signal, sys
sys.argv = ["llamachat", *sys.argv[1:]]
import llamachat.beginning
sys.stdout.write("begun\\n")
sys.stdout.flush()
from llamachat.__main__ import main
main()
"""
QUIET = ("Traceback", "ignored", "rror", "unexpected")


def interrupted(arguments: list[str], after: float) -> tuple[int, str]:
    """The exit code and standard error of a run that hears SIGINT so many seconds after its first line."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        try:
            process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        return process.returncode, said.decode()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_an_interrupt_at_any_moment_is_exit_130(smollm2: Path) -> None:
    dice, codes = random.Random(N_INTERRUPTS), Counter[int]()
    for number in range(N_INTERRUPTS):
        after = dice.uniform(0, LONGEST_S)
        code, said = interrupted(
            ["run", "-m", str(smollm2), "-p", "Once upon a time", "-n", "1000", "--ignore-eos"], after
        )
        assert code == 130, (number, after, code, said[-2000:])
        assert not any(sign in said for sign in QUIET), (number, after, said[-2000:])
        codes[code] += 1
    assert codes[130] == N_INTERRUPTS


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_an_interrupt_while_the_program_ends_changes_nothing_but_the_code() -> None:
    dice = random.Random(1)
    for _ in range(N_INTERRUPTS // 2):
        after = dice.uniform(0, 0.2)
        code, said = interrupted(["--version"], after)
        assert code in (0, 130), (after, code, said[-2000:])
        assert said == ""


LOST = """
import signal, sys, weakref
from llamachat import __main__

class Thing: pass

def swallowed():
    raise KeyboardInterrupt

def run(arguments):
    thing = Thing()
    weakref.finalize(thing, swallowed)
    del thing  # Python swallows what the callback raises
    signal.pause()

__main__._run = run
__main__.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_an_interrupt_within_a_destructor_is_heard_a_little_later() -> None:
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, b"")


WRAPPED = """
import sys
from llamachat import __main__

def run(arguments):
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        raise {kind}("initialization failed") from error

__main__._run = run
__main__.main()
"""


@pytest.mark.parametrize(
    ("kind", "code"), [("ImportError", 130), ("SystemError", 130), ("RuntimeError", 130), ("ValueError", 1)]
)
def test_a_library_that_makes_an_error_of_an_interrupted_import(kind: str, code: int) -> None:
    program = WRAPPED.replace("{kind}", kind)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == code
    assert (b"unexpected" in done.stderr) == (code == 1)


def test_nothing_is_loaded_before_interrupts_are_quiet() -> None:
    program = "import sys; before = set(sys.modules)\nimport llamachat.beginning\nprint(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True, text=True)
    assert set(done.stdout.split()) <= {"llamachat", "llamachat.beginning", "_signal", "atexit"}


def test_a_library_s_user_keeps_the_handler() -> None:
    program = "import signal, llamachat, llamachat.__main__\nassert signal.getsignal(2) is signal.default_int_handler"
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


def test_what_ignores_interrupts_goes_on_ignoring_them() -> None:
    program = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.argv = ["llamachat", "--version"]
import llamachat.beginning
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
"""
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
