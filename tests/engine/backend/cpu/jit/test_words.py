"""The words of every instruction set against NumPy: each means the same on all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

import llvmlite.ir as ir
import numpy as np
import pytest
from emulated import SETS, known_sets
from machine import Array, Machine, machines

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec, usable_isas
from llamachat.engine.backend.cpu.jit.isa.dots import Codes
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, I16, I32, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import ACTIVATIONS, exp

FUNCTIONS: dict[str, Callable[[Kernel, Generic, Vec], Vec]] = {"exp": exp, **ACTIVATIONS}
EDGES = [0.0, 1.0, 65504.0, 65519.99, 65520.0, 2.0**-14, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25, 3e38, 1e-40, 0.333, np.inf]


@pytest.fixture(scope="module", params=[*usable_isas(), *SETS])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine of one instruction set, also of those that are only emulated."""
    with known_sets():
        yield from machines(request.param)


@dataclass(frozen=True)
class Dot4(KernelSpec):
    bits: int
    arguments: ClassVar = ("acc", "unsigned", "signed", "out", "n")

    def emit(self, k: Kernel, isa: Generic) -> None:
        size, codes = 4 * isa.rows, lanes(I8, 4 * isa.rows)
        with k.loop(0, k.args.n * size, size) as at:
            u, s = (k.pointer(name)[at].load(codes, 4) for name in ("unsigned", "signed"))
            acc = k.pointer("acc")[at].load(lanes(I32, isa.rows), 4)
            k.pointer("out")[at].store(isa.dot4(k, acc, u, s, self.bits), 4)


