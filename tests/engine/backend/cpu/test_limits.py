"""The kernels that measure limits do all the work that they are said to do."""

import numpy as np
import pytest
from machine import Array, Machine

from llamachat.engine.backend.cpu.jit.isa.dots import Codes
from llamachat.engine.backend.cpu.kernels.limits import BLOCK_BYTES, OPERANDS, DotRate, FusedRate, ReadAll, WordRate
from llamachat.engine.backend.cpu.limits import FOURS, PATTERNS


@pytest.mark.parametrize("spec", PATTERNS)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_byte_is_read_once(machine: Machine, spec: ReadAll, threads: int) -> None:
    memory = Array(np.random.default_rng(0).integers(0, 1 << 32, 13 * BLOCK_BYTES // 4, np.uint32))
    out = Array(np.zeros((threads, 16), np.uint32))
    machine.run(spec, {"source": memory.address, "blocks": 13, "out": out.address}, threads)
    assert np.bitwise_xor.reduce(out.values, axis=None) == np.bitwise_xor.reduce(memory.values)


@pytest.mark.parametrize("fours", FOURS)
@pytest.mark.parametrize("codes", [Codes(4), Codes(6), Codes(8, signed=True)], ids=str)
def test_products_are_computed_in_every_round(machine: Machine, codes: Codes, fours: int) -> None:
    spec, rounds = DotRate(codes, fours), 5
    source, out = Array(np.full(OPERANDS, 3, np.uint8)), Array(np.zeros(16, np.int32))
    machine.run(spec, {"rounds": rounds, "source": source.address, "out": out.address})
    assert 2 * out.values.sum() == 9 * rounds * spec.operations(machine.isa)


def test_products_of_words_are_computed_in_every_round(machine: Machine) -> None:
    spec, rounds = WordRate(), 3
    source, out = Array(np.full(OPERANDS // 2, 3, np.int16)), Array(np.zeros(16, np.int32))
    machine.run(spec, {"rounds": rounds, "source": source.address, "out": out.address})
    assert 2 * out.values.sum() == 9 * rounds * spec.operations(machine.isa)


def test_multiply_adds_are_computed_in_every_round(machine: Machine) -> None:
    spec, rounds = FusedRate(), 7
    source, out = Array(np.full(OPERANDS // 4, 2.0, np.float32)), Array(np.zeros(16, np.float32))
    machine.run(spec, {"rounds": rounds, "source": source.address, "out": out.address})
    assert 2 * out.values.sum() == 4 * rounds * spec.operations(machine.isa)
