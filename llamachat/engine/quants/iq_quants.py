"""Formats whose codes number entries of codebooks, four or eight weights each (ggml-common.h: block_iq2_xxs and so on).

In packed memory there are no entries but the magnitudes' numbers and the signs, as planes of bits: 3 bits for a weight
of IQ2, 4 for one of IQ3, 2 and a shared one for IQ1. Planes are arranged so that 32 neighbouring columns lie in as few
bytes as possible.
"""

from typing import Any

from llamachat.engine.quants.codebooks import (
    IQ2_MAGNITUDES,
    IQ2_SIGNED,
    IQ3_XXS_MAGNITUDES,
    IQ3_XXS_SIGNED,
    IQ4,
    SIGNS,
    TABLES,
)
from llamachat.engine.quants.format import BlockFormat, block_format
from llamachat.engine.quants.stored import Put, Stored, stored_as
from llamachat.engine.quants.trees import Bits, Expr, Half, Lookup, Num, Table

D = ("d", "<f2")
NIBBLE_SCALES, BIT_SIGNS = Bits("scales", 4), Bits("signs", 1)

# Words of 32 bits in pairs, four indices of 8 bits, then four numbers of 7 signs and a scale of 4 bits.
_PAIRS = ("pairs", "<u4", 16)
_PAIR_INDEX = Bits("pairs", 8, in_word=4)[(8 * j + i for j in range(8) for i in range(4))]
_PAIR_SIGNS = Lookup(Bits("pairs", 7, in_word=4)[(8 * j + 4 + i for j in range(8) for i in range(4))], SIGNS)
_PAIR_SCALES = Bits("pairs", 4, in_word=8)[range(15, 128, 16)]


def _odd(numbers: Expr) -> Expr:
    """2 n + 1."""
    return numbers << 1 | 1


def _signed(magnitudes: Expr, signs: Expr) -> Expr:
    """Negative where the sign is 1."""
    return magnitudes * (signs * -2 + 1)


# IQ2: numbers of magnitudes, signs, scales.
_IQ2_LEVELS = Table.of("IQ2_LEVELS", IQ2_MAGNITUDES)
_IQ2 = {
    "IQ2_XXS": (Lookup(_PAIR_INDEX, TABLES["IQ2_XXS"]), _PAIR_SIGNS, _PAIR_SCALES),
    "IQ2_XS": (
        *(Lookup(Num("qs") & 511, TABLES["IQ2_XS"]), Lookup(Num("qs") >> 9, SIGNS)),
        NIBBLE_SCALES,
    ),
    "IQ2_S": (Lookup(Num("qs") | Bits("qh", 2) << 8, TABLES["IQ2_S"]), BIT_SIGNS, NIBBLE_SCALES),
}
_IQ2_LAYOUTS = {
    "IQ2_XXS": [D, _PAIRS],
    "IQ2_XS": [D, ("qs", "<u2", 32), ("scales", "u1", 8)],
    "IQ2_S": [D, ("qs", "u1", 32), ("signs", "u1", 32), ("qh", "u1", 8), ("scales", "u1", 8)],
}