QUADS = 8
TABLES = {
    "small": [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12],
    "wide": [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
}
SPREAD = [
    Codes(bits, bias) for bits, bias in ((1, 0), (2, -1), (3, -4), (4, 0), (4, -8), (5, 0), (5, -16), (6, 0), (6, -32))
]
CODES = [*SPREAD, Codes(7, 0), Codes(7, -64), Codes(8, 0), Codes(8, -128), Codes(8, signed=True)]


@dataclass(frozen=True)
class Dots(KernelSpec):
    """Sums of `fours` times four products, n of them: out = sum, scaled = sum * byte `n % 4` of scale."""

    codes: Codes
    fours: int
    table: str = ""
    signed_scale: bool = False
    arguments: ClassVar = ("codes", "x", "sums", "scale", "out", "scaled", "n")

    def emit(self, k: Kernel, isa: Generic) -> None:
        size, kind = 4 * isa.rows, lanes(I8, 4 * isa.rows)
        codes, table = isa.table_codes(TABLES[self.table]) if self.table else (self.codes, [])
        with k.loop(0, k.args.n) as i:
            sums = k.pointer("sums")[i * 4].load(I32, 4)
            dot = isa.dot(k, codes, self.fours, sums)
            for four in range(self.fours):
                at = (i * self.fours + four) * size
                code = k.pointer("codes")[at].load(kind, 4)
                if table:
                    code = isa.lookup_low(k, code, table)
                dot.add(code, k.pointer("x")[(i * self.fours + four) * 4].load(I32, 4).splat(isa.rows))
            scales = isa.scales(
                k, k.pointer("scale")[i * size].load(lanes(I32, isa.rows), 4), 1, signed=self.signed_scale
            )
            k.pointer("out")[i * size].store(dot.value(), 4)
            k.pointer("scaled")[i * size].store(dot.scaled(scales), 4)


@dataclass(frozen=True)
class Bytes(KernelSpec):
    """Every byte of dwords, unsigned and signed, then every pair of neighbours."""

    arguments: ClassVar = ("dwords", "out")

    def emit(self, k: Kernel, isa: Generic) -> None:
        dwords = k.pointer("dwords").load(lanes(I32, isa.rows), 4)
        for i in range(8):
            k.pointer("out")[4 * isa.rows * i].store(isa.byte(k, dwords, i % 4, signed=i >= 4), 4)
        for i in range(3):
            k.pointer("out")[4 * isa.rows * (8 + i)].store(isa.byte_pair(k, dwords, i), 4)


@dataclass(frozen=True)
class Map(KernelSpec):
    """out = word(inputs), a register at a time."""

    word: str
    arguments: ClassVar = ("a", "b", "c", "out", "n")

    def emit(self, k: Kernel, isa: Generic) -> None:
        kinds = {name: lanes(I16 if self.word == "widen_half" else F32, isa.rows) for name in "abc"}
        with k.loop(0, k.args.n, isa.rows) as i:
            a, b, c = (
                k.pointer(name)[i * (2 if self.word == "widen_half" else 4)].load(kinds[name], 1) for name in "abc"
            )
            at = k.pointer("out")[i * (2 if self.word == "narrow_half" else 4)]
            if self.word in FUNCTIONS:
                at.store(FUNCTIONS[self.word](k, isa, a), 1)
            elif self.word == "fma":
                at.store(isa.fma(k, a, b, c), 1)
            else:
                at.store(getattr(isa, self.word)(k, a), 1)


def mapped(machine: Machine, word: str, out: type, a: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """The word applied to arrays, padded to whole registers."""
    padded = [np.resize(values, -(-a.size // 16) * 16) for values in (a, *others)]
    arrays = [Array(values) for values in (padded * 3)[:3]]
    result = Array(np.full(padded[0].size, 77, out))
    addresses = {name: array.address for name, array in zip("abc", arrays, strict=True)}
    machine.run(Map(word), {**addresses, "out": result.address, "n": padded[0].size})
    assert result.intact()
    return result.values[: a.size]


def floats(seed: int, n: int = 4096) -> np.ndarray:
    """Float32 of every size, and edges of both signs."""
    rng = np.random.default_rng(seed)
    random = rng.integers(0, 2**32, n, dtype=np.uint32).view(np.float32)
    near = (rng.standard_normal(n) * 10.0 ** rng.uniform(-9, 6, n)).astype(np.float32)
    edges = np.array(EDGES, np.float32)
    return np.concatenate([random[np.isfinite(random)], near, edges, -edges])


def ulps(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units of the last place of float32."""
    return float((np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)).max())


@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8])
def test_dot4_is_exact_up_to_the_extremes(machine: Machine, bits: int) -> None:
    rng, n, top = np.random.default_rng(bits), 64, (1 << bits) - 1
    shape = (n, machine.isa.rows, 4)
    unsigned = rng.integers(0, top + 1, shape, dtype=np.uint8)
    signed = rng.integers(-128, 128, shape).astype(np.int8)
    unsigned[:16], signed[:8], signed[8:16] = top, 127, -128
    acc = rng.integers(-(2**20), 2**20, shape[:2], dtype=np.int32)
    arrays = {"acc": Array(acc), "unsigned": Array(unsigned), "signed": Array(signed), "out": Array(np.zeros_like(acc))}
    machine.run(Dot4(bits), {**{name: array.address for name, array in arrays.items()}, "n": n})
    expected = acc + (unsigned.astype(np.int32) * signed).sum(-1)
    np.testing.assert_array_equal(arrays["out"].values, expected)


def dots(machine: Machine, spec: Dots, codes: np.ndarray, weights: np.ndarray) -> None:
    """Runs it with x from -127 to 127, the extremes among them, and compares both results."""
    n, rng = len(codes), np.random.default_rng(spec.fours)
    x = rng.integers(-127, 128, (n, spec.fours, 4)).astype(np.int8)
    x[:4], x[4:8] = 127, -127
    pairs = x.reshape(n, spec.fours, 2, 2).sum((1, 3), dtype=np.int16)
    scale = rng.integers(0, 256, (n, machine.isa.rows, 4)).astype(np.uint8)
    scale[:2], scale[2:4] = 128, 255
    factor = scale[..., 1].view(np.int8) if spec.signed_scale else scale[..., 1]
    wanted = np.einsum("nfrb,nfb->nr", weights.astype(np.int32), x.astype(np.int32))
    found = [Array(np.full_like(wanted, 77)) for _ in range(2)]
    named = {"codes": codes, "x": x, "sums": pairs, "scale": scale}
    arrays = {name: Array(values) for name, values in named.items()} | {"out": found[0], "scaled": found[1]}
    machine.run(spec, {**{name: array.address for name, array in arrays.items()}, "n": n})
    np.testing.assert_array_equal(found[0].values, wanted)
    np.testing.assert_array_equal(found[1].values, wanted * factor)


@pytest.mark.parametrize("fours", [4, 8, 16])
@pytest.mark.parametrize("codes", CODES, ids=str)
def test_sums_of_codes_are_exact_up_to_the_extremes(machine: Machine, codes: Codes, fours: int) -> None:
    rng, top = np.random.default_rng(codes.bits), (1 << codes.bits) - 1
    given = rng.integers(0, top + 1, (32, fours, machine.isa.rows, 4)).astype(np.uint8)
    given[0], given[1], given[4], given[5] = 0, top, 0, top
    if codes.signed:
        given[0], given[1], given[4], given[5] = 128, 127, 128, 127
    weights = given.view(np.int8) if codes.signed else given.astype(np.int32) + codes.bias
    dots(machine, Dots(codes, fours, signed_scale=codes.bias < 0), given, weights)


@pytest.mark.parametrize("codes", SPREAD, ids=str)
def test_codes_may_stay_in_the_upper_half_of_a_byte(machine: Machine, codes: Codes) -> None:
    if not machine.isa.codes_may_stay:
        pytest.skip(f"{machine.isa.name} shifts codes down")
    rng, shift = np.random.default_rng(codes.bits), 8 - codes.bits
    given = rng.integers(0, 1 << codes.bits, (32, 8, machine.isa.rows, 4)).astype(np.uint8)
    given[:2], given[2:4] = (1 << codes.bits) - 1, 0
    dots(machine, Dots(replace(codes, shift=shift), 8), given << shift, given.astype(np.int32) + codes.bias)


@pytest.mark.parametrize("fours", [4, 8])
@pytest.mark.parametrize("codes", [Codes(2), Codes(2, -1), Codes(3, -4)], ids=str)
def test_codes_stay_where_the_instruction_set_says(machine: Machine, codes: Codes, fours: int) -> None:
    """Also where sums of pairs have 16 bits."""
    rng = np.random.default_rng(fours)
    given = rng.integers(0, 1 << codes.bits, (32, fours, machine.isa.rows, 4)).astype(np.uint8)
    given[:2], given[2:4], given[4], given[5] = (1 << codes.bits) - 1, 0, (1 << codes.bits) - 1, 0
    for bit in range(9 - codes.bits):
        shift = machine.isa.best_shift(codes, bit, fours)
        assert 0 <= shift <= bit
        if shift:
            moved, weights = given << np.uint8(shift), given.astype(np.int32) + codes.bias
            dots(machine, Dots(replace(codes, shift=shift), fours), moved, weights)


@pytest.mark.parametrize("table", TABLES)
def test_sums_of_entries_of_a_table_are_exact(machine: Machine, table: str) -> None:
    given = np.random.default_rng(2).integers(0, 256, (64, 8, machine.isa.rows, 4)).astype(np.uint8)
    weights = np.array(TABLES[table])[given & 15]
    dots(machine, Dots(Codes(4), 8, table, signed_scale=True), given, weights)


def test_a_bias_needs_the_sums_of_x(machine: Machine) -> None:
    with pytest.raises(ValueError, match="needs the sums of x"):
        machine.isa.dot(Kernel(ir.Module(), "f", ()), Codes(4, -8), 8)


def test_bytes_of_dwords_are_numbers(machine: Machine) -> None:
    dwords = np.random.default_rng(1).integers(0, 256, (machine.isa.rows, 4)).astype(np.uint8)
    given, out = Array(dwords), Array(np.zeros((11, machine.isa.rows), np.int32))
    machine.run(Bytes(), {"dwords": given.address, "out": out.address})
    pairs = (dwords[:, :3].astype(np.int32) | dwords[:, 1:].astype(np.int32) << 16).T
    np.testing.assert_array_equal(out.values, np.concatenate([dwords.T, dwords.view(np.int8).T, pairs]))


def nearest_float32(exact: Fraction) -> np.float32:
    """The float32 nearest to a number; float(exact) alone would round twice."""
    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    return min(around, key=lambda x: (abs(Fraction(float(x)) - exact), int(x.view(np.uint32)) & 1))


def test_fma_rounds_once_on_every_instruction_set(machine: Machine) -> None:
    rng = np.random.default_rng(1)
    a, b, c = (rng.standard_normal(600).astype(np.float32) for _ in range(3))
    # Products halfway between two float32, and an addend far below: rounding through float64 goes astray.
    a[:300] = 1 + np.float32(2**-12) * rng.integers(0, 2**11, 300)
    b[:300] = 1 + np.float32(2**-12)
    c[:300] = np.float32(2**-70) * rng.choice([-1, 1], 300)
    expected = [
        nearest_float32(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)))
        for x, y, z in zip(a, b, c, strict=True)
    ]
    np.testing.assert_array_equal(mapped(machine, "fma", np.float32, a, b, c), np.array(expected))


def test_widen_half_knows_all_65536_patterns(machine: Machine) -> None:
    patterns = np.arange(65536, dtype=np.uint16)
    found, exact = mapped(machine, "widen_half", np.float32, patterns), patterns.view(np.float16).astype(np.float32)
    numbers = ~np.isnan(exact)
    np.testing.assert_array_equal(found.view(np.uint32)[numbers], exact.view(np.uint32)[numbers])
    assert np.isnan(found[~numbers]).all()


def test_narrow_half_rounds_to_nearest_even(machine: Machine) -> None:
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    middles = ((halves[1:] + halves[:-1]) / 2).astype(np.float32)
    x = np.concatenate([floats(7), middles, -middles, np.nextafter(middles, 0), np.nextafter(middles, np.float32(1e9))])
    with np.errstate(over="ignore"):
        exact = x.astype(np.float16)
    np.testing.assert_array_equal(mapped(machine, "narrow_half", np.uint16, x), exact.view(np.uint16))


def test_narrow_half_keeps_what_is_not_a_number(machine: Machine) -> None:
    x = np.array([np.nan, -np.nan], np.float32)
    assert np.isnan(mapped(machine, "narrow_half", np.uint16, x).view(np.float16)).all()


def test_exp_is_exact_to_two_units(machine: Machine) -> None:
    x = np.concatenate([np.linspace(-87, 88, 100_001), np.linspace(-1, 1, 100_001)]).astype(np.float32)
    assert ulps(mapped(machine, "exp", np.float32, x), np.exp(x.astype(np.float64))) <= 2


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        pytest.param(0.0, 1.0, id="one at zero"),
        pytest.param(-0.0, 1.0, id="one at minus zero"),
        pytest.param(-1e30, 0.0, id="zero for masked scores"),
        pytest.param(-87.1, 0.0, id="zero below the smallest"),
        pytest.param(-np.inf, 0.0, id="zero at minus infinity"),
    ],
)
def test_exp_is_exactly(machine: Machine, x: float, expected: float) -> None:
    found = mapped(machine, "exp", np.float32, np.full(16, x, np.float32))
    np.testing.assert_array_equal(found, np.float32(expected))


def test_exp_of_the_large_stays_finite(machine: Machine) -> None:
    found = mapped(machine, "exp", np.float32, np.array([88.0, 1000.0, 1e30, np.inf] * 4, np.float32))
    assert np.isfinite(found).all()
    assert (found > 1e38).all()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


@pytest.mark.parametrize("name", ["silu", "gelu"])
def test_activations_are_close_to_exact(machine: Machine, name: str) -> None:
    x = np.concatenate([np.linspace(-12, 30, 100_001), floats(3)[:4000] % 7]).astype(np.float32)
    exact = x.astype(np.float64)
    gate = exact if name == "silu" else 2 * np.sqrt(2 / np.pi) * (exact + 0.044715 * exact**3)
    expected = exact * sigmoid(gate)
    found = mapped(machine, name, np.float32, x)
    assert np.abs(found - expected).max() <= 1e-6 * 30
    near = x > -1
    assert ulps(found[near & (x != 0)], expected[near & (x != 0)]) <= 4


@pytest.mark.parametrize("name", ["silu", "gelu"])
def test_activations_of_the_extreme_are_the_limits(machine: Machine, name: str) -> None:
    x = np.array([0.0, -200.0, -1e6, 200.0, 1e6] * 4, np.float32)
    expected = np.where(x > 0, x, 0.0)
    np.testing.assert_allclose(mapped(machine, name, np.float32, x), expected, atol=1e-30)
