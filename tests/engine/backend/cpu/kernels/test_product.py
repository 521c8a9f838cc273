"""Products, packing and quantised activations against float64 NumPy, for every format and instruction set."""

import numpy as np
import pytest
from machine import Array, Machine, poisoned

from llamachat.engine.backend.cpu.kernels.activations import CopyPanels, Quantize
from llamachat.engine.backend.cpu.kernels.float_product import FloatProduct
from llamachat.engine.backend.cpu.kernels.functions import FUSED
from llamachat.engine.backend.cpu.kernels.many_columns import scratch_bytes
from llamachat.engine.backend.cpu.kernels.packing import Pack, PackFloats
from llamachat.engine.backend.cpu.kernels.panel import panel_bytes
from llamachat.engine.backend.cpu.kernels.product import Product
from llamachat.engine.backend.cpu.kernels.rows import MODES, ROWS, whole_rows
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.quants import BLOCK_FORMATS, FORMATS, STORED
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.reference.elementwise import ACTIVATIONS

# Formats that differ in more than their bits: each kind of codes, scales and floats once.
EVERY_KIND = (
    *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q2_K", "Q4_K", "Q6_K"),
    *("IQ2_XS", "IQ1_M", "IQ4_NL", "TQ2_0", "NVFP4", "Q1_0"),
)
SHAPES = [
    pytest.param(1, 256, 1, id="one row, one token"),
    pytest.param(37, 512, 3, id="rows that fill no tile"),
    pytest.param(96, 768, 13, id="more tokens than a panel"),
]


