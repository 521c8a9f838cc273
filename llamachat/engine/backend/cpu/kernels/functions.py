"""Elementary functions of float32 registers: exp, log and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I32, Vec, lanes

# exp(r) for |r| <= ln(2)/2: minimax coefficients of degree 6, relative error below 2^-24 (Cephes `expf`).
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
# (ln(1 + r) - r + r^2/2) / r^3 for sqrt(1/2) - 1 <= r <= sqrt(2) - 1 (Cephes `logf`).
_LOG = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1),
    *(2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
_SQRT_HALF_BITS = 0x3F3504F3
# (tanh(x) - x) / x^3 in x^2 for |x| < 5/8 (Cephes `tanhf`).
_TANH = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
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


def log(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """ln x of normal positive numbers, within 2 units in the last place; NaN of NaN (Cephes `logf`)."""
    bits = x.as_(lanes(I32, x.count))
    # x = m 2^e with m from sqrt(1/2) to sqrt(2)
    e = (bits - _SQRT_HALF_BITS).shift_signed(23)
    r = (bits - (e << 23)).as_(x.type) - 1.0
    p = x.like(_LOG[0])
    for coefficient in _LOG[1:]:
        p = isa.fma(k, p, r, x.like(coefficient))
    square, e = r * r, e.to_float()
    p = isa.fma(k, e, x.like(_LN2_LOW), p * r * square)
    value = isa.fma(k, e, x.like(_LN2_HIGH), r + (p - square * 0.5))
    return x.equals(x).select(value, x)


def sigmoid(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """1 / (1 + e^-x)."""
    return x.like(1.0) / (exp(k, isa, x * -1.0) + 1.0)


def tanh(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """tanh x: a polynomial below 5/8 (Cephes `tanhf`), sign(x) (1 - 2 / (1 + e^2|x|)) above; NaN of NaN."""
    bits = x.as_(lanes(I32, x.count))
    size = (bits & 0x7FFFFFFF).as_(x.type)
    large = (x.like(1.0) - x.like(2.0) / (exp(k, isa, size * 2.0) + 1.0)).as_(bits.type)
    signed = (large | (bits & -0x80000000)).as_(x.type)
    square = x * x
    p = x.like(_TANH[0])
    for coefficient in _TANH[1:]:
        p = isa.fma(k, p, square, x.like(coefficient))
    small = isa.fma(k, p * square, x, x)
    return (size < 0.625).select(small, signed)


def softplus(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """ln(1 + e^x): max(x, 0) + ln(1 + t), t = e^-|x|, where ln(1 + t) = ln(u) t / (u - 1), u = 1 + t rounded."""
    size = (x.as_(lanes(I32, x.count)) & 0x7FFFFFFF).as_(x.type)
    t = exp(k, isa, size * -1.0)
    u = t + 1.0
    exact = u.equals(1.0)
    correction = t / exact.select(x.like(1.0), u - 1.0)
    return x.equals(x).select(relu(k, isa, x) + exact.select(t, log(k, isa, u) * correction), x)


def relu(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """max(x, 0); NaN of NaN."""
    return (x < 0.0).select(k.zeros(x.type), x)


def relu2(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """max(x, 0)^2 (So et al. 2021, arXiv 2109.08668)."""
    positive = relu(k, isa, x)
    return positive * positive


def silu(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """x / (1 + e^-x) (Elfwing et al. 2017)."""
    return x / (exp(k, isa, x * -1.0) + 1.0)


def gelu(k: Kernel, isa: Generic, x: Vec) -> Vec:
    """x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3): the tanh form (Hendrycks & Gimpel 2016)."""
    u = x * (x * x * 0.044715 + 1.0)
    return x / (exp(k, isa, u * (-2.0 * math.sqrt(2 / math.pi))) + 1.0)


Activation = Callable[[Kernel, Generic, Vec], Vec]

FUSED: dict[str, Activation] = {"silu": silu, "gelu": gelu}
"""Those with which products end: their code stands in every product's kernel, so they are few."""

ACTIVATIONS: dict[str, Activation] = {
    **FUSED,
    "relu": relu,
    "relu2": relu2,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "softplus": softplus,
    "exp": exp,
}
