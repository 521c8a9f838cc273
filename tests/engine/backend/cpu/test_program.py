"""Programs: barriers where threads could meet, and regions that never share bytes while both are alive."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.cache import ObjectCache
from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec, choose_isa
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares, Split, Turns
from llamachat.engine.backend.cpu.kernels.walker import LAUNCH_BYTES
from llamachat.engine.backend.cpu.program import LATER, SMALL, Launch, Program, Region, _barriers, build


@dataclass(frozen=True)
class Nothing(KernelSpec):
    """A kernel that does nothing with four regions, of which it declares to read the first and to write the next."""

    n_reads: int = 0
    n_writes: int = 0
    how: str = ""
    arguments: ClassVar = ("a", "b", "c", "d")

    @property
    def reads(self) -> tuple[str, ...]:
        return self.arguments[: self.n_reads]

    @property
    def writes(self) -> tuple[str, ...]:
        return self.arguments[self.n_reads : self.n_reads + self.n_writes]

    @property
    def split(self) -> Split:
        columns, pairs = Shares("", ("units",)), Shares("", ("units",), per=2)
        heads = Shares("", ("n_head",))
        return {"": Turns(), "rows": Shares("n_tokens"), "columns": columns, "pairs": pairs, "heads": heads}[self.how]

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Returns."""


COMPILER = Compiler(choose_isa("generic"), ObjectCache(None))
ROWS, COLUMNS, PAIRS, HEADS, TURNS = "rows", "columns", "pairs", "heads", ""


def launch(reads: list[Region], writes: list[Region], split: str = TURNS) -> Launch:
    arguments = dict.fromkeys(Nothing.arguments, 0) | dict(zip(Nothing.arguments, [*reads, *writes], strict=False))
    return Launch(Nothing(len(reads), len(writes), split), {**arguments, "units": 8, "n_head": 8})


