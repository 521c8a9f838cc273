"""Weights from the file into tiles: the same bytes for every number of threads, a sentence for every failure."""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from machine import OneAfterTheOther
from memory_peak import measurable, peak_memory

from llamachat.engine.backend.cpu import loading
from llamachat.engine.backend.cpu.jit.compiler import Compiler, choose_isa
from llamachat.engine.backend.cpu.weights import Weights
from llamachat.engine.backend.cpu.workers import WorkerPool
from llamachat.engine.gguf import open_gguf
from llamachat.engine.gguf.writer import write_gguf
from llamachat.engine.quants import FORMATS
from llamachat.errors import ModelFileError

SHAPES = {
    "a": ("Q4_K", (37, 512)),
    "b": ("Q8_0", (3, 70, 64)),
    "c": ("F16", (33, 48)),
    "d": ("Q6_K", (200, 256)),
    "e": ("F32", (1, 7)),
}


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return Compiler(choose_isa())


@pytest.fixture(scope="module")
def pool(compiler: Compiler) -> Iterator[WorkerPool]:
    pool = WorkerPool(compiler, 2)
    yield pool
    pool.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Matrices of several types, one of them of experts."""
    rng, tensors = np.random.default_rng(1), []
    for name, (kind, shape) in SHAPES.items():
        fmt = FORMATS[kind]
        n_bytes = int(np.prod(shape)) // fmt.block * fmt.layout.itemsize
        tensors.append((name, kind, shape, rng.integers(0, 256, n_bytes, np.uint8)))
    write_gguf(tmp_path / "m.gguf", {"general.architecture": "llama"}, tensors)
    return tmp_path / "m.gguf"


def loaded(path: Path, compiler: Compiler, pool: object, progress: Callable[[int, int], None] | None = None) -> bytes:
    """The tiles of all matrices."""
    weights = Weights(open_gguf(path), compiler, cast("Any", pool))
    weights.load(SHAPES, [], progress or (lambda done, total: None))
    return weights._tiles.bytes.tobytes()


@pytest.mark.parametrize("n_threads", [2, 3, 7, 64])
def test_every_number_of_threads_packs_the_same(
    path: Path, compiler: Compiler, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = loaded(path, compiler, OneAfterTheOther(1))
    assert np.count_nonzero(np.frombuffer(expected, np.uint8)) > path.stat().st_size / 2
    monkeypatch.setattr(loading, "ROOM", 1)  # unit by unit
    assert loaded(path, compiler, OneAfterTheOther(n_threads)) == expected


def test_threads_that_run_together_pack_the_same(path: Path, compiler: Compiler, pool: WorkerPool) -> None:
    assert loaded(path, compiler, pool) == loaded(path, compiler, OneAfterTheOther(1))


def test_a_system_without_pread_packs_the_same(
    path: Path, compiler: Compiler, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = loaded(path, compiler, pool)
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(loading, "system_function", lambda name: pytest.fail("there is none"))
    assert loaded(path, compiler, OneAfterTheOther(2)) == expected


def test_reads_that_return_less_than_was_asked_go_on(
    path: Path, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = loaded(path, compiler, OneAfterTheOther(1))
    address = _instead_of_pread(monkeypatch, lambda n_bytes: min(n_bytes, 100))
    assert loaded(path, compiler, OneAfterTheOther(3)) == expected
    assert address


def test_a_read_that_fails_is_an_error(path: Path, compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _instead_of_pread(monkeypatch, lambda n_bytes: -1)
    with pytest.raises(ModelFileError, match="cannot be read"):
        loaded(path, compiler, OneAfterTheOther(2))
    assert kept


def _instead_of_pread(monkeypatch: pytest.MonkeyPatch, how_many: Callable[[int], int]) -> object:
    """A pread that reads as many bytes as `how_many` says, and fails for -1; valid while the result lives."""

    def read(file: int, address: int, n_bytes: int, at: int) -> int:
        if how_many(n_bytes) < 0:
            return -1
        return os.preadv(file, [(ctypes.c_uint8 * how_many(n_bytes)).from_address(address)], at)

    callback: Any = loading._READ(read)
    monkeypatch.setattr(loading, "system_function", lambda name: ctypes.cast(callback, ctypes.c_void_p).value)
    return callback


def test_what_interrupts_the_report_of_progress_ends_the_loading(
    path: Path, compiler: Compiler, pool: WorkerPool
) -> None:
    before = threading.active_count()
    for calls in (1, 2):
        told: list[int] = []

        def interrupted(done: int, total: int, told: list[int] = told, calls: int = calls) -> None:
            told.append(done)
            if len(told) == calls:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            loaded(path, compiler, pool, interrupted)
        assert threading.active_count() == before
    assert loaded(path, compiler, pool) == loaded(path, compiler, OneAfterTheOther(1))


def test_progress_ends_with_everything(path: Path, compiler: Compiler, pool: WorkerPool) -> None:
    told: list[tuple[int, int]] = []
    loaded(path, compiler, pool, lambda done, total: told.append((done, total)))
    total = sum(tensor.n_bytes for tensor in open_gguf(path).tensors.values())
    assert told[0][1] == total
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (total, total)


@measurable
def test_weights_are_in_memory_once(tmp_path: Path, compiler: Compiler, pool: WorkerPool) -> None:
    n_rows = 64 << 10
    data = np.random.default_rng(2).integers(0, 256, n_rows * 1088, np.uint8)
    write_gguf(tmp_path / "m.gguf", {"general.architecture": "llama"}, [("a", "Q8_0", (n_rows, 1024), data)])
    with peak_memory() as peak:
        weights = Weights(open_gguf(tmp_path / "m.gguf"), compiler, pool)
        weights.load(["a"], [], lambda done, total: None)
    assert weights.n_bytes <= peak.bytes < 1.15 * data.nbytes
