"""Every kernel test runs on every instruction set of this processor."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llamachat.engine.jit.compiler import usable_isas

sys.path.insert(0, str(Path(__file__).parent))

from machine import Machine, machines  # noqa: E402


@pytest.fixture(scope="module", params=usable_isas())
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine of one instruction set."""
    yield from machines(request.param)
