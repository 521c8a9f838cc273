"""Writes importance matrices as llama.cpp's tools read them: GGUF, or the older `.dat`.

GGUF: for each tensor `NAME.in_sum2`, F32 [n_matrices, n_columns], and `NAME.counts`, F32 [n_matrices, 1]; the keys
`general.type` "imatrix", `imatrix.datasets`, `imatrix.chunk_count` and `imatrix.chunk_size`.

dat, little-endian: the number of tensors; of each its name, a number of chunks n, the number of values, and as many
float32, each the mean square times n; then the number of chunks and the name of the text. A text is its length and
UTF-8; a number has 32 bits.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import numpy as np

from llamachat.engine.gguf.writer import Entry, write_gguf
from llamachat.prepare.imatrix import Collected
from llamachat.prepare.importance import CHUNK_SIZE, COUNTS, DATASETS, N_CHUNKS, SUMS

Form = Literal["gguf", "dat"]
OF: Final = "llamachat.imatrix.of"
"""The key under which a file that is not finished says what it is of (`imatrix.fingerprint`)."""


def write_imatrix(path: Path, found: Collected, form: Form = "gguf", of: str = "") -> None:
    """Writes a file at once to the path. of: see `OF`. Raises OSError, as for a full disk."""
    if form == "dat":
        path.write_bytes(b"".join(_dat(found)))
    else:
        write_gguf(path, _metadata(found, of), _entries(found))


def _metadata(found: Collected, of: str) -> dict[str, object]:
    keys: dict[str, object] = {
        "general.type": "imatrix",
        DATASETS: list(found.datasets),
        N_CHUNKS: found.n_chunks,
        CHUNK_SIZE: found.chunk_size,
    }
    return keys | ({OF: of} if of else {})


def _entries(found: Collected) -> list[Entry]:
    entries: list[Entry] = []
    for name, sums in sorted(found.sums.items()):
        entries.append((name + SUMS, "F32", sums.squares.shape, sums.squares.astype(np.float32)))
        entries.append((name + COUNTS, "F32", (len(sums.counts), 1), sums.counts.astype(np.float32)))
    return entries


def _dat(found: Collected) -> Iterator[bytes]:
    kept = {name: sums for name, sums in sorted(found.sums.items()) if sums.counts.any()}
    yield struct.pack("<i", len(kept))
    for name, sums in kept.items():
        n_calls = math.ceil(sums.counts.max() / found.chunk_size)
        counts = sums.counts[:, None]
        means = np.divide(sums.squares, counts, out=np.ones_like(sums.squares), where=counts > 0)
        yield _text(name) + struct.pack("<ii", n_calls, means.size) + (means * n_calls).astype("<f4").tobytes()
    yield struct.pack("<i", found.n_chunks) + _text(found.datasets[-1] if found.datasets else "")


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<i", len(raw)) + raw