def _iq2(name: str) -> tuple[BlockFormat, Stored]:
    codes, signs, scales = _IQ2[name]
    group = 32 if name == "IQ2_XXS" else 16
    found = block_format(
        *(name, _IQ2_LAYOUTS[name], 256, group),
        q=_signed(Lookup(codes, _IQ2_LEVELS), signs),
        scale=Num("d") * 0.125 * _odd(scales),
    )
    n_scales = 256 // group
    planes = Bits("qs", 2, 8), Bits("signs", 1, 4), Bits("scales", 4, n_scales // 2)
    stored = stored_as(
        *(found, [("qs", "u1", 64), ("signs", "u1", 32), ("scales", "u1", n_scales // 2), D]),
        *(Put(to, numbers) for to, numbers in zip(planes, (codes, signs, scales), strict=True)),
        q=Lookup(planes[0] | planes[1] << 2, IQ2_SIGNED),
        scale=Num("d") * 0.125 * _odd(planes[2]),
    )
    return found, stored


# IQ3: numbers of magnitudes, signs, scales.
_IQ3_LEVELS = Table.of("IQ3_LEVELS", IQ3_XXS_MAGNITUDES)
_XXS_WORDS = {"signs": Bits("words", 7, in_word=4), "scales": Bits("words", 4, in_word=8)[range(7, 64, 8)]}
_XXS_CODES, _XXS_SIGNS = Lookup(Num("qs"), TABLES["IQ3_XXS"]), Lookup(_XXS_WORDS["signs"], SIGNS)
_S_CODES = Lookup(Num("qs") | Bits("qh", 1) << 8, TABLES["IQ3_S"])
_NIBBLES, _FOUR_SCALES = Bits("qs", 4, 16), Bits("scales", 4, 4)
_IQ3_STORED = [("qs", "u1", 128), ("scales", "u1", 4), D]


def _iq3_xxs() -> tuple[BlockFormat, Stored]:
    found = block_format(
        *("IQ3_XXS", [D, ("qs", "u1", 64), ("words", "<u4", 8)], 256, 32),
        q=_signed(Lookup(_XXS_CODES, _IQ3_LEVELS), _XXS_SIGNS),
        scale=Num("d") * 0.25 * _odd(_XXS_WORDS["scales"]),
    )
    return found, stored_as(
        *(found, _IQ3_STORED, Put(_NIBBLES, _XXS_CODES | _XXS_SIGNS << 3), Put(_FOUR_SCALES, _XXS_WORDS["scales"])),
        q=Lookup(_NIBBLES, IQ3_XXS_SIGNED),
        scale=Num("d") * 0.25 * _odd(_FOUR_SCALES),
    )


def _iq3_s() -> tuple[BlockFormat, Stored]:
    """Magnitudes are 1, 3 .. 15: the signed codes of packed memory are 0 .. 15 for -15, -13 .. 15."""
    signed = _signed(_odd(_S_CODES), BIT_SIGNS)
    layout = [D, ("qs", "u1", 64), ("qh", "u1", 8), ("signs", "u1", 32), ("scales", "u1", 4)]
    found = block_format("IQ3_S", layout, 256, 32, q=signed, scale=Num("d") * _odd(NIBBLE_SCALES))
    return found, stored_as(
        *(found, _IQ3_STORED, Put(_NIBBLES, (signed + 15) >> 1), Put(_FOUR_SCALES, NIBBLE_SCALES)),
        q=(_NIBBLES << 1) - 15,
        scale=Num("d") * _odd(_FOUR_SCALES),
    )


# IQ1: weights are d / 8 * (2 s + 1) * (8 t + 2 p - 9), t in 0 .. 2, p a bit that 8 (IQ1_M) or 32 weights share.
_M_NIBBLES = Bits("qh", 4)
_TOP = Bits("scales", 4, in_word=4)
_M_HALF = Half(_TOP[3:4] | _TOP[7:8] << 4 | _TOP[11:12] << 8 | _TOP[15:16] << 12)
_M_SCALES = Bits("scales", 3, in_word=4)
_S_SCALES = (Num("qh") >> 12) & 7


def _iq1(layout: list[tuple[Any, ...]], index: Expr, parts: tuple[Expr, Expr, Expr], sharing: int) -> Stored:
    """The format with these d, s and p; p serves `sharing` weights."""
    (d, scales, plus), name = parts, "IQ1_S" if sharing == 32 else "IQ1_M"
    ternary, n_scales = Lookup(index, TABLES["IQ1_S"]), 8 if sharing == 32 else 16
    found = block_format(
        *(name, layout, 256, 256 // n_scales),
        q=(ternary << 3) + (plus << 1)[(i // sharing for i in range(256))] - 9,
        scale=d * 0.125 * _odd(scales),
    )
    # p stands four times, once for each byte of a unit.
    planes = Bits("qs", 2, 8), Bits("plus", 1, 4), Bits("scales", 4, n_scales // 2)
    n_plus = 4 * 256 // sharing
    shared = planes[1][(i // sharing * 4 + i % 4 for i in range(256))]
    return stored_as(
        *(found, [("qs", "u1", 64), ("plus", "u1", n_plus // 8), ("scales", "u1", n_scales // 2), D]),
        *(Put(planes[0], ternary), Put(planes[1], plus[(i // 4 for i in range(n_plus))])),
        *(Put(planes[2], scales), Put(Num("d"), d)),
        q=(planes[0] << 3 | shared << 1) - 9,
        scale=Num("d") * 0.125 * _odd(planes[2]),
    )


IQ1_S = _iq1(
    [D, ("qs", "u1", 32), ("qh", "<u2", 8)],
    Num("qs") | Bits("qh", 3, in_word=4) << 8,
    (Num("d"), _S_SCALES, (Num("qh") >> 15) * -1 + 1),
    32,
)
IQ1_M = _iq1(
    [("qs", "u1", 32), ("qh", "u1", 16), ("scales", "<u2", 4)],
    Num("qs") | (_M_NIBBLES & 7) << 8,
    (_M_HALF, _M_SCALES, (_M_NIBBLES >> 3) * -1 + 1),
    8,
)

# IQ4: the codes' values are no codebook, but sixteen levels.
_XS_SCALES = (Bits("scales_l", 4) | Bits("scales_h", 2, in_word=8) << 4) - 32
IQ4_NL = block_format("IQ4_NL", [D, ("qs", "u1", 16)], 32, 32, q=Lookup(Bits("qs", 4, 16), IQ4), scale=Num("d"))
IQ4_XS = block_format(
    *("IQ4_XS", [D, ("scales_h", "<u2"), ("scales_l", "u1", 4), ("qs", "u1", 128)], 256, 32),
    q=Lookup(Bits("qs", 4, 16), IQ4),
    scale=Num("d") * _XS_SCALES,
)

_STORED = [*map(_iq2, _IQ2), _iq3_xxs(), _iq3_s()]
IQ_QUANTS = [*(fmt for fmt, _ in _STORED), IQ1_S.source, IQ1_M.source, IQ4_NL, IQ4_XS]
IQ_STORED = [
    *(stored for _, stored in _STORED),
    *(IQ1_S, IQ1_M),
    stored_as(
        *(IQ4_XS, [("scales", "i1", 8), ("qs", "u1", 128), D], Put(Num("scales"), _XS_SCALES)),
        scale=Num("d") * Num("scales"),
    ),
]
