"""What tells one model's file from another's."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from llamachat.engine.gguf.reader import GgufFile

BLOCK = 1 << 20
MOST = 1024
"""Blocks that are looked at, of each part: all of a file of a gigabyte, an even selection of a larger one."""

THREADS = 2


def fingerprint(file: GgufFile) -> str:
    """A hexadecimal SHA-256 of the headers and sizes of all parts, and of checksums of the weights' blocks."""
    digest = hashlib.sha256()
    starts = sorted(int(tensor.data.ctypes.data) for tensor in file.tensors.values())
    for mapping in file.mappings:
        base, view = int(np.frombuffer(mapping, np.uint8).ctypes.data), memoryview(mapping)
        header = next((start - base for start in starts if base <= start < base + len(view)), len(view))
        digest.update(len(view).to_bytes(8, "little"))
        digest.update(view[:header])
        with ThreadPoolExecutor(THREADS) as pool:
            sums = list(pool.map(zlib.crc32, _blocks(view[header:])))
        digest.update(np.asarray(sums, "<u4").tobytes())
        view.release()
    return digest.hexdigest()


def _blocks(weights: memoryview) -> Iterator[memoryview]:
    n_blocks = -(-len(weights) // BLOCK)
    for number in range(0, n_blocks, -(-n_blocks // MOST) or 1):
        yield weights[number * BLOCK : (number + 1) * BLOCK]
