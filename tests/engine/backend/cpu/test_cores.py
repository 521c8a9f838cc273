"""How many threads there are by default, on machines that are written down as Linux describes them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from llamachat.engine.backend.choose import choose
from llamachat.engine.backend.cpu import cores
from llamachat.engine.backend.cpu.cores import default_threads, fast_cpus, memory_nodes
from llamachat.engine.backend.interface import Settings


class Described:
    """A machine of n processors, of which all may be used, described by some files."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.patch = root, patch

    def of(self, n: int, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        self.patch.setattr("sys.platform", "linux")
        self.patch.setattr(os, "sched_getaffinity", lambda pid: set(range(n)), raising=False)
        self.patch.setattr(cores, "CPUS", self.root / "cpu")
        self.patch.setattr(cores, "NODES", self.root / "node")
        self.patch.setattr(cores, "FAST_CORES", self.root / "cpu_core" / "cpus")
        self.patch.setattr(cores, "_quota", lambda: 0)


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Described:
    return Described(tmp_path, monkeypatch)


def pairs(n: int) -> dict[str, str]:
    """n processors, two of each core."""
    return {f"cpu/cpu{i}/topology/thread_siblings_list": f"{i & ~1}-{i | 1}" for i in range(n)}


def test_two_hardware_threads_of_a_core_count_once(described: Described) -> None:
    described.of(16, pairs(16))
    assert default_threads() == 8


def test_efficiency_cores_of_intel_get_no_thread(described: Described) -> None:
    described.of(12, {**pairs(8), "cpu_core/cpus": "0-5,6-7"})
    assert fast_cpus(range(12)) == set(range(8))
    assert default_threads() == 4
    assert "4 are slower than the others" in " ".join(d.text for d in choose().describe(Settings()))


def test_only_efficiency_cores_are_used_where_there_are_no_others(described: Described) -> None:
    described.of(12, {"cpu_core/cpus": "0-7"})
    assert fast_cpus({8, 9}) == {8, 9}


def test_small_cores_of_arm_get_no_thread(described: Described) -> None:
    described.of(8, {f"cpu/cpu{i}/cpu_capacity": "446" if i < 4 else "1024" for i in range(8)})
    assert default_threads() == 4


def test_a_machine_that_says_nothing_has_a_thread_a_processor(described: Described) -> None:
    described.of(6, {"cpu_core/cpus": "none"})
    assert default_threads() == 6
    assert memory_nodes() == 1


def test_nodes_of_memory_are_counted_and_told(described: Described) -> None:
    described.of(4, {"node/node0/cpulist": "0-1", "node/node1/cpulist": "2-3", "node/online": "0-1"})
    assert memory_nodes() == 2
    assert "2 nodes (NUMA)" in " ".join(d.text for d in choose().describe(Settings()))
