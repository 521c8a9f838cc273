"""A model whose matrices have block formats of every kind, in one file."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from own_files import llama_shapes, write_random

from llamachat.engine.backend.cpu.kernels.tile import check_kernels
from llamachat.engine.quants import BLOCK_FORMATS, FORMATS, STORED
from llamachat.engine.quants.format import BlockFormat
from llamachat.errors import Unsupported

WIDTH, N_VOCAB = 256, 64

KINDS = (
    *("Q4_1", "Q5_0", "Q8_0", "Q3_K", "Q4_K", "Q6_K", "IQ4_XS", "IQ2_XS", "MXFP4", "NVFP4"),
    *("TQ1_0", "Q1_0", "IQ1_M", "IQ3_S"),
)
"""Formats of every kind: with an offset, a bias, signed bytes, integer scales and minima, tables, codebooks, signs."""

FEW = ("Q4_0", "Q8_0", "Q4_K", "Q6_K", "IQ4_XS")
"""A bias, signed bytes, minima, signed scales, a table: where LLVM or the emulator takes long."""
EMULATED = ("Q4_1", "Q3_K", "Q4_K", "Q6_K", "IQ4_XS", "IQ2_XS", "NVFP4", "Q1_0")
"""An offset, signed scales, minima, wide codes, a table, a codebook, small floats, signs."""
LARGEST = 0.2


def computable() -> list[str]:
    """Names of the block formats that kernels can be written for."""

    def is_so(name: str) -> bool:
        try:
            check_kernels(STORED[name])
        except Unsupported:
            return False
        return True

    return [name for name in BLOCK_FORMATS if is_so(name)]


@cache
def small_blocks(name: str) -> np.ndarray:
    """Random blocks whose weights are finite, not all zero and not large: uint8 [n, size]."""
    rng, fmt = np.random.default_rng(len(name)), FORMATS[name]
    data = rng.integers(0, 256, (30_000, fmt.layout.itemsize), dtype=np.uint8)
    blocks = data.view(fmt.layout)[:, 0]
    assert fmt.layout.fields is not None
    for field, (kind, *_) in fmt.layout.fields.items():
        if kind.base.kind == "f":
            blocks[field] = rng.uniform(-2e-3, 2e-3, blocks[field].shape)
    with np.errstate(all="ignore"):
        sizes = np.abs(fmt.decode(data.ravel()).reshape(len(data), -1)).max(1)
    good = data[(sizes > LARGEST / 1000) & (sizes < LARGEST)]
    assert len(good) >= 8, f"{name}: too few of the random blocks are small"
    return good


def encode(names: list[str], n_layer: int) -> dict[str, str]:
    """name of each matrix -> its format, all in turn."""
    matrices = [name for name, shape in llama_shapes(N_VOCAB, WIDTH, WIDTH, n_layer).items() if len(shape) == 2]
    return {matrix: names[i % len(names)] for i, matrix in enumerate(matrices)}


def write_mixed(path: Path, kinds: Sequence[str] = KINDS) -> Path:
    """A Llama-shaped model with heads of 32 values; as many layers as these formats need."""
    names = [name for name in computable() if name in kinds]
    n_layer = -(-len(names) // 7)
    given = encode(names, n_layer)

    def blocks(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
        if name not in given:
            return "F32", values.view(np.uint8).ravel()
        good, fmt = small_blocks(given[name]), FORMATS[given[name]]
        assert isinstance(fmt, BlockFormat)
        rng = np.random.default_rng(len(name))
        return given[name], good[rng.integers(0, len(good), values.size // fmt.block)].ravel()

    sizes = {
        "context_length": 512,
        "embedding_length": WIDTH,
        "block_count": n_layer,
        "feed_forward_length": WIDTH,
        "attention.head_count": 8,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }
    return write_random(path, "llama", sizes, llama_shapes(N_VOCAB, WIDTH, WIDTH, n_layer), blocks)
