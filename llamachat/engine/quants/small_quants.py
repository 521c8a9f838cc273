"""Formats of one to four bits without codebooks: ternary weights, 4-bit floats, signs (ggml-common.h).

TQ1_0 keeps five ternary digits in a byte, packed memory two bits for each. MXFP4's scale is a byte, in packed memory
the upper half of a float32, so that every field has whole units.
"""

from llamachat.engine.quants.codebooks import E2M1
from llamachat.engine.quants.format import block_format
from llamachat.engine.quants.stored import Put, stored_as
from llamachat.engine.quants.trees import Bits, Float, Join, Lookup, Num, Table, Trits

D = ("d", "<f2")

_TRITS = Join(Join(Trits("q0", 32, 5), Trits("q1", 16, 5), 160), Trits("qh", 4, 4), 240)
_TWO = Bits("qs", 2, 8)
_LEVELS = Lookup(Bits("qs", 4, 8), E2M1)

TQ1_0 = block_format(
    *("TQ1_0", [("q0", "u1", 32), ("q1", "u1", 16), ("qh", "u1", 4), D], 256, 256),
    q=_TRITS - 1,
    scale=Num("d"),
)
TQ2_0 = block_format("TQ2_0", [("qs", "u1", 64), D], 256, 256, q=Bits("qs", 2, 32) - 1, scale=Num("d"))
MXFP4 = block_format(
    *("MXFP4", [("e", "u1"), ("qs", "u1", 16)], 32, 32),
    q=Lookup(Bits("qs", 4, 16), E2M1),
    scale=Float("e", "e8m0"),
)
NVFP4 = block_format("NVFP4", [("d", "u1", 4), ("qs", "u1", 32)], 64, 16, q=_LEVELS, scale=Float("d", "ue4m3"))
Q1_0 = block_format("Q1_0", [D, ("qs", "u1", 16)], 128, 128, q=(Bits("qs", 1) << 1) - 1, scale=Num("d"))
Q2_0 = block_format("Q2_0", [D, ("qs", "u1", 16)], 64, 64, q=Bits("qs", 2) - 1, scale=Num("d"))
Q2_0_128 = block_format("Q2_0_128", [D, ("qs", "u1", 32)], 128, 128, q=Bits("qs", 2) - 1, scale=Num("d"))

SMALL_QUANTS = [TQ1_0, TQ2_0, MXFP4, NVFP4, Q1_0, Q2_0, Q2_0_128]

# 0x7f is zero in the file; in packed memory every byte below 128 is the number that its digits say.
_PLAIN = Table.of("UE4M3", [0 if byte == 0x7F else byte & 0x7F for byte in range(256)])

SMALL_STORED = [
    stored_as(TQ1_0, [("qs", "u1", 64), D], Put(_TWO, _TRITS), q=_TWO - 1),
    stored_as(
        MXFP4, [("d", "<u2"), ("qs", "u1", 16)], Put(Float("d", "bf16"), Float("e", "e8m0")), scale=Float("d", "bf16")
    ),
    stored_as(
        *(NVFP4, [("d", "u1", 4), ("qs", "u1", 32)], Put(Num("d"), Lookup(Num("d"), _PLAIN))),
        scale=Float("d", "e4m3"),
    ),
]
