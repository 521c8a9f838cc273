"""The processors of this machine, as Linux describes them: which are one core, which are fast, where memory is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
NODES = Path("/sys/devices/system/node")
FAST_CORES = Path("/sys/devices/cpu_core/cpus")
"""The performance cores of Intel's hybrid processors."""
SLOW = 0.7
"""A core of less than this share of the fastest one's capacity is an efficiency core (Arm)."""


def default_threads() -> int:
    """One thread per physical core that this process may use, within the quota of its control group.

    Of performance and efficiency cores only the former: threads have equal shares, and all would wait for the slowest.
    """
    if sys.platform != "linux":
        import psutil

        return psutil.cpu_count(logical=False) or os.cpu_count() or 1
    cores = {_siblings(cpu) for cpu in fast_cpus(os.sched_getaffinity(0))}
    return max(1, min(len(cores), _quota() or len(cores)))


def fast_cpus(cpus: Iterable[int]) -> set[int]:
    """Those that are no efficiency cores; all where there is but one kind."""
    cpus = set(cpus)
    fast = _listed(FAST_CORES) & cpus
    if fast:
        return fast
    capacity = {cpu: _number(CPUS / f"cpu{cpu}" / "cpu_capacity") for cpu in cpus}
    return {cpu for cpu in cpus if capacity[cpu] >= SLOW * max(capacity.values())}


def memory_nodes() -> int:
    """How many nodes this machine's memory has (NUMA); 1 where that is not known."""
    try:
        return max(1, len(list(NODES.glob("node[0-9]*"))))
    except OSError:
        return 1


def _siblings(cpu: int) -> str:
    """The name of the physical core: the processors that share it."""
    return _text(CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list") or str(cpu)


def _quota() -> int:
    """Processors that the control group allows, rounded up; 0 for no limit (cgroup v2 `cpu.max`)."""
    try:
        limit, period = _text(Path("/sys/fs/cgroup/cpu.max")).split()
        return 0 if limit == "max" else -(-int(limit) // int(period))
    except ValueError:
        return 0


def _listed(path: Path) -> set[int]:
    """The numbers of a list as Linux writes it: 0-3,8."""
    found: set[int] = set()
    try:
        for part in filter(None, _text(path).split(",")):
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    except ValueError:
        return set()
    return found


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
