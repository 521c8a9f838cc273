"""Random blocks of every ggml type that are valid: they decode to small finite numbers, here and in other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from llamachat.engine.gguf.types import BY_NAME, GgmlType

PIECE = 1 << 23
"""Bytes that are random; a larger matrix repeats them."""

# Where a block has float16 scales (ggml-common.h), in bytes from its beginning.
_FIRST = (
    *("Q4_0", "Q5_0", "Q8_0", "Q1_0", "Q2_0"),
    *("IQ1_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"),
)
_SCALES: Mapping[str, Sequence[int]] = {
    **dict.fromkeys(_FIRST, (0,)),
    **dict.fromkeys(("Q4_1", "Q5_1", "Q8_1", "Q4_K", "Q5_K"), (0, 2)),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q6_K": (208,),
    "TQ1_0": (52,),
    "TQ2_0": (64,),
}
_BYTES: Mapping[str, Mapping[int, int]] = {"MXFP4": {0: 120}, "NVFP4": dict.fromkeys(range(4), 0x10)}
"""Scales of one byte: 2^(b - 127) in MXFP4, four of E4M3 in NVFP4."""

KNOWN = ("F32", "F16", "BF16", "IQ1_M", *_SCALES, *_BYTES)
"""Types of which matrices can be made."""


def random_rows(name: str, n_rows: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """uint8 [n_rows, bytes of a row]. Raises KeyError for a type that is not known."""
    kind = BY_NAME[name]
    rng = np.random.default_rng(seed)
    row_bytes = n_columns // kind.block * kind.bytes
    own = max(1, min(n_rows, PIECE // row_bytes))
    rows = _random(kind, own * (n_columns // kind.block), rng).reshape(own, row_bytes)
    return rows if own == n_rows else np.resize(rows, (n_rows, row_bytes))


def _random(kind: GgmlType, n_blocks: int, rng: np.random.Generator) -> np.ndarray:
    if kind.name in ("F32", "F16", "BF16"):
        values = rng.standard_normal(n_blocks, dtype=np.float32) * np.float32(0.02)
        if kind.name == "BF16":
            return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
        return values.astype(np.float32 if kind.name == "F32" else np.float16).view(np.uint8)
    blocks = rng.integers(0, 256, (n_blocks, kind.bytes), dtype=np.uint8)
    if kind.name == "IQ1_M":  # its scale is the top nibbles of four words: 0x1800
        words = blocks[:, 48:56].view("<u2")
        words[:] = words & 0x0FFF | np.array([0x0000, 0x0000, 0x8000, 0x1000], np.uint16)
    for at, value in _BYTES.get(kind.name, {}).items():
        blocks[:, at] = value
    scale = np.float16(0.02 / max(1, 2 ** (kind.bytes * 8 / kind.block - 1)))
    for at in _SCALES.get(kind.name, ()):
        blocks[:, at : at + 2].view("<f2")[:] = scale
    return blocks
