"""A thousand requests that come and go leave memory, threads and files as they were."""

import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from turning import Turning, failing, request

from llamachat.engine.events import Failed, Stop
from llamachat.engine.generate import Speculation
from llamachat.engine.model import Model
from llamachat.engine.speculation.lookup import Lookup

N_REQUESTS, WARM_UP = 1000, 200
BOUND_BYTES = 4 << 20


@pytest.fixture(scope="module")
def model(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama.gguf", 2) as model:
        yield model


def resident_bytes() -> int:
    """Memory of this process now (VmRSS)."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def standing() -> tuple[int, list[str]]:
    """Threads and open files."""
    return threading.active_count(), sorted(os.listdir("/proc/self/fd"))


def step(turning: Turning) -> int:
    """How many requests ended in it."""
    return sum(isinstance(event, Stop | Failed) for _, event in turning.scheduler.step())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_thousand_requests_leave_everything_as_it_was(model: Model) -> None:
    turning, ended, memory, before = Turning(model, 8, n_ctx=400, kept=2), 0, 0, standing()
    for i in range(N_REQUESTS):
        if i == WARM_UP:
            memory = resident_bytes()
            before = standing()
        if i % 10 == 0:
            one = failing()
        elif i % 10 == 1:
            one = request(i % 50, 20, 4, speculation=Speculation(Lookup()))
        else:
            one = request(i % 50, 4 + i % 9 * 20, 1 + i % 3, deadline_s=0.0 if i % 10 == 2 else None)
        job = turning.scheduler.add(one)
        if i % 7 == 0:
            job.cancel()
        while turning.scheduler.n_waiting > 6:
            ended += step(turning)
    while not turning.scheduler.idle:
        ended += step(turning)
    assert ended == N_REQUESTS
    assert len(turning.pool.contexts) <= 10
    assert standing() == before
    assert resident_bytes() <= memory + BOUND_BYTES
