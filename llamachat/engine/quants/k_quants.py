"""Formats with 256 weights a block and quantised scales (ggml-common.h: block_q4_K and its neighbours).

Q4_K and Q5_K keep eight scales and eight minima of 6 bits in 12 bytes: four of each in the low 6 bits of `six`,
the last four as a nibble of `four` and the two top bits of `six`.
"""

from llamachat.engine.quants.format import block_format
from llamachat.engine.quants.stored import Put, stored_as
from llamachat.engine.quants.trees import Bits, Expr, Join, Num

D = ("d", "<f2")
DMIN = ("dmin", "<f2")
PACKED_SCALES = [("six", "u1", 8), ("four", "u1", 4)]

# Read as 2-bit values in runs of 8, the top bits of `six` are numbers 24 to 31.
_SIX, _FOUR, _TOP = Bits("six", 6, 8), Bits("four", 4, 4), Bits("six", 2, 8)
SCALES = Join(_SIX[0:4], _FOUR[0:4] | _TOP[24:28] << 4, 4)
MINIMA = Join(_SIX[4:8], _FOUR[4:8] | _TOP[28:32] << 4, 4)

K_QUANTS = [
    block_format(
        *("Q2_K", [("scales", "u1", 16), ("qs", "u1", 64), D, DMIN], 256, 16),
        q=Bits("qs", 2, 32),
        scale=Num("d") * Bits("scales", 4, 16)[0:16],
        offset=Num("dmin") * Bits("scales", 4, 16)[16:32] * -1,
    ),
    block_format(
        *("Q3_K", [("hmask", "u1", 32), ("qs", "u1", 64), ("low", "u1", 8), ("high", "u1", 4), D], 256, 16),
        q=(Bits("qs", 2, 32) | Bits("hmask", 1, 32) << 2) - 4,
        scale=Num("d") * ((Bits("low", 4, 8) | Bits("high", 2, 4) << 4) - 32),
    ),
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
    block_format(
        *("Q8_K", [("d", "<f4"), ("qs", "i1", 256), ("sums", "<i2", 16)], 256, 256),
        q=Num("qs"),
        scale=Num("d"),
    ),
]

Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K = K_QUANTS
_BYTES, _MINIMA = Put(Num("scales"), SCALES), Put(Num("minima"), MINIMA)
_BYTE_FIELDS = [("scales", "u1", 8), ("minima", "u1", 8)]
_OF_BYTES = {"scale": Num("d") * Num("scales"), "offset": Num("dmin") * Num("minima") * -1}

# Q3_K in packed memory: 192 codes of 3 bits, two in each of 96 bytes, whose upper 2 bits hold the other 64: the lower
# bits of those in the first 64 bytes, their third bits in the last 32.
_THREE = Bits("qs", 2, 32) | Bits("hmask", 1, 32) << 2
_PAIRS, _TWO, _ONE = Bits("qs", 3, 32, in_word=2), Bits("qs", 2, 32), Bits("qs", 1, 32)


def _above(codes: Expr, *runs: int) -> Expr:
    """Zeros and the codes from 192 on in turns, as many as `runs` says."""
    zero, at = codes * 0, 192
    found: Expr = zero[(0 for _ in range(runs[0]))]
    for number, count in enumerate(runs[1:], 1):
        part = codes[at : at + count] if number % 2 else zero[(0 for _ in range(count))]
        at += count if number % 2 else 0
        found = Join(found, part, sum(runs[:number]))
    return found


K_STORED = [
    stored_as(
        *(Q3_K, [("qs", "u1", 96), ("scales", "i1", 16), D]),
        *(
            Put(_PAIRS, _THREE[0:192]),
            Put(_TWO, _above(_THREE & 3, 96, 32, 96, 32, 128)),
            Put(_ONE, _above(_THREE >> 2, 704, 64)),
        ),
        Put(Num("scales"), (Bits("low", 4, 8) | Bits("high", 2, 4) << 4) - 32),
        q=Join(_PAIRS, _TWO[(*range(96, 128), *range(224, 256))] | _ONE[704:768] << 2, 192) - 4,
        scale=Num("d") * Num("scales"),
    ),
    stored_as(Q4_K, [D, DMIN, *_BYTE_FIELDS, ("qs", "u1", 128)], _BYTES, _MINIMA, **_OF_BYTES),
    stored_as(Q5_K, [D, DMIN, *_BYTE_FIELDS, ("qh", "u1", 32), ("qs", "u1", 128)], _BYTES, _MINIMA, **_OF_BYTES),
    stored_as(Q8_K, [("d", "<f4"), ("qs", "i1", 256)]),
]
"""With scales and minima as bytes: Q4_K and Q5_K grow by 4 bytes of 144 and 176, Q3_K by 4 of 110."""