def random_blocks(name: str, n_rows: int, n_columns: int, rng: np.random.Generator) -> np.ndarray:
    """Raw bytes of a matrix with small finite weights."""
    fmt = FORMATS[name]
    if not isinstance(fmt, BlockFormat):
        return fmt.encode(rng.standard_normal((n_rows, n_columns)).astype(np.float32)).view(np.uint8).ravel()
    data = rng.integers(0, 256, (n_rows * n_columns // fmt.block, fmt.layout.itemsize), dtype=np.uint8)
    blocks = data.view(fmt.layout)
    for field in ("d", "m", "dmin"):
        if field in fmt.layout.names:
            part = blocks[field]
            small = part.dtype.kind == "u"  # NVFP4: bytes, of which 0x7f is zero
            part[...] = rng.integers(0, 128, part.shape) if small else (rng.random(part.shape) - 0.5) * 0.02
    if name == "MXFP4":
        blocks["e"] = rng.integers(115, 125, blocks["e"].shape)
    if name == "IQ1_M":  # the upper nibbles of four words are a float16
        halves = ((rng.random(len(data)) - 0.5) * 0.02).astype(np.float16).view(np.uint16)
        for word in range(4):
            blocks["scales"][:, 0, word] = blocks["scales"][:, 0, word] & 0xFFF | (halves >> 4 * word & 15) << 12
    return data.ravel()


class Packed:
    """A random matrix, its exact values and its tiles."""

    def __init__(
        self,
        machine: Machine,
        name: str,
        n_rows: int,
        n_columns: int,
        rng: np.random.Generator,
        blocks: np.ndarray | None = None,
    ) -> None:
        fmt = FORMATS[name]
        self.name, self.n_rows, self.n_columns = name, n_rows, n_columns
        raw = Array(random_blocks(name, n_rows, n_columns, rng) if blocks is None else blocks)
        self.exact = fmt.decode(raw.values).reshape(n_rows, n_columns).astype(np.float64)
        self.padded = whole_rows(n_rows)
        self.units, self.blocks = self.padded // ROWS, n_columns // fmt.block
        self.quantised = isinstance(fmt, BlockFormat)
        stored = STORED[name].format if self.quantised else fmt
        self.tiles = Array(np.full(self.padded * self.blocks * stored.layout.itemsize, 0xA5, np.uint8))
        spec = Pack(name) if self.quantised else PackFloats(fmt.layout.itemsize)
        arguments = {"source": raw.address, "tiles": self.tiles.address, "rows": n_rows}
        machine.run(spec, {**arguments, "blocks": self.blocks, "units": self.units}, threads=2)
        assert self.tiles.intact()


def multiply(
    machine: Machine,
    packed: Packed,
    x: np.ndarray,
    columns: int,
    threads: int = 1,
    direct: bool = False,
    **extra: int | float,
) -> np.ndarray:
    """y [n_tokens, n_rows] by the kernels: panels, then the product."""
    n_tokens = len(x)
    source, count = Array(x), Step.offset("n_tokens")
    panels = Array(np.zeros(panel_bytes(packed.n_columns, n_tokens, columns), np.uint8))
    prepare = Quantize(columns) if packed.quantised else CopyPanels(columns)
    layout = {"count": count, "width": packed.n_columns, "stride": 4 * packed.n_columns}
    machine.run(prepare, {"x": source.address, "panels": panels.address, **layout}, threads, n_tokens=n_tokens)
    assert panels.intact()
    padded = -(-n_tokens // columns) * columns
    y = poisoned(padded, packed.padded)
    room = scratch_bytes(packed.name, packed.n_columns) if packed.quantised else 0
    scratch = Array(np.zeros(room * threads, np.uint8))
    arguments = {
        "tiles": packed.tiles.address,
        "x": panels.address,
        "y": y.address,
        "bias": 0,
        "other": 0,
        "mode": 0,
        "scale": 1.0,
        "factor": 1.0,
        "count": count,
        "units": packed.units,
        "blocks": packed.blocks,
        "stride": 4 * packed.padded,
        "scratch": scratch.address,
        "room": room,
    }
    arguments.update(extra)
    direct = direct or columns == 1
    kernel = Product(packed.name, columns, direct) if packed.quantised else FloatProduct(packed.name, columns)
    machine.run(kernel, arguments, threads, n_tokens=n_tokens)
    assert y.intact()
    assert scratch.intact()
    return y.values[:n_tokens, : packed.n_rows]


def rounded(x: np.ndarray, quantised: bool) -> np.ndarray:
    """The activations that the product sees, in float64."""
    if not quantised:
        return x.astype(np.float64)
    groups = x.reshape(len(x), -1, 32)
    top = np.abs(groups).max(-1, keepdims=True)
    codes = np.rint(groups * np.divide(np.float32(127), top, out=np.zeros_like(top), where=top > 0))
    return (codes.astype(np.float64) * (top * np.float32(1 / 127))).reshape(x.shape)


def relative_error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(found - exact).max() / np.abs(exact).max())


@pytest.mark.parametrize(("n_rows", "n_columns", "n_tokens"), SHAPES)
@pytest.mark.parametrize("name", EVERY_KIND)
def test_a_product_equals_numpy(machine: Machine, name: str, n_rows: int, n_columns: int, n_tokens: int) -> None:
    rng = np.random.default_rng(n_rows)
    packed = Packed(machine, name, n_rows, n_columns, rng)
    x = rng.standard_normal((n_tokens, n_columns)).astype(np.float32)
    exact = rounded(x, packed.quantised) @ packed.exact.T
    columns = 1 if n_tokens == 1 else machine.isa.columns
    assert relative_error(multiply(machine, packed, x, columns), exact) < 1e-5


@pytest.mark.parametrize("name", FORMATS)
def test_one_column_and_many_give_numpy_s_values_and_the_same_bits(machine: Machine, name: str) -> None:
    rng = np.random.default_rng(1)
    packed = Packed(machine, name, 70, 512, rng)
    x = rng.standard_normal((70, 512)).astype(np.float32)
    many = multiply(machine, packed, x, machine.isa.columns, threads=2)
    assert relative_error(many, rounded(x, packed.quantised) @ packed.exact.T) < 1e-5
    single = np.concatenate([multiply(machine, packed, row[None], 1, direct=True) for row in x[:7]])
    np.testing.assert_array_equal(many[:7], single)
    for n_tokens in (1, 2, 5, 31, 69):
        np.testing.assert_array_equal(multiply(machine, packed, x[:n_tokens], machine.isa.columns), many[:n_tokens])


@pytest.mark.parametrize("name", BLOCK_FORMATS)
def test_scales_of_any_kind(machine: Machine, name: str) -> None:
    """Bytes at random: scales are zero, denormal, infinite, and no numbers; a row of one block."""
    fmt, rng = FORMATS[name], np.random.default_rng(11)
    n_columns = fmt.block
    raw = rng.integers(0, 256, (96, fmt.layout.itemsize), np.uint8)
    raw[:8] = 0
    with np.errstate(all="ignore"):
        packed = Packed(machine, name, 96, n_columns, rng, raw.ravel())
        x = rng.standard_normal((1, n_columns)).astype(np.float32)
        products = rounded(x, True) * packed.exact
        exact, room = products.sum(axis=1), 1e-5 * np.abs(products).sum(axis=1) + 1e-44
        found = multiply(machine, packed, x, 1, direct=True)[0]
        many = multiply(machine, packed, np.repeat(x, 3, axis=0), machine.isa.columns)
    np.testing.assert_array_equal(many, np.tile(found, (3, 1)))
    finite = np.isfinite(exact) & (np.abs(exact) < 1e38)
    assert finite[:8].all()
    assert (np.abs(found - exact)[finite] <= room[finite]).all()
    assert not np.isfinite(found[~np.isfinite(exact)]).any()


@pytest.mark.parametrize("columns", [2, 4, None], ids=["2", "4", "as-many-as-prompts"])
@pytest.mark.parametrize("name", EVERY_KIND)
def test_unpacking_in_registers_changes_no_bit(machine: Machine, name: str, columns: int | None) -> None:
    """For the numbers of columns that programs have."""
    columns = columns or machine.isa.columns
    rng = np.random.default_rng(9)
    packed = Packed(machine, name, 40, 256, rng)
    x = rng.standard_normal((5, 256)).astype(np.float32)
    found = multiply(machine, packed, x, columns, threads=2, direct=True)
    np.testing.assert_array_equal(found, multiply(machine, packed, x, machine.isa.columns))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_no_bit(machine: Machine, threads: int) -> None:
    rng = np.random.default_rng(2)
    packed = Packed(machine, "Q4_K", 200, 256, rng)
    x = rng.standard_normal((9, 256)).astype(np.float32)
    expected = multiply(machine, packed, x, machine.isa.columns)
    np.testing.assert_array_equal(multiply(machine, packed, x, machine.isa.columns, threads), expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_tokens", [1, 5])
def test_bias_residual_and_gate_come_last(machine: Machine, mode: str, n_tokens: int) -> None:
    rng = np.random.default_rng(3)
    width = 576  # more than a stretch: y is complete only after the last one
    packed = Packed(machine, "Q8_0", 48, width, rng)
    x = rng.standard_normal((n_tokens, width)).astype(np.float32)
    columns = 1 if n_tokens == 1 else machine.isa.columns
    bias = Array(np.zeros(packed.padded, np.float32))
    bias.values[:48] = rng.standard_normal(48)
    other = Array(rng.standard_normal((-(-n_tokens // columns) * columns, packed.padded)).astype(np.float32))
    constants = {"scale": 0.75, "factor": -1.5} if n_tokens == 5 else {}
    extra = {"bias": bias.address, "other": other.address, "mode": MODES[mode]}
    found = multiply(machine, packed, x, columns, **extra, **constants)
    scale, factor = constants.get("scale", 1), constants.get("factor", 1)
    exact = (rounded(x, True) @ packed.exact.T * scale + bias.values[:48]) * factor
    beside = other.values[:n_tokens, :48].astype(np.float64)
    expected = ACTIVATIONS[mode](beside) * exact if mode in FUSED else exact + beside * (mode == "residual")
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("name", ["F32", "Q4_K"])
def test_a_scale_needs_a_bias_which_may_be_zeros(machine: Machine, name: str) -> None:
    packed = Packed(machine, name, 40, 256, np.random.default_rng(3))
    x = np.random.default_rng(4).standard_normal((5, 256)).astype(np.float32)
    zeros, columns = Array(np.zeros(packed.padded, np.float32)), machine.isa.columns
    plain = multiply(machine, packed, x, columns)
    found = multiply(machine, packed, x, columns, bias=zeros.address, scale=0.3, factor=7.0)
    np.testing.assert_array_equal(found, plain * np.float32(0.3) * np.float32(7))
    np.testing.assert_array_equal(multiply(machine, packed, x, columns, bias=zeros.address), plain)
    np.testing.assert_array_equal(multiply(machine, packed, x, columns, scale=0.3, factor=7.0), plain)


@pytest.mark.parametrize(
    ("name", "code"),
    [("Q8_0", 127), ("Q8_0", 128), ("Q6_K", 255), ("Q6_K", 0), ("Q5_K", 255), ("Q5_0", 255), ("Q5_0", 0), ("Q4_0", 0)],
)
def test_extreme_codes_do_not_overflow(machine: Machine, name: str, code: int) -> None:
    """Codes of one byte against activations of one sign: 16-bit sums of pairs would overflow, with the bias or without.

    The bytes' codes are the largest or, with the bias, the smallest ones.
    """
    fmt, rng = FORMATS[name], np.random.default_rng(4)
    packed = Packed(machine, name, 16, 256, rng)
    raw = random_blocks(name, 16, 256, rng).reshape(-1, fmt.layout.itemsize)
    for field in fmt.layout.names:
        if field not in ("d", "dmin"):
            raw.view(fmt.layout)[field].view(np.uint8)[...] = 127 if field == "scales" else code
    source = Array(raw.ravel())
    arguments = {"source": source.address, "tiles": packed.tiles.address, "rows": 16}
    machine.run(Pack(name), {**arguments, "blocks": packed.blocks, "units": packed.units})
    packed.exact = fmt.decode(source.values).reshape(16, 256).astype(np.float64)
    for sign in (1, -1):
        x = np.full((2, 256), sign * 3.0, np.float32)
        found = multiply(machine, packed, x, machine.isa.columns)
        assert relative_error(found, rounded(x, True) @ packed.exact.T) < 1e-5


def test_activations_of_zero_give_zero(machine: Machine) -> None:
    packed = Packed(machine, "Q4_1", 32, 64, np.random.default_rng(5))
    found = multiply(machine, packed, np.zeros((1, 64), np.float32), 1)
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("columns", [1, 4])
def test_an_activation_that_is_not_finite_is_never_lost(machine: Machine, columns: int, wrong: float) -> None:
    rng = np.random.default_rng(6)
    packed = Packed(machine, "Q8_0", 32, 64, rng)
    x = rng.standard_normal((columns, 64)).astype(np.float32)
    x[0, 37] = wrong
    found = multiply(machine, packed, x, columns, direct=True)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1:]).all()
