"""Rows of the cache: values lie as in the file formats of the same name, keys come back as they were stored."""

import numpy as np
import pytest
from cache_rows import rounded
from machine import Array, Machine, poisoned, rows_of

from llamachat.engine.backend.cpu.kernels.cache import LoadKeys, StoreKeys, StoreValues
from llamachat.engine.backend.cpu.kernels.cache_formats import CACHE_FORMATS, CHUNK
from llamachat.engine.quants import FORMATS

HEADS, DIM, N = 3, 64, 20
TYPES = [*CACHE_FORMATS]
ONE_CHUNK = {"n_head_kv": HEADS, "chunk_bytes": 0, "n_chunks": 1}


def normal(n: int) -> np.ndarray:
    """Rows of numbers, some of them special: a block of zeros, one of equals, one large number."""
    x = np.random.default_rng(n).standard_normal((n, HEADS * DIM)).astype(np.float32)
    x[0, :32], x[1, 32:64], x[2, 5] = 0, -1.5, 1000
    return x


def store(
    machine: Machine, spec: StoreValues, x: np.ndarray, cells: np.ndarray, threads: int
) -> tuple[Array, np.ndarray]:
    """The cache after storing rows of x in cells, and its bytes as [head, cell, row] as they lie."""
    row = CACHE_FORMATS[spec.cache_type].row_bytes(DIM)
    cache, source = Array(np.full(HEADS * CHUNK * row, 0xEE, np.uint8)), Array(x)
    rows = rows_of(cache.address, cells, cells)
    arguments = {"x": source.address, "at": 0, "stride": x.strides[0], **ONE_CHUNK}
    machine.run(spec, arguments, threads, n_tokens=len(x), rows=rows.address)
    assert cache.intact()
    return cache, cache.values.reshape(HEADS, CHUNK, row)


def by_cell(name: str, chunk: np.ndarray) -> np.ndarray:
    """Values of a chunk, uint8 [bytes], as rows in the file's format: uint8 [CHUNK, row]."""
    fields = []
    for field in CACHE_FORMATS[name].value_fields(DIM):
        shape = (field.blocks, CHUNK // 4, field.units, 4, field.size)
        inner = (field.units * 4 * field.size, 4 * field.size, field.size, 1)
        lies = np.ndarray(shape, np.uint8, np.ascontiguousarray(chunk), field.at, (field.stride, *inner))
        cells = lies[:, :, :, list(field.order)].transpose(1, 3, 0, 2, 4)
        fields.append(cells.reshape(CHUNK, field.blocks, -1))
    if name == "q8_0":
        fields[-1] = fields[-1] ^ 0x80
    if name.startswith("q5"):
        # Bit m of byte i belongs to dimension 4 m + i; in a file it is bit 4 m + i of the dword.
        bits = np.unpackbits(fields[-2], axis=-1, bitorder="little").reshape(CHUNK, -1, 4, 8)
        fields[-2] = np.packbits(bits.swapaxes(-1, -2).reshape(CHUNK, -1, 32), axis=-1, bitorder="little")
    return np.concatenate(fields, -1).reshape(CHUNK, -1)


@pytest.mark.parametrize("name", TYPES)
def test_a_number_that_is_none_is_never_lost(machine: Machine, name: str) -> None:
    """Wherever it stands in a block, also beside infinite numbers."""
    x = np.random.default_rng(4).standard_normal((DIM, HEADS * DIM)).astype(np.float32)
    np.fill_diagonal(x, np.nan)
    x[: DIM // 2, DIM // 2 - 1] = np.where(np.arange(DIM // 2) == DIM // 2 - 1, np.nan, np.inf)
    cells = np.arange(DIM)
    cache, _ = store(machine, StoreKeys(DIM, name), x, cells, 1)
    y, rows = Array(np.zeros((DIM, HEADS * DIM), np.float32)), rows_of(cache.address, cells, cells, cells)
    arguments = {"x": y.address, "at": 0, "stride": y.values.strides[0], **ONE_CHUNK}
    machine.run(LoadKeys(DIM, name), arguments, 1, n_tokens=DIM, rows=rows.address)
    assert np.isnan(np.diagonal(y.values)).all()
    _, lying = store(machine, StoreValues(DIM, name), x, cells, 1)
    fmt = FORMATS[name.upper()]
    values = fmt.decode(np.ascontiguousarray(by_cell(name, lying[0])[:DIM]).ravel()).reshape(DIM, DIM)
    assert np.isnan(np.diagonal(values)).all()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", TYPES)
def test_values_of_a_cell_are_those_of_the_file_s_format(machine: Machine, name: str, threads: int) -> None:
    x, cells = normal(N), np.random.default_rng(1).permutation(CHUNK)[:N]
    _, lying = store(machine, StoreValues(DIM, name), x, cells, threads)
    expected = rounded(name, x).reshape(N, HEADS, DIM)
    for head in range(HEADS):
        rows, blank = by_cell(name, lying[head].ravel()), by_cell(name, np.full(lying[head].size, 0xEE, np.uint8))
        np.testing.assert_array_equal(np.delete(rows, cells, 0), np.delete(blank, cells, 0))
        if name.upper() in FORMATS:
            found = FORMATS[name.upper()].decode(rows[cells].ravel()).reshape(N, DIM)
            np.testing.assert_allclose(found, expected[:, head], rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", TYPES)
def test_keys_come_back_as_they_were_stored(machine: Machine, name: str, threads: int) -> None:
    x, cells = normal(N), np.random.default_rng(2).permutation(CHUNK)[:N]
    cache, _ = store(machine, StoreKeys(DIM, name), x, cells, threads)
    y = poisoned(N, HEADS * DIM + 8)
    rows = rows_of(cache.address, np.zeros(N), np.zeros(N), cells)
    arguments = {"x": y.address, "at": 0, "stride": y.values.strides[0], **ONE_CHUNK}
    machine.run(LoadKeys(DIM, name), arguments, threads, n_tokens=N, rows=rows.address)
    assert y.intact()
    assert np.isnan(y.values[:, HEADS * DIM :]).all()
    tolerance = 1e-3 if name == "iq4_nl" else 1e-6
    np.testing.assert_allclose(y.values[:, : HEADS * DIM], rounded(name, x), rtol=tolerance)


@pytest.mark.parametrize("name", ["q8_0", "q4_0", "q5_0", "iq4_nl"])
def test_what_was_rounded_once_stays(machine: Machine, name: str) -> None:
    x, cells = rounded(name, normal(N)).astype(np.float32), np.arange(N)
    cache, _ = store(machine, StoreKeys(DIM, name), x, cells, 1)
    y = poisoned(N, HEADS * DIM)
    rows = rows_of(cache.address, cells, cells, cells)
    arguments = {"x": y.address, "at": 0, "stride": y.values.strides[0], **ONE_CHUNK}
    machine.run(LoadKeys(DIM, name), arguments, 1, n_tokens=N, rows=rows.address)
    np.testing.assert_allclose(y.values, x, rtol=2e-3)
