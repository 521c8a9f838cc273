"""Floats of blocks, and of a stored form's tiles, from their bits."""

from __future__ import annotations

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I16, I32, Vec, count_of, element_of, lanes
from llamachat.engine.backend.cpu.kernels.functions import widen_bfloat
from llamachat.engine.quants.trees import Expr, Float


def read_real(k: Kernel, isa: Generic, leaf: Expr, bits: Vec) -> Vec:
    """float32 from the bits of a leaf of floats: integers of the leaf's size, or i32. See `trees.FLOAT_KINDS`."""
    kind = leaf.kind if isinstance(leaf, Float) else ""
    if kind == "bf16":
        return widen_bfloat(bits)
    if kind == "e8m0":  # a float32's exponent, smaller by 1; 0 and 1 are numbers that are not normalised
        exponent = _wide(bits)
        small = exponent.like(0x00200000) << exponent
        return (exponent < 2).select(small, (exponent - 1) << 23).as_(lanes(F32, bits.count))
    if kind in ("ue4m3", "e4m3"):  # a float16's exponent, smaller by 7, and the upper bits of its fraction
        byte = _wide(bits)
        magnitude = byte & 0x7F
        value = isa.widen_half(k, (magnitude << 7).cut(I16)) * 128.0
        return value if kind == "e4m3" else byte.equals(0x7F).select(k.zeros(value.type), value)
    if element_of(bits.type) == I32:
        return bits.as_(lanes(F32, count_of(bits.type)))
    return isa.widen_half(k, bits)


def _wide(bits: Vec) -> Vec:
    return bits if element_of(bits.type) == I32 else bits.unsigned(I32)
