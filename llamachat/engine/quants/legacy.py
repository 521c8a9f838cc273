"""Formats with one scale for 32 weights (ggml-common.h: block_q4_0 and its neighbours)."""

from llamachat.engine.quants.format import block_format
from llamachat.engine.quants.stored import stored_as
from llamachat.engine.quants.trees import Bits, Num

D = ("d", "<f2")
M = ("m", "<f2")
NIBBLES = ("qs", "u1", 16)
FIFTH_BITS = ("qh", "u1", 4)
FOUR = Bits("qs", 4, 16)
FIVE = FOUR | Bits("qh", 1) << 4

LEGACY = [
    block_format("Q4_0", [D, NIBBLES], 32, 32, q=FOUR - 8, scale=Num("d")),
    block_format("Q4_1", [D, M, NIBBLES], 32, 32, q=FOUR, scale=Num("d"), offset=Num("m")),
    block_format("Q5_0", [D, FIFTH_BITS, NIBBLES], 32, 32, q=FIVE - 16, scale=Num("d")),
    block_format("Q5_1", [D, M, FIFTH_BITS, NIBBLES], 32, 32, q=FIVE, scale=Num("d"), offset=Num("m")),
    block_format("Q8_0", [D, ("qs", "i1", 32)], 32, 32, q=Num("qs"), scale=Num("d")),
    block_format("Q8_1", [D, ("s", "<f2"), ("qs", "i1", 32)], 32, 32, q=Num("qs"), scale=Num("d")),
]

LEGACY_STORED = [stored_as(LEGACY[-1], [D, ("qs", "i1", 32)])]
"""Q8_1 without the sums of codes, which products of other engines need."""
