"""The tensor types of ggml: number in the file, name, weights in a block, bytes of a block (ggml.h, ggml-common.h).

`register_type` adds one from elsewhere, `unregister_type` takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass

from llamachat.errors import UsageError


@dataclass(frozen=True)
class GgmlType:
    """One tensor type. The engine computes with some of them (`quants.FORMATS`); all have a size."""

    id: int
    name: str
    block: int
    bytes: int


_ROWS = [
    *((0, "F32", 1, 4), (1, "F16", 1, 2), (2, "Q4_0", 32, 18), (3, "Q4_1", 32, 20), (6, "Q5_0", 32, 22)),
    *((7, "Q5_1", 32, 24), (8, "Q8_0", 32, 34), (9, "Q8_1", 32, 36), (10, "Q2_K", 256, 84), (11, "Q3_K", 256, 110)),
    *((12, "Q4_K", 256, 144), (13, "Q5_K", 256, 176), (14, "Q6_K", 256, 210), (15, "Q8_K", 256, 292)),
    *((16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74), (18, "IQ3_XXS", 256, 98), (19, "IQ1_S", 256, 50)),
    *((20, "IQ4_NL", 32, 18), (21, "IQ3_S", 256, 110), (22, "IQ2_S", 256, 82), (23, "IQ4_XS", 256, 136)),
    *((24, "I8", 1, 1), (25, "I16", 1, 2), (26, "I32", 1, 4), (27, "I64", 1, 8), (28, "F64", 1, 8)),
    *((29, "IQ1_M", 256, 56), (30, "BF16", 1, 2), (34, "TQ1_0", 256, 54), (35, "TQ2_0", 256, 66)),
    *((39, "MXFP4", 32, 17), (40, "NVFP4", 64, 36), (41, "Q1_0", 128, 18), (42, "Q2_0", 64, 18)),
]

TYPES: dict[int, GgmlType] = {row[0]: GgmlType(*row) for row in _ROWS}
BY_NAME: dict[str, GgmlType] = {kind.name: kind for kind in TYPES.values()}

OTHER_SIZES: dict[int, GgmlType] = {42: GgmlType(42, "Q2_0_128", 128, 34)}
"""Types whose number a fork of ggml has given blocks of another size, before ggml itself took it: which of both a file
has follows from where its tensors are."""

BY_NAME |= {kind.name: kind for kind in OTHER_SIZES.values()}


def register_type(kind: GgmlType) -> None:
    """Makes a tensor type from elsewhere known to the reader and the writer of files.

    Raises UsageError for a number or a name that a known type has, and for sizes that are not positive.
    """
    if kind.id in TYPES or kind.name in BY_NAME:
        known = TYPES.get(kind.id) or BY_NAME[kind.name]
        raise UsageError(f"the tensor type {kind.name} ({kind.id}) is known already: {known.name} ({known.id})")
    if min(kind.block, kind.bytes) < 1 or not 0 <= kind.id < 1 << 32:
        raise UsageError(f"{kind} is no tensor type: its sizes must be positive and its number have 32 bits")
    TYPES[kind.id] = BY_NAME[kind.name] = kind


def unregister_type(name: str) -> None:
    """Takes a `register_type` back."""
    del TYPES[BY_NAME.pop(name).id]
