"""A tool's command: its limits, and what is left of it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from llamachat.dialogue.tools import process
from llamachat.dialogue.tools.process import run_bounded


def python(code):
    return [sys.executable, "-c", code]


def is_alive(pid):
    """Whether a process runs; one that has ended and is not yet collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


STARTS_ANOTHER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(str(child.pid))
"""


def pid_in(path):
    for _ in range(200):
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError("the command did not start")


def ends(pid):
    for _ in range(100):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_input_and_outputs_of_any_length_pass():
    data = bytes(range(256)) * 2000
    done = run_bounded(python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); sys.exit(5)"), data, 60)
    assert (done.returncode, done.stdout, done.stderr) == (5, data, b"")


def test_input_that_nobody_reads_does_no_harm():
    assert run_bounded(["true"], b"x" * 1_000_000, 60).returncode == 0


def test_no_more_than_a_mebibyte_is_kept(monkeypatch):
    monkeypatch.setattr(process, "LARGEST_OUTPUT", 1000)
    done = run_bounded(python("import sys; print('x' * 500_000); sys.stderr.write('y' * 500_000)"), b"", 60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x" * 1000, b"y" * 1000)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="processes are looked up in /proc")
@pytest.mark.parametrize("then", ["time.sleep(60)", ""], ids=["goes on", "ends itself"])
def test_what_a_command_started_ends_with_its_time(tmp_path, then):
    pid = tmp_path / "pid"
    with pytest.raises(TimeoutError):
        run_bounded([*python(STARTS_ANOTHER + then), str(pid)], b"", 3)
    assert ends(pid_in(pid))


LEAVES = {
    "in the background": "{sleep} >/dev/null 2>&1 & echo $! > {pid}",
    "in a session of its own": "setsid sh -c 'echo $$ > {pid}; exec {sleep}' >/dev/null 2>&1 & "
    "while [ ! -s {pid} ]; do :; done",
}


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="processes are looked up in /proc")
@pytest.mark.parametrize("how", LEAVES)
def test_what_a_command_leaves_behind_is_gone_with_it(tmp_path, how):
    pid = tmp_path / "pid"
    done = run_bounded(["sh", "-c", LEAVES[how].format(sleep="sleep 60", pid=pid)], b"", 30)
    assert done.returncode == 0
    assert ends(pid_in(pid))


def test_other_processes_of_the_program_live_on():
    other = subprocess.Popen(["sleep", "60"])
    try:
        run_bounded(["true"], b"", 30)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_command_that_never_stops_writing_ends_with_its_time():
    with pytest.raises(TimeoutError):
        run_bounded(python("while True: print('x' * 1000)"), b"", 1)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="processes are looked up in /proc")
def test_an_interrupt_ends_it_and_what_it_started(tmp_path):
    pid = tmp_path / "pid"

    def interrupt():
        pid_in(pid)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_bounded([*python(STARTS_ANOTHER + "time.sleep(60)"), str(pid)], b"", 60)
    thread.join()
    assert ends(pid_in(pid))


def test_a_command_that_is_not_there_is_an_os_error():
    with pytest.raises(FileNotFoundError):
        run_bounded(["/no/such/program"], b"", 1)
