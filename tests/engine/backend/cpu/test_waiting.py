"""Programs that Python waits for: whatever interrupts the wait, they have ended when it is over."""

import os
import signal
import sys
import threading
from typing import Any, cast

import pytest

from llamachat.engine.backend.cpu.program import Program
from llamachat.engine.backend.cpu.waiting import run_patiently
from llamachat.engine.backend.cpu.workers import Step

NOTHING = Program(0, 0, 0)


class Slow:
    """A pool whose programs run until they are stopped, and a little longer."""

    def __init__(self) -> None:
        self.begun, self.ended, self.may_end = threading.Event(), threading.Event(), threading.Event()

    def run(self, address: int, n_launches: int, step: Step) -> None:
        self.begun.set()
        while not step.cancelled:
            threading.Event().wait(0.001)
        assert self.may_end.wait(60)
        self.ended.set()


def interrupted(pool: Slow, times: int) -> None:
    """Sends Ctrl+C so many times while the program runs, then lets it end."""
    assert pool.begun.wait(60)
    for _ in range(times):
        threading.Event().wait(0.1)  # until the other thread waits
        os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(0.1)
    pool.may_end.set()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C cannot be sent to this process alone")
@pytest.mark.parametrize("times", [1, 2, 3])
def test_ctrl_c_is_raised_when_the_program_has_ended(times: int) -> None:
    pool = Slow()
    sender = threading.Thread(target=interrupted, args=(pool, times))
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        run_patiently(cast("Any", pool), NOTHING)
    assert pool.ended.is_set()
    sender.join()


def test_a_thread_that_begins_after_its_start_was_interrupted_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[threading.Thread] = []

    def interrupt(thread: threading.Thread) -> None:
        late.append(thread)
        raise KeyboardInterrupt

    pool, start = Slow(), threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_patiently(cast("Any", pool), NOTHING)
    monkeypatch.undo()
    start(late[0])
    late[0].join(60)
    assert not pool.begun.is_set()


def test_what_a_program_raises_is_raised() -> None:
    class Broken:
        def run(self, address: int, n_launches: int, step: Step) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_patiently(cast("Any", Broken()), NOTHING)