def rows_of(program: Program) -> np.ndarray:
    """The launches as native code sees them: kernel, arguments, barrier, spare."""
    table = next(b for b in program._keep if isinstance(b, Buffer) and b.address == program.address)
    return table.view(np.int64, (program.n_launches, LAUNCH_BYTES // 8))


def barriers(*launches: Launch) -> list[int]:
    """Which launches a barrier follows."""
    return rows_of(build(launches, COMPILER))[:, 2].tolist()


def places(launches: list[Launch]) -> list[list[int]]:
    """The addresses that each launch gets."""
    program = build(launches, COMPILER)
    memory = {b.address: b for b in program._keep if isinstance(b, Buffer)}
    arguments = memory[int(rows_of(program)[0, 1])].view(np.int64, (4 * len(launches),))
    return arguments.reshape(-1, 4).tolist()


def fixed(n_bytes: int = 64) -> Region:
    """A region outside the program."""
    return Region(n_bytes, fixed=1 << 40)


@pytest.mark.parametrize("make", [lambda: Region(64), fixed], ids=["own memory", "fixed"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("w", "r", id="a read after a write"),
        pytest.param("r", "w", id="a write after a read"),
        pytest.param("w", "w", id="a write after a write"),
    ],
)
@pytest.mark.parametrize(
    "splits",
    [(TURNS, TURNS), (ROWS, COLUMNS), (ROWS, TURNS), (COLUMNS, PAIRS), (COLUMNS, HEADS)],
    ids=["all", "other split", "one split", "larger items", "as many parts of another width"],
)
def test_a_barrier_stands_between(make, first: str, second: str, splits: tuple) -> None:
    region = make()

    def touching(how: str, split: str) -> Launch:
        return launch([region] if how == "r" else [], [region] if how == "w" else [], split)

    assert barriers(touching(first, splits[0]), touching(second, splits[1])) == [1, 1]


def test_readers_need_no_barrier_between_them() -> None:
    region, outputs = fixed(), [Region(64), Region(64)]
    readers = [launch([region], [output]) for output in outputs]
    assert barriers(*readers, launch(outputs, [])) == [0, 1, 1]


def test_the_same_split_needs_no_barrier() -> None:
    a, b = Region(64), Region(64)
    assert barriers(launch([], [a], ROWS), launch([a], [b], ROWS), launch([b, a], [b], ROWS)) == [0, 0, 1]


def test_a_private_region_needs_no_barrier() -> None:
    region = Region(64, private=True)
    assert barriers(launch([], [region]), launch([region], [region])) == [0, 1]


def test_a_barrier_serves_all_launches_before_it() -> None:
    a, b = Region(64), Region(64)
    assert barriers(launch([], [a]), launch([], [b]), launch([a], []), launch([b], [])) == [0, 1, 0, 1]


def test_a_conflict_is_found_across_launches_between() -> None:
    a, b = Region(64), Region(64)
    assert barriers(launch([], [a], ROWS), launch([], [b], ROWS), launch([a], [], COLUMNS)) == [0, 1, 1]


def test_memory_that_is_used_again_needs_a_barrier() -> None:
    """The second region takes the place of the first, whose reader may still be at work on another thread."""
    a, b = Region(SMALL + 64), Region(SMALL + 64)
    launches = [launch([], [a], ROWS), launch([a], [], ROWS), launch([], [b], ROWS)]
    assert barriers(*launches) == [0, 1, 1]


def test_a_small_place_is_not_taken_at_once_so_that_no_barrier_is_needed() -> None:
    a, b = Region(64), Region(64)
    assert barriers(launch([], [a], ROWS), launch([a], [], ROWS), launch([], [b], ROWS)) == [0, 0, 1]


@pytest.mark.parametrize(
    ("n_bytes", "most"), [pytest.param(1000, 2 + LATER, id="small"), pytest.param(SMALL + 64, 2, id="large")]
)
def test_a_program_is_as_large_as_what_is_alive_at_once(n_bytes: int, most: int) -> None:
    regions = [Region(n_bytes) for _ in range(20)]
    chain = [launch([before], [after]) for before, after in pairwise(regions)]
    assert build(chain, COMPILER).n_bytes <= (most + 1) * (n_bytes + 64)


def test_a_fixed_region_keeps_its_address() -> None:
    assert places([launch([fixed()], [])])[0] == [1 << 40, 0, 0, 0]


def test_a_program_without_launches_is_empty() -> None:
    assert build([], COMPILER).n_launches == 0


@st.composite
def programs(draw: st.DrawFn) -> list[Launch]:
    """Launches that read and write a few regions each."""
    sizes = draw(st.lists(st.integers(1, 5000), min_size=1, max_size=12))
    regions = [Region(size, private=draw(st.booleans())) for size in sizes]
    some = st.lists(st.sampled_from(regions), max_size=2, unique_by=id)
    splits = st.sampled_from([TURNS, ROWS, COLUMNS])
    return draw(st.lists(st.builds(launch, some, some, splits), min_size=1, max_size=12))


@given(programs())
def test_regions_that_are_alive_together_never_overlap(launches: list[Launch]) -> None:
    found: dict[int, tuple[Region, int, int, int]] = {}  # region, address, first and last launch
    for i, (one, addresses) in enumerate(zip(launches, places(launches), strict=True)):
        for region, address in zip([access.region for access in one.accesses], addresses, strict=False):
            known = found.setdefault(id(region), (region, address, i, i))
            assert known[1] == address
            found[id(region)] = (region, address, known[2], i)
    known = list(found.values())
    for i, (a, at_a, first_a, last_a) in enumerate(known):
        for b, at_b, first_b, last_b in known[i + 1 :]:
            if first_a <= last_b and first_b <= last_a:
                assert at_a + a.n_bytes <= at_b or at_b + b.n_bytes <= at_a


@given(programs())
def test_between_two_barriers_no_two_threads_meet(launches: list[Launch]) -> None:
    """Checked on the bytes themselves: pairs of launches without a barrier between them."""
    addresses, stands = places(launches), barriers(*launches)
    for i, first in enumerate(launches):
        for j in range(i + 1, len(launches)):
            if any(stands[i:j]):
                break
            second = launches[j]
            for a, at_a, writes_a in touched(first, addresses[i]):
                for b, at_b, writes_b in touched(second, addresses[j]):
                    overlap = at_a < at_b + b.n_bytes and at_b < at_a + a.n_bytes
                    alone = a is b and (a.private or (first.spec.how and first.spec.how == second.spec.how))
                    assert alone or not overlap or not (writes_a or writes_b)


def touched(one: Launch, addresses: list[int]) -> list[tuple[Region, int, bool]]:
    return [(access.region, at, access.writes) for access, at in zip(one.accesses, addresses, strict=False)]


@dataclass(frozen=True)
class Apart(KernelSpec):
    """Each thread reads its part of x."""

    arguments: ClassVar = ("x", "y")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares("", ("units",))


class Whole(Apart):
    """Reads all of x in every thread."""

    broadcast: ClassVar = ("x",)


def test_what_every_thread_reads_whole_needs_a_barrier_after_it_was_written() -> None:
    x, y = Region(64), Region(64)
    written = Launch(Whole(), {"x": 0, "y": x, "units": 4})
    places = {x: 0, y: 64}
    assert _barriers([written, Launch(Apart(), {"x": x, "y": y, "units": 4})], places) == [0, 1]
    assert _barriers([written, Launch(Whole(), {"x": x, "y": y, "units": 4})], places) == [1, 1]
