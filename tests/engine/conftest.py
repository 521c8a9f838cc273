"""Native code is tested on every instruction set of this processor."""

from collections.abc import Iterator

import pytest
from machine import Machine, machines

from llamachat.engine.backend.cpu.jit.compiler import usable_isas


@pytest.fixture(scope="module", params=usable_isas())
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine of one instruction set."""
    yield from machines(request.param)
