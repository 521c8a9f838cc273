"""Scales of a byte: which of the numbers that a byte can be are next to a given one, in every lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from llamachat.engine.backend.cpu.jit.values import Vec
from llamachat.engine.backend.cpu.kernels.search import Search

Neighbours = list[tuple[Vec, Vec]]
"""(byte as i32, its number divided by the block's power of two)."""

_LARGEST_E8M0 = 252
"""Its scale times 12, the largest 4-bit float doubled, is finite."""
_LARGEST_E4M3 = 126


def _e8m0(s: Search, wanted: Vec, power: Vec) -> Neighbours:
    """The three powers of two, 2^(byte - 128), around `wanted * power`."""
    exponent = power.as_(s.integers) >> 23
    lower = (wanted.as_(s.integers) >> 23) + exponent - 126
    found = []
    for byte in (lower - 1, lower, lower + 1):
        held = byte.max(0).min(_LARGEST_E8M0)
        field = (held - exponent + 126).max(0).min(254)
        found.append((held, (field << 23).as_(s.kind)))
    return found


def _ue4m3(s: Search, wanted: Vec, power: Vec) -> Neighbours:
    """Floats of 7 bits, whose bits are those of a float32 with another bias of its exponent: 8, not 127."""
    largest = (s.k.constant(s.integers, _LARGEST_E4M3 << 20)).as_(s.kind)
    lower = ((wanted * power).min(256.0) * 2.0**-119).min(largest).as_(s.integers) >> 20
    both = (lower, (lower + 1).min(_LARGEST_E4M3))
    return [(byte, (byte << 20).as_(s.kind) * 2.0**119 / power) for byte in both]


SMALL_REALS: Final[dict[str, Callable[[Search, Vec, Vec], Neighbours]]] = {"e8m0": _e8m0, "ue4m3": _ue4m3}
"""wanted, above 0 and divided by the block's power of two, and that power -> those next to it; by `Float.kind`."""

COARSE: Final = ("e8m0",)
"""Those so far apart that the ones next to the scale without clipping are all that come into question."""
