"""Kernels that work on rows, against NumPy: rotary positions, panels, sums, embeddings."""

import numpy as np
import pytest
from machine import Array, Machine, poisoned, rows_of
from test_product import random_blocks

from llamachat.engine.backend.cpu.kernels.activations import CopyPanels, Quantize, TakeRows
from llamachat.engine.backend.cpu.kernels.embed import Embed
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record, panel_bytes
from llamachat.engine.backend.cpu.kernels.rope import Rope, Temperature
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.quants import FORMATS

THREADS = [1, 2, 3]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


PARTS = ((32, 0), (16, 0), (16, 16))
"""The columns of a record of which it says the sums of pairs: how many from which on."""


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("order", ["adjacent", "halves"])
@pytest.mark.parametrize(("head_dim", "n_rot"), [(4, 4), (16, 8), (24, 24), (64, 64), (80, 20), (256, 256)])
def test_rope_turns_pairs(machine: Machine, head_dim: int, n_rot: int, order: str, threads: int) -> None:
    n, heads, n_past, half = 6, 3, 5, n_rot // 2
    x = Array(np.concatenate([normal(n, heads * head_dim), np.full((n, 8), np.nan, np.float32)], 1))
    before = x.values.copy()
    angles = np.random.default_rng(3).uniform(-7, 7, (n_past + n, half))
    table = Array(np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))
    arguments = {"x": x.address, "table": table.address, "heads": heads, "stride": 4 * x.values.shape[1]}
    positions = np.arange(n_past, n_past + n)
    rows = rows_of(0, np.zeros(n), positions)
    machine.run(Rope(head_dim, n_rot, order), arguments, threads, n_tokens=n, rows=rows.address)
    expected = before[:, : heads * head_dim].reshape(n, heads, head_dim).astype(np.float64)
    first, second = (
        (slice(0, n_rot, 2), slice(1, n_rot, 2)) if order == "adjacent" else (slice(half), slice(half, n_rot))
    )
    a, b = expected[..., first].copy(), expected[..., second].copy()
    cos, sin = table.values[n_past:, None].astype(np.float64).transpose(2, 0, 1, 3)
    expected[..., first], expected[..., second] = a * cos - b * sin, a * sin + b * cos
    found = x.values[:, : heads * head_dim].reshape(n, heads, head_dim)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_array_equal(found[..., n_rot:], expected[..., n_rot:])
    assert x.intact()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("width", [4, 48, 80])
