"""Maps of characters that are damaged: each has one sentence, and none makes the program loop."""

import contextlib
import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamachat.engine.tokenizers.charsmap import CharsMap
from llamachat.errors import ModelFileError


def with_nodes(nodes: list[int], texts: bytes = b"b\0") -> bytes:
    return np.array([4 * len(nodes), *nodes], "<u4").tobytes() + texts


def one_key(byte: int = ord("a"), value: int = 0) -> list[int]:
    """The nodes of a map with one key: the root's base is 1, the key's node is 1 ^ byte, its value beside that."""
    nodes = [0] * 256
    node = 1 ^ byte
    nodes[0] = 1 << 10
    nodes[node] = byte | 1 << 8 | 2 << 10
    nodes[node ^ 2] = 1 << 31 | value
    return nodes


def test_a_key_is_replaced() -> None:
    assert CharsMap(with_nodes(one_key())).normalise("banana") == "bbnbnb"


def test_what_a_user_defined_token_begins_with_is_left_alone() -> None:
    assert CharsMap(with_nodes(one_key()), ["<ab>", "ax"]).normalise("ba<ab<a") == "ba<ab<a"
    assert CharsMap(with_nodes(one_key()), ["<ab>"]).normalise("a<ab<ca") == "b<ab<cb"


def test_the_longest_beginning_of_any_of_them_counts() -> None:
    rng = random.Random(3)
    for _ in range(200):
        verbatim, text = (["".join(rng.choices("aé<", k=rng.randint(1, 6))) for _ in range(n)] for n in (5, 4))
        begun = {one.encode()[:n] for one in verbatim for n in range(1, 13)}
        raw, at, wanted = "".join(text).encode(), 0, b""
        while at < len(raw):
            n = max((n for n in range(1, 13) if raw[at : at + n] in begun), default=0)
            wanted += raw[at : at + n] or (b"b" if raw[at] == ord("a") else raw[at : at + 1])
            at += n or 1
        assert CharsMap(with_nodes(one_key()), verbatim).normalise("".join(text)) == wanted.decode()


def test_a_long_user_defined_token_takes_no_more_memory_than_it_has() -> None:
    tracemalloc.start()
    try:
        assert CharsMap(with_nodes(one_key()), ["<" + "a" * 20_000]).normalise("a<aa") == "b<aa"
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


BROKEN = [
    pytest.param(b"\1", "first four bytes", id="too short"),
    pytest.param(b"\xff\xff\xff\xff" + bytes(8), "first four bytes", id="longer than it is"),
    pytest.param(with_nodes(one_key(value=7)), "lies outside", id="a replacement outside"),
    pytest.param(with_nodes(one_key(0xC3)), "no UTF-8", id="half a character"),
    pytest.param(with_nodes(one_key(), b"\xff\0"), "no UTF-8", id="a replacement that is no text"),
    pytest.param(with_nodes(one_key(), b"ab"), "lies outside", id="a replacement without an end"),
]


@pytest.mark.parametrize(("data", "words"), BROKEN)
def test_a_damaged_map_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        CharsMap(data).normalise("a\xe9")


def test_nodes_in_a_circle_end_with_the_text() -> None:
    nodes = [0] * 256
    nodes[0] = 1 << 10
    nodes[1 ^ ord("a")] = ord("a") | ord("a") << 10
    assert CharsMap(with_nodes(nodes)).normalise("a" * 1000) == "a" * 1000


@settings(max_examples=50, deadline=None)
@given(st.integers())
def test_random_nodes_give_our_errors_only(seed: int) -> None:
    chance = random.Random(seed)
    nodes = [chance.getrandbits(32) & chance.choice((0xFFFFFFFF, 0x3FFFF)) for _ in range(chance.randrange(1, 300))]
    with contextlib.suppress(ModelFileError):
        CharsMap(with_nodes(nodes, bytes(chance.randrange(1, 9)))).normalise("any t\xe9xt")
