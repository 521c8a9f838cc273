"""Formats with 256 weights a block and quantised scales (ggml-common.h: block_q4_K and its neighbours).

Q4_K and Q5_K keep eight scales and eight minima of 6 bits in 12 bytes: four of each in the low 6 bits of `six`,
the last four as a nibble of `four` and the two top bits of `six`.
"""

from llamachat.engine.quants.format import Bits, Join, Num, block_format

D = ("d", "<f2")
DMIN = ("dmin", "<f2")
PACKED_SCALES = [("six", "u1", 8), ("four", "u1", 4)]

# Read as 2-bit values in runs of 8, the top bits of `six` are numbers 24 to 31.
_SIX, _FOUR, _TOP = Bits("six", 6, 8), Bits("four", 4, 4), Bits("six", 2, 8)
SCALES = Join(_SIX[0:4], _FOUR[0:4] | _TOP[24:28] << 4, 4)
MINIMA = Join(_SIX[4:8], _FOUR[4:8] | _TOP[28:32] << 4, 4)

K_QUANTS = [
    block_format(
        *("Q4_K", [D, DMIN, *PACKED_SCALES, ("qs", "u1", 128)], 256, 32),
        q=Bits("qs", 4, 32),
        scale=Num("d") * SCALES,
        offset=Num("dmin") * MINIMA * -1,
    ),
    block_format(
        *("Q5_K", [D, DMIN, *PACKED_SCALES, ("qh", "u1", 32), ("qs", "u1", 128)], 256, 32),
        q=Bits("qs", 4, 32) | Bits("qh", 1, 32) << 4,
        scale=Num("d") * SCALES,
        offset=Num("dmin") * MINIMA * -1,
    ),
    block_format(
        *("Q6_K", [("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), D], 256, 16),
        q=(Bits("ql", 4, 64) | Bits("qh", 2, 32) << 4) - 32,
        scale=Num("d") * Num("scales"),
    ),
]
