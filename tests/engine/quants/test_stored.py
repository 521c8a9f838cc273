"""The stored form of every block format decodes to what the file's blocks decode to."""

from typing import Any

import numpy as np
import pytest
from test_block_format import assert_same_bits, random_blocks

from llamachat.engine.quants import BLOCK_FORMATS, STORED
from llamachat.engine.quants.stored import Put, Stored, as_in_file, stored_as
from llamachat.engine.quants.trees import Bits, Expr, Lookup

EVERY = pytest.mark.parametrize("stored", STORED.values(), ids=lambda stored: stored.source.name)


@EVERY
def test_stored_blocks_decode_as_the_files_blocks_do(stored: Stored) -> None:
    data = random_blocks(stored.source)
    packed = stored.repack(data)
    assert len(packed) == 500 * stored.format.layout.itemsize
    assert_same_bits(stored.format.decode(packed), stored.source.decode(data))


@EVERY
def test_parts_make_the_same_weights(stored: Stored) -> None:
    """w = d * scale * (codes + bias) + dmin * minimum, as products read it."""
    fmt, data = stored.format, stored.repack(random_blocks(stored.source, 50))
    parts, groups = fmt.parts, fmt.block // fmt.group
    codes = fmt.values(parts.codes, data).astype(np.int64)
    assert codes.max() <= parts.largest
    assert codes.min() >= (-128 if parts.signed else 0)

    def product(real: Expr, integer: Expr | None) -> np.ndarray:
        values = fmt.values(real, data) * (1 if integer is None else fmt.values(integer, data))
        return np.broadcast_to(values.astype(np.float32), (50, groups))[:, :, None]

    with np.errstate(all="ignore"):
        found = product(parts.d, parts.scale) * (codes + parts.bias).astype(np.float32).reshape(50, groups, -1)
        if parts.dmin is not None:
            found = found + product(parts.dmin, parts.minimum)
    assert_same_bits(found.astype(np.float32).ravel(), fmt.decode(data))


@EVERY
def test_codes_are_read_four_neighbours_at_once(stored: Stored) -> None:
    """Columns 4 j .. 4 j + 3 lie in neighbouring bytes at the same bits, whose first is that of a dword."""
    for i in range(0, stored.format.block, 4):
        first, *others = (places(stored.format.parts.codes, i + j) for j in range(4))
        assert all(byte % 4 == 0 for byte, _ in first)
        for j, other in enumerate(others, 1):
            assert other == [(byte + j, bit) for byte, bit in first]


def places(codes: Expr, i: int) -> list[tuple[int, int]]:
    """Where the leaves of code number i are: (byte of the field, bit)."""
    found = []

    def read(leaf: Expr, j: int) -> int:
        if isinstance(leaf, Lookup):
            return leaf.index.at(j // leaf.table.n, read) * 0
        found.append(leaf.place(j) if isinstance(leaf, Bits) else (j, 0))
        return 0

    codes.at(i, read)
    return found


def test_codes_that_are_neighbours_in_a_byte_are_put_into_neighbouring_bytes() -> None:
    five = BLOCK_FORMATS["Q5_0"]
    assert as_in_file(five).puts == (Put(Bits("qh", 1, 4), Bits("qh", 1)),)
    assert as_in_file(BLOCK_FORMATS["Q4_0"]).puts == ()


WRONG = [
    pytest.param([("d", "<f2"), ("qs", "u1", 16), ("m", "<f2")], "nothing fills m", id="a field that nothing fills"),
    pytest.param([("d", "<f4"), ("qs", "u1", 16)], "d is not as in the file", id="another type than in the file"),
]


@pytest.mark.parametrize(("layout", "words"), WRONG)
def test_a_wrong_stored_form_is_caught_when_it_is_written(layout: list[tuple[Any, ...]], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        stored_as(BLOCK_FORMATS["Q4_0"], layout)


def test_numbers_that_do_not_fill_a_field_are_caught() -> None:
    layout = [("d", "<f2"), ("qs", "u1", 32)]
    with pytest.raises((AssertionError, ValueError)):
        stored_as(BLOCK_FORMATS["Q4_0"], layout, Put(Bits("qs", 4, 16), Bits("qs", 4, 16)), q=Bits("qs", 4, 16) - 8)
