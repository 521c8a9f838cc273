"""What a cache type makes of numbers: a NumPy version of its rounding, written on its own."""

import numpy as np

IQ4_NL = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)


def rounded(name: str, x: np.ndarray) -> np.ndarray:
    """The values, in float64, that a cache of this type keeps of float32 x [..., n]."""
    if name == "f32":
        return x.astype(np.float64)
    if name == "f16":
        return x.astype(np.float16).astype(np.float64)
    if name == "bf16":
        bits = x.astype(np.float32).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32).astype(np.float64)
    blocks = x.reshape(-1, 32).astype(np.float32)
    scale, offset, codes = encoded(name, blocks)
    kept = scale.astype(np.float16).astype(np.float64), offset.astype(np.float16).astype(np.float64)
    values = IQ4_NL[codes].astype(np.float64) if name == "iq4_nl" else codes.astype(np.float64)
    return (values * kept[0] + kept[1]).reshape(x.shape)


def rounded_query(name: str, q: np.ndarray) -> np.ndarray:
    """The values, in float64, with which a query meets keys of this type: blocks are multiplied as bytes."""
    if name in ("f32", "f16", "bf16"):
        return q.astype(np.float64)
    blocks = q.reshape(-1, 32).astype(np.float32)
    top = np.abs(blocks).max(1, keepdims=True)
    inverse = np.divide(np.float32(127), top, out=np.zeros_like(top), where=top > 0)
    return (np.rint(blocks * inverse) * np.float64(top * np.float32(1 / 127))).reshape(q.shape)


def encoded(name: str, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scale, offset, codes) of blocks [n, 32]; codes of the formats without an offset are signed."""
    zero = np.zeros((len(blocks), 1), np.float32)
    low, high = blocks.min(1, keepdims=True), blocks.max(1, keepdims=True)
    signed = np.where(-low > high, low, high)
    bits = int(name[2]) if name.startswith("iq") else int(name[1])
    if name == "q8_0":
        scale, offset, bounds = np.maximum(high, -low) * np.float32(1 / 127), zero, (-127, 127)
    elif name in ("q4_1", "q5_1"):
        scale, offset, bounds = (high - low) * np.float32(1 / (2**bits - 1)), low, (0, 2**bits - 1)
    elif name in ("q4_0", "q5_0"):
        half = 2 ** (bits - 1)
        scale, offset, bounds = signed * np.float32(-1 / half), zero, (-half, half - 1)
    else:
        return nearest_entries(signed, blocks)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
    codes = np.rint((blocks - offset) * inverse).astype(np.int64)
    return scale, offset, np.clip(codes, *bounds)


def nearest_entries(signed: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codebook entries nearest at the first scale, then the scale of least error weighted by x squared."""
    first = signed * np.float32(1 / -127)
    inverse = np.divide(np.float32(1), first, out=np.zeros_like(first), where=first != 0)
    codes = np.abs((blocks * inverse)[..., None] - IQ4_NL).argmin(-1)
    entries, x = IQ4_NL[codes].astype(np.float64), blocks.astype(np.float64)
    upper, lower = (x**3 * entries).sum(1, keepdims=True), (x**2 * entries**2).sum(1, keepdims=True)
    scale = np.divide(upper, lower, out=np.zeros_like(upper), where=lower > 0)
    return scale, np.zeros_like(scale), codes
