"""Programs that take long, run so that Python sees signals meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from llamachat.engine.backend.cpu.program import Program
from llamachat.engine.backend.cpu.workers import Step, WorkerPool

POLL_S = 0.05


def run_patiently(pool: WorkerPool, program: Program, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Runs a program on a pool from a thread of its own; calls `meanwhile` from this one, at once and again and again.

    What is raised here, by a signal or by `meanwhile`, stops the program and is raised when it has ended: the memory
    that it works in may be freed then. What is raised while it ends is lost.
    """
    step, claim, ended, failed = Step(), threading.Lock(), threading.Event(), list[BaseException]()

    def run() -> None:
        if not claim.acquire(blocking=False):
            return
        try:
            pool.run(program.address, program.n_launches, step)
        except BaseException as error:
            failed.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="program", daemon=True)
    try:
        thread.start()
        meanwhile()
        # Not `join`: interrupted, Python 3.11 takes the thread for ended.
        while not ended.wait(POLL_S):
            meanwhile()
    finally:
        step.stop()
        # A start that was interrupted may be followed by a thread, or not: one that finds the claim taken does nothing.
        begun = not claim.acquire(blocking=False)
        while begun and not ended.is_set():
            with suppress(BaseException):
                ended.wait()
        if begun:
            thread.join()
    if failed:
        raise failed[0]
