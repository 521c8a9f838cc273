"""Weights into IQ1_S ... IQ4_XS: no worse than ggml's quantisers, the same bits everywhere, whatever the weights."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden_data import needed
from machine import Array, Machine

from llamachat.engine.backend import choose
from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.backend.cpu.kernels.codebook_encode import EncodeCodebook
from llamachat.engine.backend.cpu.kernels.codebook_plan import CODEBOOK_FORMATS
from llamachat.engine.quants import BLOCK_FORMATS
from llamachat.engine.quants.encoding import codes_of, encode
from llamachat.engine.quants.levels import Listed
from llamachat.engine.quants.neighbours import NEAR, neighbours

EVERY = pytest.mark.parametrize("name", CODEBOOK_FORMATS)
OF_EACH_SEARCH = ("IQ1_M", "IQ2_S", "IQ3_XXS", "IQ4_XS")
"""Ternary entries; free signs; signs whose number is even, over two lanes; levels, and integers below zero."""


@pytest.fixture(scope="module")
def best() -> Iterator[Machine]:
    """The best instruction set that this processor has."""
    machine = Machine(usable_isas()[0])
    yield machine
    machine.close()


def blocks(machine: Machine, name: str, rows: np.ndarray, counts: np.ndarray | None = None, threads: int = 1) -> bytes:
    """Rows [n, columns] of whole blocks as the kernel encodes them."""
    fmt, (n, columns) = BLOCK_FORMATS[name], rows.shape
    tables = [np.zeros(1, np.uint8)] * 2
    if not isinstance(codes_of(fmt).levels, Listed):
        tables = [neighbours(name).lists, neighbours(name).entries]
    importance = np.ones(columns, np.float32) if counts is None else counts.astype(np.float32)
    x, w, *given = (Array(np.ascontiguousarray(one)) for one in (rows.astype(np.float32), importance, *tables))
    out = Array(np.full(rows.size // fmt.block * fmt.layout.itemsize, 0x5A, np.uint8))
    places = {"x": x.address, "importance": w.address, "out": out.address}
    places |= {"lists": given[0].address, "words": given[1].address}
    machine.run(EncodeCodebook(name), {**places, "rows": n, "blocks": columns // fmt.block}, threads)
    assert all(one.intact() for one in (x, w, out, *given))
    return out.values.tobytes()


def decoded(name: str, data: bytes) -> np.ndarray:
    return BLOCK_FORMATS[name].decode(np.frombuffer(data, np.uint8))


def error(rows: np.ndarray, found: np.ndarray, counts: np.ndarray) -> float:
    """Relative, of columns that count so much."""
    x = rows.astype(np.float64)
    return float(np.sqrt((counts * (found.reshape(x.shape) - x) ** 2).sum() / (counts * x**2).sum()))


@EVERY
def test_errors_are_at_most_those_of_ggml(best: Machine, golden: Path, name: str) -> None:
    """All three matrices, with importances and, where ggml can do without, without."""
    reference = json.loads(needed(golden / "quantize" / "reference.json").read_text())["types"][name]
    with np.load(needed(golden / "quantize" / "matrices.npz")) as file:
        matrices = {key: file[key].astype(np.float32) for key in file.files}
    importance = matrices["imatrix"].astype(np.float64)
    for matrix, by_kind in reference.items():
        rows = matrices[matrix]
        for kind, errors in by_kind.items():
            is_plain = kind == "plain"
            found = decoded(name, blocks(best, name, rows, None if is_plain else importance, threads=2))
            wanted = errors["rms"] if is_plain else errors["weighted_rms"]
            assert error(rows, found, np.ones(1) if is_plain else importance) <= wanted, (matrix, kind)


@EVERY
def test_errors_are_not_larger_than_those_of_the_numpy_encoder(best: Machine, name: str) -> None:
    """Where large weights count more, errors that count all weights alike are a little larger."""
    rows = np.random.default_rng(1).standard_t(4, (1, 1024)).astype(np.float32)
    fmt = BLOCK_FORMATS[name]
    found, other = decoded(name, blocks(best, name, rows)), fmt.decode(encode(fmt, rows))
    assert error(rows, found, np.ones(1)) <= 1.04 * error(rows, other, np.ones(1))


@EVERY
def test_important_columns_have_smaller_errors(best: Machine, name: str) -> None:
    random = np.random.default_rng(2)
    rows = random.standard_normal((4, 512)).astype(np.float32)
    counts = np.where(np.arange(512) % 4 == 0, 20.0, 1.0)
    weighted, plain = (decoded(name, blocks(best, name, rows, one)) for one in (counts, None))
    assert error(rows, weighted, counts) < 0.99 * error(rows, plain, counts)


@pytest.mark.parametrize("name", OF_EACH_SEARCH)
def test_bits_are_the_same_on_every_instruction_set(machine: Machine, best: Machine, name: str) -> None:
    random = np.random.default_rng(3)
    rows, counts = random.standard_t(3, (3, 512)), random.lognormal(size=512)
    rows[1, 256:] *= 1e-4
    assert blocks(machine, name, rows, counts) == blocks(best, name, rows, counts)


@EVERY
def test_bits_do_not_depend_on_threads_or_other_rows(best: Machine, name: str) -> None:
    """Rows of one block, alone and among others."""
    random = np.random.default_rng(4)
    block = BLOCK_FORMATS[name].block
    rows, counts = random.standard_normal((5, block)), random.lognormal(size=block)
    whole = blocks(best, name, rows, counts)
    assert blocks(best, name, rows, counts, threads=3) == whole
    assert b"".join(blocks(best, name, row[None], counts) for row in rows) == whole


@EVERY
def test_the_device_encodes_with_this_kernel(best: Machine, name: str) -> None:
    random = np.random.default_rng(8)
    rows, counts = (random.standard_normal(shape).astype(np.float32) for shape in ((3, 512), 512))
    counts = np.exp(counts)
    counts /= counts.mean(dtype=np.float64)
    device = choose.quantiser(2)
    try:
        assert device.encode(BLOCK_FORMATS[name], rows).tobytes() == blocks(best, name, rows)
        found = device.encode(BLOCK_FORMATS[name], rows, counts).tobytes()
    finally:
        device.close()
    assert found == blocks(best, name, rows, counts)


@EVERY
def test_numbers_that_are_not_finite_are_encoded_as_finite_ones(best: Machine, name: str) -> None:
    rows = np.random.default_rng(5).standard_normal((6, 256)).astype(np.float32)
    alone = rows.copy()
    rows[0, 3], rows[1, 7], rows[2, 255], rows[3, 100], rows[4] = np.nan, np.inf, -np.inf, 3e38, np.nan
    alone[0, 3], alone[4] = 0, 0
    found = decoded(name, blocks(best, name, rows)).reshape(rows.shape)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[[0, 4, 5]], decoded(name, blocks(best, name, alone[[0, 4, 5]])).reshape(3, 256))
    assert found[1, 7] > 60000 * 0.9
    assert found[2, 255] < -60000 * 0.9


@EVERY
def test_zeros_and_numbers_too_small_for_a_scale_become_zeros(best: Machine, name: str) -> None:
    rows = np.zeros((3, 256))
    rows[1], rows[2] = 1e-12, 1e-30
    np.testing.assert_array_equal(decoded(name, blocks(best, name, rows)), 0)


@EVERY
def test_columns_of_no_importance_are_still_near(best: Machine, name: str) -> None:
    """Of a column that was never used nothing is known; all zero is as if nothing was given, and NaN is zero."""
    rows = np.random.default_rng(6).standard_normal((2, 256)).astype(np.float32)
    counts = np.where(np.arange(256) < 32, 0.0, 1.0)
    found = decoded(name, blocks(best, name, rows, counts)).reshape(rows.shape)
    assert error(rows[:, :32], found[:, :32], np.ones(1)) < 1
    assert blocks(best, name, rows, np.full(256, np.nan)) == blocks(best, name, rows, np.zeros(256))
    assert blocks(best, name, rows, np.zeros(256)) == blocks(best, name, rows)


@EVERY
def test_decoded_weights_are_encoded_to_nearly_themselves(best: Machine, name: str) -> None:
    rows = np.random.default_rng(7).standard_normal((2, 256)).astype(np.float32)
    once = decoded(name, blocks(best, name, rows)).reshape(rows.shape)
    again = decoded(name, blocks(best, name, once))
    assert error(once, again, np.ones(1)) < 0.35 * error(rows, once, np.ones(1))


@pytest.mark.parametrize("name", ["IQ2_S", "IQ3_XXS", "IQ1_S"])
def test_lists_of_neighbours_hold_the_nearest_entries(name: str) -> None:
    near = neighbours(name)
    levels = np.unique(near.entries).astype(int)
    n = near.entries.shape[1]
    for cell in (0, 17, len(near.lists) // 2, len(near.lists) - 1):
        centre = levels[cell // len(levels) ** np.arange(n)[::-1] % len(levels)]
        distances = ((near.entries.astype(int) - centre) ** 2).sum(axis=1)
        np.testing.assert_array_equal(distances[near.lists[cell]], np.sort(distances)[:NEAR])
