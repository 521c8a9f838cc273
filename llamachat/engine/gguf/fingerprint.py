"""What tells one model's file from another's."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from llamachat.engine.gguf.reader import GgufFile
from llamachat.engine.gguf.source import Source

BLOCK = 1 << 20
MOST = 1024
"""Blocks that are looked at, of each part: all of a file of a gigabyte, an even selection of a larger one."""

THREADS = 2


def fingerprint(file: GgufFile) -> str:
    """A hexadecimal SHA-256 of the headers and sizes of all parts, and of checksums of the weights' blocks.

    Raises ModelFileError where a file was cut or changed since it was opened.
    """
    digest = hashlib.sha256()
    starts = sorted(int(tensor.data.ctypes.data) for tensor in file.tensors.values())
    for number, mapping in enumerate(file.mappings):
        source = file.sources[number]
        base, size = int(np.frombuffer(mapping, np.uint8).ctypes.data), source.size
        header = next((start - base for start in starts if base <= start < base + size), size)
        digest.update(size.to_bytes(8, "little"))
        digest.update(source.head(header))
        with ThreadPoolExecutor(THREADS) as pool:
            sums = list(pool.map(partial(_sum, source), _blocks(header, size)))
        digest.update(np.asarray(sums, "<u4").tobytes())
    return digest.hexdigest()


def _blocks(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Of the bytes first .. last - 1 the blocks that are looked at: where they begin and end."""
    n_blocks = -(-(last - first) // BLOCK)
    for number in range(0, n_blocks, -(-n_blocks // MOST) or 1):
        start = first + number * BLOCK
        yield start, min(start + BLOCK, last)


def _sum(source: Source, block: tuple[int, int]) -> int:
    """The checksum of a block, read by copying."""
    content = np.empty(block[1] - block[0], np.uint8)
    source.read(block[0], content)
    return zlib.crc32(content.data)
