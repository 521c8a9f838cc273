"""AMX: a product of byte matrices by tiles, emulated, against NumPy; and that the real set writes its instructions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from emulated import SETS, known_sets
from llvmlite import binding as llvm
from machine import Array, Machine, machines

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec, choose_isa, emit, initialize, optimise, target_machine
from llamachat.engine.backend.cpu.jit.isa.amx import Avx512Amx
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.errors import UsageError

M, N, K = 5, 7, 12


@dataclass(frozen=True)
class TileProduct(KernelSpec):
    """sums [M, N] = a [M, K] b, twice: b is [K / 4, N, 4] as the tiles want it; `signed` is about b."""

    signed: bool
    arguments: ClassVar = ("a", "b", "sums")

    def emit(self, k: Kernel, isa: Generic) -> None:
        assert isinstance(isa, Avx512Amx)
        isa.configure_tiles(k, [(M, 4 * N), (M, K), (K // 4, 4 * N)])
        isa.zero_tile(k, 0)
        isa.load_tile(k, 1, k.pointer("a"), K)
        isa.load_tile(k, 2, k.pointer("b"), 4 * N)
        for _ in range(2):
            isa.dot_tiles(k, 0, 1, 2, signed=self.signed)
        isa.store_tile(k, 0, k.pointer("sums"), 4 * N)
        isa.release_tiles(k)


@pytest.fixture
def amx() -> Iterator[Machine]:
    name = f"{Avx512Amx.name}-emulated"
    if name not in SETS:
        pytest.skip("this processor has no AVX2, by which AMX is emulated")
    with known_sets():
        yield from machines(name)


@pytest.mark.parametrize("signed", [False, True])
def test_tiles_multiply_bytes_exactly(amx: Machine, signed: bool) -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(-128, 128, (M, K)).astype(np.int8)
    b = rng.integers(0, 256, (K // 4, N, 4)).astype(np.uint8).view(np.int8 if signed else np.uint8)
    a[0], b[0] = -128, b.dtype.type(np.iinfo(b.dtype).max)
    arrays = Array(a), Array(b), Array(np.full((M, N), 77, np.int32))
    amx.run(TileProduct(signed), dict(zip(TileProduct.arguments, (array.address for array in arrays), strict=True)))
    assert all(array.intact() for array in arrays)
    columns = b.transpose(0, 2, 1).reshape(K, N).astype(np.int32)
    np.testing.assert_array_equal(arrays[2].values, 2 * a.astype(np.int32) @ columns)


def test_the_real_set_writes_its_instructions() -> None:
    isa = Avx512Amx()
    isa.triple = "x86_64-linux-gnu"
    initialize(isa.triple)
    module, machine = llvm.parse_assembly(emit(TileProduct(signed=False), isa)), target_machine(isa)
    optimise(module, machine)
    text = machine.emit_assembly(module)
    for name in ("ldtilecfg", "tilezero", "tileloadd", "tdpbsud", "tilestored", "tilerelease"):
        assert name in text, name


@pytest.mark.parametrize("shapes", [[(17, 64)], [(16, 68)], [(0, 4)], [(1, 4)] * 9])
def test_tiles_of_impossible_sizes_are_refused(shapes: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="tiles cannot have these sizes"):
        Avx512Amx().configure_tiles(None, shapes)  # type: ignore[arg-type]


def test_a_set_that_the_system_refuses_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "llamachat.engine.backend.cpu.jit.compiler.processor_features", lambda: frozenset(Avx512Amx.needs)
    )
    monkeypatch.setattr(Avx512Amx, "is_permitted", classmethod(lambda _: False))
    assert choose_isa().name == "avx512vbmi"
    with pytest.raises(UsageError, match="does not have avx512amx"):
        choose_isa("avx512amx")
    monkeypatch.setattr(Avx512Amx, "is_permitted", classmethod(lambda _: True))
    assert choose_isa().name == "avx512amx"
