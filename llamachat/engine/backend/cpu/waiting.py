"""Programs that take long, run so that Python sees signals meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from llamachat.engine.backend.cpu.program import Program
from llamachat.engine.backend.cpu.workers import Step, WorkerPool

POLL_S = 0.05


def run_patiently(pool: WorkerPool, program: Program, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Runs a program on a pool from a thread of its own; calls `meanwhile` from this one, at once and again and again.

    What is raised here, by a signal or by `meanwhile`, stops the program and is raised when it has ended.
    """
    step, failed = Step(), list[BaseException]()

    def run() -> None:
        try:
            pool.run(program.address, program.n_launches, step)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="program", daemon=True)
    try:
        thread.start()
        meanwhile()
        thread.join(POLL_S)
        while thread.is_alive():
            meanwhile()
            thread.join(POLL_S)
    finally:
        if thread.ident is not None and thread.is_alive():
            step.stop()
            thread.join()
    if failed:
        raise failed[0]
