"""Elementary functions of float32 registers: exp, and the activations made of it."""

from __future__ import annotations

import math
from collections.abc import Callable

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I32, Vec, lanes

# exp(r) for |r| <= ln(2)/2: minimax coefficients of degree 6, relative error below 2^-24 (Cephes `expf`).
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
ROUND = 12582912.0
"""1.5 * 2^23: adding it puts the nearest integer in the lowest bits of a float32."""
ROUND_BITS = 0x4B400000
"""Its bits."""
# (2^r - 1) / r for |r| <= 1/2: minimax coefficients of degree 4 for 2^r, relative error 2^-23.4 (fitted here).
_EXP2 = (1.326472721e-3, 9.671512813e-3, 5.550733745e-2, 2.402224208e-1, 6.931469776e-1)


def nearest(x: Vec) -> Vec:
    """Nearest integers, halves to even, of |x| < 2^22."""
    return (x + ROUND).as_(lanes(I32, x.count)) - ROUND_BITS


def widen_bfloat(bits: Vec) -> Vec:
    """bfloat16 bits (i16 lanes) as float32."""
    return (bits.unsigned(I32) << 16).as_(lanes(F32, bits.count))


def exp(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """e^x; exactly 1 at 0, exactly 0 below -87, the largest finite power above 88; NaN of NaN."""
    limited = x.min(88.0).max(-87.0)
    shifted = isa.fma(k, limited, x.like(1 / math.log(2)), x.like(ROUND))
    n = shifted - ROUND
    r = isa.fma(k, n, x.like(-_LN2_LOW), isa.fma(k, n, x.like(-_LN2_HIGH), limited))
    p = x.like(_EXP[0])
    for coefficient in _EXP[1:]:
        p = isa.fma(k, p, r, x.like(coefficient))
    p = isa.fma(k, p * r, r, r) + 1.0
    power = (shifted.as_(lanes(I32, x.count)) << 23) + p.as_(lanes(I32, x.count))
    value = (x < -87.0).select(k.zeros(lanes(F32, x.count)), power.as_(lanes(F32, x.count)))
    return x.equals(x).select(value, x)


def exp2_below(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """2^x for x <= 0 in half of the instructions of `exp`: exactly 1 at 0, exactly 0 below -126.5; NaN of NaN."""
    limited = x.like(-127.0).max(x)  # x where it is not a number
    shifted = limited + (ROUND + 127.0)
    r = limited - (shifted - (ROUND + 127.0))
    p = x.like(_EXP2[0])
    for coefficient in (*_EXP2[1:], 1.0):
        p = isa.fma(k, p, r, x.like(coefficient))
    return p * (shifted.as_(lanes(I32, x.count)) << 23).as_(x.type)


def silu(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """x / (1 + e^-x) (Elfwing et al. 2017)."""
    return x / (exp(k, isa, x * -1.0) + 1.0)


def gelu(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3): the tanh form (Hendrycks & Gimpel 2016)."""
    u = x * (x * x * 0.044715 + 1.0)
    return x / (exp(k, isa, u * (-2.0 * math.sqrt(2 / math.pi))) + 1.0)


ACTIVATIONS: dict[str, Callable[[Kernel, Generic, Vec], Vec]] = {"silu": silu, "gelu": gelu}