def test_a_temperature_multiplies_rows_by_the_number_of_their_position(
    machine: Machine, width: int, threads: int
) -> None:
    n, padded = 7, -(-width // 16) * 16
    x = Array(np.concatenate([normal(n, padded), np.full((n, 16), np.nan, np.float32)], 1))
    table, positions = Array(normal(40, seed=1)), np.array([0, 39, 3, 4, 5, 17, 2])
    expected = (x.values * table.values[positions, None])[:, :width]
    rows = rows_of(0, np.zeros(n), positions)
    arguments = {"x": x.address, "table": table.address, "width": width, "stride": 4 * (padded + 16)}
    machine.run(Temperature(), arguments, threads, n_tokens=n, rows=rows.address)
    np.testing.assert_array_equal(x.values[:, :width], expected)
    assert np.isnan(x.values[:, padded:]).all()
    assert x.intact()


def prepare(machine: Machine, spec: Quantize | CopyPanels, x: np.ndarray, width: int, threads: int) -> np.ndarray:
    """The panels' bytes for rows of x, of which `width` values count."""
    source, panels = Array(x), Array(np.full(panel_bytes(width, len(x), spec.columns), 0xEE, np.uint8))
    arguments = {"x": source.address, "panels": panels.address, "width": width, "stride": x.strides[0]}
    machine.run(spec, {**arguments, "count": Step.offset("n_tokens")}, threads, n_tokens=len(x))
    assert panels.intact()
    return panels.values


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("n_tokens", [1, 7, 16])
def test_activations_are_rounded_to_127_steps(machine: Machine, n_tokens: int, threads: int) -> None:
    width, columns = 96, 1 if n_tokens == 1 else machine.isa.columns
    x = normal(n_tokens, 128, seed=4)
    x[0, 32:64] = 0
    x[-1, :32] *= 1e-20
    raw, record = prepare(machine, Quantize(columns), x, width, threads), Record(columns)
    for token in range(n_tokens):
        for group in range(width // GROUP):
            values = x[token, GROUP * group : GROUP * (group + 1)]
            at = raw[(token // columns * (width // GROUP) + group) * record.bytes :]
            column = token % columns
            quads = [at[record.code(quad, column) :][:4].view(np.int8) for quad in range(GROUP // 4)]
            codes = np.concatenate(quads).astype(np.int64)
            scale, total = (at[where(column) :][:4].view(np.float32)[0] for where in (record.scale, record.sum))
            pairs = [at[where:][:4].view(np.int16) for where in (record.sums(column, *part) for part in PARTS)]
            top = np.abs(values).max()
            assert scale == top * np.float32(1 / 127)
            assert np.abs(codes).max() == (127 if top > 0 else 0)
            assert np.abs(codes * np.float64(scale) - values).max() <= scale * 0.5001
            assert total == np.float32(codes.sum()) * scale
            for found, (n, first) in zip(pairs, PARTS, strict=True):
                fours = codes[first : first + n].reshape(-1, 4).sum(0)
                np.testing.assert_array_equal(found, [fours[:2].sum(), fours[2:].sum()])
            np.testing.assert_array_equal(
                at[record.halves(column) :][:4].view(np.int16), [codes[:16].sum(), codes[16:].sum()]
            )


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("n_tokens", [1, 7, 16])
def test_float_panels_are_columns_beside_each_other(machine: Machine, n_tokens: int, threads: int) -> None:
    width, columns = 40, 1 if n_tokens == 1 else machine.isa.columns
    x = normal(n_tokens, 48, seed=5)
    raw = prepare(machine, CopyPanels(columns), x, width, threads)
    n_panels = -(-n_tokens // columns)
    panels = raw[: 4 * n_panels * width * columns].view(np.float32).reshape(n_panels, width, columns)
    found = panels.transpose(0, 2, 1).reshape(-1, width)
    np.testing.assert_array_equal(found[:n_tokens], x[:, :width])


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("n_outputs", [1, 3, 7])
def test_the_last_rows_are_taken(machine: Machine, n_outputs: int, threads: int) -> None:
    x, y = Array(normal(7, 64)), poisoned(9, 64)
    counts = {"count": Step.offset("n_outputs"), "total": Step.offset("n_tokens")}
    arguments = {"x": x.address, "y": y.address, "stride": 256, **counts}
    machine.run(TakeRows(), arguments, threads, n_tokens=7, n_outputs=n_outputs)
    np.testing.assert_array_equal(y.values[:n_outputs], x.values[7 - n_outputs :])
    assert np.isnan(y.values[n_outputs:]).all()
    assert y.intact()


@pytest.mark.parametrize("factor", [1.0, float(np.sqrt(640))])
@pytest.mark.parametrize("name", FORMATS)
def test_embeddings_are_the_decoder_s_rows_times_the_factor(machine: Machine, name: str, factor: float) -> None:
    table = Array(random_blocks(name, 11, 512, np.random.default_rng(6)))
    expected = FORMATS[name].decode(table.values).reshape(11, 512)[TOKENS] * np.float32(factor)
    np.testing.assert_array_equal(embedded(machine, name, table, factor), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_embeddings_of_any_bytes_are_the_decoder_s(machine: Machine, name: str) -> None:
    """Also of scales that are infinite, no numbers, or not normalised."""
    fmt = FORMATS[name]
    data = np.random.default_rng(6).integers(0, 256, 11 * 512 // fmt.block * fmt.layout.itemsize, np.uint8)
    data[: fmt.layout.itemsize] = 255
    expected = fmt.decode(data).reshape(11, 512)[TOKENS]
    np.testing.assert_array_equal(embedded(machine, name, Array(data), 1.0), expected)


TOKENS = [10, 0, 3, 3, 7]


def embedded(machine: Machine, name: str, table: Array, factor: float) -> np.ndarray:
    """Rows TOKENS of 11 rows of 512 numbers, by the kernel."""
    fmt, n_rows, width = FORMATS[name], 11, 512
    tokens = Array(np.array(TOKENS, np.int32))
    y = poisoned(5, width + 8)
    arguments = {
        "table": table.address,
        "y": y.address,
        "row_bytes": table.values.nbytes // n_rows,
        "blocks": width // fmt.block,
        "stride": 4 * (width + 8),
        "factor": factor,
    }
    machine.run(Embed(name), arguments, 2, n_tokens=5, tokens=tokens.address)
    assert np.isnan(y.values[:, width:]).all()
    assert y.intact()
    return y.values[:, :width]
