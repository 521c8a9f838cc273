"""Rows of the cache: values lie as in the file formats of the same name, keys come back as they were stored."""

import numpy as np
import pytest
from cache_rows import rounded
from machine import Array, Machine, poisoned, rows_of

from llamachat.engine.backend.cpu.kernels.cache import CHUNK, LoadKeys, StoreKeys, StoreValues
from llamachat.engine.backend.cpu.kernels.cache_formats import CACHE_FORMATS
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
    """The cache after storing rows of x in cells, and its bytes as [head, cells' bytes]."""
    row = CACHE_FORMATS[spec.cache_type].row_bytes(DIM)
    cache, source = Array(np.full(HEADS * CHUNK * row, 0xEE, np.uint8)), Array(x)
    rows = rows_of(cache.address, cells, cells)
    arguments = {"x": source.address, "at": 0, "stride": x.strides[0], **ONE_CHUNK}
    machine.run(spec, arguments, threads, n_tokens=len(x), rows=rows.address)
    assert cache.intact()
    return cache, cache.values.reshape(HEADS, CHUNK, row)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", TYPES)
def test_values_lie_by_cell_in_the_file_s_format(machine: Machine, name: str, threads: int) -> None:
    x, cells = normal(N), np.random.default_rng(1).permutation(CHUNK)[:N]
    _, by_cell = store(machine, StoreValues(DIM, name), x, cells, threads)
    expected = rounded(name, x).reshape(N, HEADS, DIM)
    for head in range(HEADS):
        untouched = np.delete(by_cell[head], cells, 0)
        assert (untouched == 0xEE).all()
        if name.upper() in FORMATS:
            found = FORMATS[name.upper()].decode(by_cell[head][cells].ravel()).reshape(N, DIM)
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
