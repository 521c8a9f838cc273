"""The most memory that some work takes in this process, however much the process has had before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")


def _forget_peak() -> bool:
    """Lets VmHWM begin again at VmRSS, as proc(5) says; False on systems that cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


measurable = pytest.mark.skipif(not _forget_peak(), reason="this system does not let a process forget its peak")


@dataclass
class Peak:
    """bytes: how much more than at its beginning the process had at most."""

    bytes: int = 0


def _status(name: str) -> int:
    """Bytes of a line of the status."""
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name)) * 1024


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measures what is done within; nothing on systems that cannot (tests of memory alone are `measurable`)."""
    peak = Peak()
    known = _forget_peak()
    before = _status("VmRSS") if known else 0
    yield peak
    peak.bytes = _status("VmHWM") - before if known else 0
