"""The names that a person gives: a mix is a base type, to which most matrices go, and rules for the others.

Numbers are `general.file_type` (llama.h, llama_ftype); base types those of llama.cpp's `llama_ftype_get_default_type`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llamachat.errors import UsageError


@dataclass(frozen=True)
class Mix:
    """A name, `general.file_type`, the type of most matrices, and what it is for."""

    name: str
    number: int
    base: str
    said: str


_ROWS: Final = (
    ("F32", 0, "F32", "32-bit floats"),
    ("F16", 1, "F16", "16-bit floats"),
    ("BF16", 32, "BF16", "16-bit floats with the range of F32"),
    ("Q8_0", 7, "Q8_0", "8.5 bits, hardly a loss"),
    ("Q6_K", 18, "Q6_K", "6.6 bits, very small loss"),
    ("Q5_K_M", 17, "Q5_K", "5.7 bits, small loss, recommended"),
    ("Q5_K_S", 16, "Q5_K", "5.5 bits, small loss"),
    ("Q5_1", 9, "Q5_1", "6 bits, without a matrix of 256 columns"),
    ("Q5_0", 8, "Q5_0", "5.5 bits, without a matrix of 256 columns"),
    ("Q4_K_M", 15, "Q4_K", "4.8 bits, balanced, recommended"),
    ("Q4_K_S", 14, "Q4_K", "4.6 bits, more loss"),
    ("Q4_1", 3, "Q4_1", "5 bits, early type"),
    ("Q4_0", 2, "Q4_0", "4.5 bits, early type"),
    ("IQ4_NL", 25, "IQ4_NL", "4.5 bits, uneven levels"),
    ("IQ4_XS", 30, "IQ4_XS", "4.3 bits, uneven levels"),
    ("MXFP4", 38, "MXFP4", "experts in 4.25 bits, the rest Q8_0"),
    ("NVFP4", 39, "NVFP4", "4.5 bits, floats of 4 bits"),
    ("Q3_K_L", 13, "Q3_K", "4.0 bits, noticeable loss"),
    ("Q3_K_M", 12, "Q3_K", "3.7 bits, noticeable loss"),
    ("Q3_K_S", 11, "Q3_K", "3.4 bits, high loss"),
    ("IQ3_M", 27, "IQ3_S", "3.7 bits"),
    ("IQ3_S", 26, "IQ3_S", "3.4 bits"),
    ("IQ3_XS", 22, "IQ3_S", "3.3 bits"),
    ("IQ3_XXS", 23, "IQ3_XXS", "3.1 bits, needs an importance matrix"),
    ("Q2_K", 10, "Q2_K", "3.0 bits, high loss"),
    ("Q2_K_S", 21, "Q2_K", "2.8 bits, needs an importance matrix"),
    ("IQ2_M", 29, "IQ2_S", "2.7 bits, needs an importance matrix"),
    ("IQ2_S", 28, "IQ2_XS", "2.5 bits, needs an importance matrix"),
    ("IQ2_XS", 20, "IQ2_XS", "2.3 bits, needs an importance matrix"),
    ("IQ2_XXS", 19, "IQ2_XXS", "2.1 bits, needs an importance matrix"),
    ("IQ1_M", 31, "IQ1_M", "1.8 bits, needs an importance matrix"),
    ("IQ1_S", 24, "IQ1_S", "1.6 bits, needs an importance matrix"),
    ("TQ2_0", 37, "TQ2_0", "2.1 bits, for models of -1, 0 and 1"),
    ("TQ1_0", 36, "TQ1_0", "1.7 bits, for models of -1, 0 and 1"),
    ("Q2_0", 41, "Q2_0", "2.3 bits, levels of -1 to 2"),
    ("Q1_0", 40, "Q1_0", "1.1 bits, signs alone"),
)

MIXES: Final[dict[str, Mix]] = {row[0]: Mix(*row) for row in _ROWS}

COPY: Final = "COPY"
"""In place of a mix: every tensor keeps its type."""

OTHER_NAMES: Final = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "MXFP4_MOE": "MXFP4"}


def mix_of(name: str) -> Mix | None:
    """The mix of a name in capitals or not, or of its number; None for COPY. Raises UsageError."""
    wanted = name.strip().upper()
    if wanted == COPY:
        return None
    wanted = OTHER_NAMES.get(wanted, wanted)
    numbers = {str(mix.number): mix for mix in MIXES.values()}
    found = MIXES.get(wanted) or numbers.get(wanted)
    if found is None:
        raise UsageError(f"{name!r} is no type: give one of {', '.join((*MIXES, COPY))}", settings=("mix",))
    return found
