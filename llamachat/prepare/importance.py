"""Reads importance matrices: how large the inputs of each matrix are, column by column, over a text.

Two forms of llama.cpp's imatrix tool: GGUF (tensors `NAME.in_sum2` and `NAME.counts`), and the older `.dat`. Both hold
sums of squares of the inputs and how many inputs there were; experts have their own.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf import GgufFile, open_gguf
from llamachat.engine.gguf.metadata import shown
from llamachat.engine.gguf.unlike import MAGIC
from llamachat.errors import ModelFileError
from llamachat.files import reason

SUMS: Final = ".in_sum2"
COUNTS: Final = ".counts"
DATASETS: Final = "imatrix.datasets"
N_CHUNKS: Final = "imatrix.chunk_count"
CHUNK_SIZE: Final = "imatrix.chunk_size"

MAX_BYTES: Final = 1 << 34
MAX_NAME: Final = 1 << 12


@dataclass(frozen=True)
class Entry:
    """A matrix, or a stack of them. sums: float32 [n, n_columns], sums of squares; counts: float32 [n], of inputs.

    In the older form all matrices of a stack stand in one row of sums.
    """

    sums: NDArray[np.float32]
    counts: NDArray[np.float32]

    def means(self) -> NDArray[np.float32]:
        """Mean squares, float32 [values]: of an expert that no token came to, 1 for every column."""
        counts = self.counts.reshape(-1, 1)
        found = np.divide(self.sums, counts, out=np.ones_like(self.sums), where=counts > 0)
        return found.ravel()


@dataclass(frozen=True)
class Importance:
    """A file's matrices by the names of their tensors, the texts they are of, and how many chunks of how many tokens.

    n_chunks, chunk_size: 0 where the file does not say.
    """

    path: Path
    entries: Mapping[str, Entry]
    datasets: tuple[str, ...] = ()
    n_chunks: int = 0
    chunk_size: int = 0

    def of(self, name: str, n_matrices: int, n_columns: int) -> NDArray[np.float32] | None:
        """Mean squares of the inputs of a tensor, float32 [n_matrices, n_columns]; None where the file has none of it.

        Raises ModelFileError where the file has other sizes of it: it is of another model.
        """
        entry = self.entries.get(name)
        if entry is None:
            return None
        means = entry.means()
        if means.size == n_columns and n_matrices > 1:
            means = np.tile(means, n_matrices)
        if means.size != n_matrices * n_columns:
            wanted = f"the tensor has {n_columns} columns" + f" in each of {n_matrices} matrices" * (n_matrices > 1)
            raise self._fail(f"has {means.size} values, but {wanted}: it is of another model", name)
        if not np.isfinite(means).all() or (means < 0).any():
            raise self._fail("holds values that are no sums of squares", name)
        return means.reshape(n_matrices, n_columns)

    def _fail(self, message: str, name: str) -> ModelFileError:
        return ModelFileError(message, self.path, shown(name))


def read_importance(path: str | Path) -> Importance:
    """The file, in either form, read whole. Raises ModelFileError for what is no importance matrix."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            is_gguf = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise ModelFileError(reason(error), path) from error
    return _of_gguf(path) if is_gguf else _of_dat(path)


def _of_gguf(path: Path) -> Importance:
    file = open_gguf(path)
    names = [name.removesuffix(SUMS) for name in file.tensors if name.endswith(SUMS)]
    if not names:
        raise ModelFileError(f"is no importance matrix: it has no tensor {'...' + SUMS}", path)
    entries = {name: _entry(file, name) for name in names}
    datasets = file.metadata.get(DATASETS, [])
    texts = tuple(str(one) for one in datasets) if isinstance(datasets, list) else ()
    return Importance(path, entries, texts, _integer(file, N_CHUNKS), _integer(file, CHUNK_SIZE))


def _entry(file: GgufFile, name: str) -> Entry:
    sums, counts = _floats(file, name + SUMS), _floats(file, name + COUNTS).ravel()
    sums = sums.reshape(-1, sums.shape[-1])
    if counts.size not in (1, len(sums)):
        raise ModelFileError(f"has {counts.size} counts for {len(sums)} matrices", file.path, shown(name))
    return Entry(sums, np.broadcast_to(counts, len(sums)))


def _floats(file: GgufFile, name: str) -> NDArray[np.float32]:
    tensor = file.tensors.get(name)
    if tensor is None or tensor.type.name != "F32":
        raise ModelFileError("is missing, or no F32", file.path, shown(name))
    if tensor.n_bytes > MAX_BYTES:
        raise ModelFileError(f"claims {tensor.n_bytes} bytes, more than makes sense", file.path, shown(name))
    values = np.empty(tensor.shape, np.float32)
    file.read(tensor, 0, values.reshape(-1).view(np.uint8))
    return values


def _integer(file: GgufFile, key: str) -> int:
    value = file.metadata.get(key, 0)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


class _Words:
    """A position in the bytes of the older form; every step is checked."""

    def __init__(self, path: Path, raw: bytes) -> None:
        self.path, self.raw, self.at = path, raw, 0

    def take(self, n_bytes: int) -> bytes:
        """The next bytes. Raises ModelFileError."""
        if not 0 <= n_bytes <= len(self.raw) - self.at:
            raise ModelFileError("is no importance matrix, or not all of one", self.path, f"at byte {self.at}")
        self.at += n_bytes
        return self.raw[self.at - n_bytes : self.at]

    def integer(self) -> int:
        """The next 32 bits."""
        return int(struct.unpack("<i", self.take(4))[0])

    def text(self, limit: int = MAX_NAME) -> str:
        """The next string."""
        length = self.integer()
        if length > limit:
            raise ModelFileError("is no importance matrix: it has a name too long", self.path, f"at byte {self.at - 4}")
        return self.take(length).decode(errors="replace")


def _of_dat(path: Path) -> Importance:
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
    except OSError as error:
        raise ModelFileError(reason(error), path) from error
    words, entries = _Words(path, raw), dict[str, Entry]()
    n_entries = words.integer()
    if not 0 < n_entries < 1 << 18:
        raise ModelFileError("is no importance matrix", path)
    for _ in range(n_entries):
        name, n_calls, n_values = words.text(), words.integer(), words.integer()
        sums = np.frombuffer(words.take(4 * n_values), "<f4").astype(np.float32)
        # Without a count the values are means already, as in the earliest files.
        entries[name] = Entry(sums.reshape(1, -1), np.full(1, max(n_calls, 0) or 1, np.float32))
    n_chunks, datasets = 0, tuple[str, ...]()
    if words.at < len(raw):
        n_chunks = words.integer()
        datasets = (words.text(1 << 16),) if words.at < len(raw) else ()
    return Importance(path, entries, datasets, max(n_chunks, 0))
