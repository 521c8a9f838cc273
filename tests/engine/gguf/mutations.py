"""Seeded damage to a header: bytes flipped, overwritten, cut out, put in, swapped; integers made huge."""

import random
import struct
from collections.abc import Callable

Mutation = Callable[[bytearray, random.Random, int], None]

HUGE = (0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**48, 2**60, 2**63 - 1, 2**63, 2**64 - 32, 2**64 - 1)
SMALL = (0, 1, 2, 8, 9, 10, 12, 13, 255)


def flip_a_bit(header: bytearray, rng: random.Random, at: int) -> None:
    """One bit."""
    header[at] ^= 1 << rng.randrange(8)


def set_a_byte(header: bytearray, rng: random.Random, at: int) -> None:
    """Any byte."""
    header[at] = rng.randrange(256)


def set_a_number(header: bytearray, rng: random.Random, at: int) -> None:
    """Eight bytes become a huge integer, or four a small one."""
    raw = struct.pack("<Q", rng.choice(HUGE)) if rng.random() < 0.7 else struct.pack("<I", rng.choice(SMALL))
    raw = raw[: len(header) - at]
    header[at : at + len(raw)] = raw


def fill(header: bytearray, rng: random.Random, at: int) -> None:
    """A stretch of zeros or ones."""
    n = min(rng.choice((1, 2, 4, 8, 16, 64)), len(header) - at)
    header[at : at + n] = bytes([rng.choice((0, 255))]) * n


def cut(header: bytearray, rng: random.Random, at: int) -> None:
    """A stretch is missing."""
    del header[at : at + rng.choice((1, 4, 8, 40))]


def insert(header: bytearray, rng: random.Random, at: int) -> None:
    """A stretch too many."""
    header[at:at] = rng.randbytes(rng.choice((1, 4, 8, 40)))


def repeat(header: bytearray, rng: random.Random, at: int) -> None:
    """A stretch twice: names and keys that occur twice."""
    header[at:at] = header[at : at + rng.choice((8, 40, 60, 200))]


def swap(header: bytearray, rng: random.Random, at: int) -> None:
    """Two stretches of the same length change places."""
    n, other = rng.choice((1, 4, 8, 30)), rng.randrange(len(header))
    low, high = sorted((at, other))
    if low + n <= high and high + n <= len(header):
        header[low : low + n], header[high : high + n] = header[high : high + n], header[low : low + n]


MUTATIONS: tuple[Mutation, ...] = (flip_a_bit, set_a_byte, set_a_number, fill, cut, insert, repeat, swap)


def mutate(header: bytes, rng: random.Random, position: Callable[[], int]) -> bytearray:
    """A copy with one to three mutations; `position` draws a place in the header."""
    out = bytearray(header)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(MUTATIONS)(out, rng, min(position(), len(out) - 1))
    return out
