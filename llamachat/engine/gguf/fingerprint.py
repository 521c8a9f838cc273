"""What tells one model's file from another's, without reading all of it."""

from __future__ import annotations

import hashlib

import numpy as np

from llamachat.engine.gguf.reader import GgufFile

PIECES, PIECE = 64, 4096
"""So many pieces of so many bytes are looked at, evenly spread over the weights."""


def fingerprint(file: GgufFile) -> str:
    """A hexadecimal SHA-256 of the headers and sizes of all parts, and of pieces of the weights."""
    digest = hashlib.sha256()
    starts = sorted(int(tensor.data.ctypes.data) for tensor in file.tensors.values())
    for mapping in file.mappings:
        base, view = int(np.frombuffer(mapping, np.uint8).ctypes.data), memoryview(mapping)
        header = next((start - base for start in starts if base <= start < base + len(view)), len(view))
        digest.update(len(view).to_bytes(8, "little"))
        digest.update(view[:header])
        for i in range(PIECES):
            at = header + (len(view) - header) * i // PIECES
            digest.update(view[at : at + PIECE])
        view.release()
    return digest.hexdigest()
