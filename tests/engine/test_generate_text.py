"""Releasing text: complete UTF-8 only, stop strings held back and cut."""

import pytest

from llamachat.engine.text import TextStream
from llamachat.errors import UsageError

FACE = "😀".encode()


def released(pieces: list[bytes], stops: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    stream = TextStream(stops)
    texts = [stream.feed(piece) for piece in pieces]
    return [*texts, stream.finish()], stream.stopped


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([b"ab", b"c"], ["ab", "c", ""], id="plain"),
        pytest.param([FACE[:1], FACE[1:3], FACE[3:]], ["", "", "😀", ""], id="a character over three tokens"),
        pytest.param([b"x" + FACE[:2]], ["x", "�"], id="a character never completed"),
        pytest.param([FACE[:2], b"ok"], ["", "�ok", ""], id="a character that cannot be completed any more"),
        pytest.param([b"\xff", b"a"], ["�", "a", ""], id="a byte that is never UTF-8"),
        pytest.param([], [""], id="nothing"),
    ],
)
def test_only_complete_characters_are_released(pieces: list[bytes], expected: list[str]) -> None:
    assert released(pieces) == (expected, False)


@pytest.mark.parametrize(
    ("pieces", "stops", "expected", "stopped"),
    [
        pytest.param([b"a END b"], ("END",), ["a ", ""], True, id="inside one token"),
        pytest.param([b"a E", b"N", b"D b", b"c"], ("END",), ["a ", "", "", "", ""], True, id="over three tokens"),
        pytest.param([b"a E", b"N", b"T"], ("END",), ["a ", "", "ENT", ""], False, id="begun but not finished"),
        pytest.param([b"a EN"], ("END",), ["a ", "EN"], False, id="held back until the end"),
        pytest.param([b"EEND"], ("END",), ["E", ""], True, id="a false start right before"),
        pytest.param([b"aaab"], ("aab",), ["a", ""], True, id="overlapping itself"),
        pytest.param([b"ab", b"c"], ("abc", "b"), ["a", "", ""], True, id="the one complete first counts"),
        pytest.param([b"xyz"], ("yz", "xyz"), ["", ""], True, id="the longer of two complete at once"),
        pytest.param([FACE[:2], FACE[2:] + b"!"], ("😀",), ["", "", ""], True, id="a stop of several bytes"),
    ],
)
def test_stop_strings_are_held_back_and_cut(
    pieces: list[bytes], stops: tuple[str, ...], expected: list[str], stopped: bool
) -> None:
    assert released(pieces, stops) == (expected, stopped)


@pytest.mark.parametrize("stops", [("END",), ("ab", "b c"), ("\n\n", "\nUser:"), ("aab", "ab")])
def test_the_text_does_not_depend_on_how_the_bytes_are_cut(stops: tuple[str, ...]) -> None:
    whole = "aab c\nUse\n\nENEND é😀 User:".encode()
    expected = "".join(released([whole], stops)[0])
    for size in range(1, 8):
        pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
        assert "".join(released(pieces, stops)[0]) == expected


@pytest.mark.parametrize("stops", [pytest.param(("a", ""), id="empty"), pytest.param("END", id="a bare string")])
def test_senseless_stop_strings_are_refused(stops: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="stop"):
        TextStream(stops)


def spelled(stops: tuple[str, ...], *pieces: bytes | str) -> tuple[list[str], bool]:
    """What is released after each piece, and whether it stopped; texts are control tokens, which print nothing."""
    stream = TextStream(stops)
    texts = [stream.feed(b"", one) if isinstance(one, str) else stream.feed(one) for one in pieces]
    return [*texts, stream.finish()], stream.stopped


@pytest.mark.parametrize(
    ("stops", "pieces", "released", "stopped"),
    [
        pytest.param(("<end>",), (b"ab", "<end>", b"c"), ["ab", "", "", ""], True, id="a control token"),
        pytest.param(("<end>",), (b"ab", "<other>", b"c"), ["ab", "", "c", ""], False, id="another"),
        pytest.param(("\n<end>",), (b"a\n", "<end>"), ["a", "", ""], True, id="text before it"),
        pytest.param(("\n<end>",), (b"a\n", "<other>", b"b"), ["a", "", "\nb", ""], False, id="text before another"),
        pytest.param(("<end>x",), (b"a", "<end>", b"y"), ["a", "", "y", ""], False, id="other text behind it"),
        pytest.param(("<end>x",), (b"a", "<end>", b"x"), ["a", "", "", ""], True, id="text behind it"),
        pytest.param(("<a><b>",), ("<a>", b"", "<b>", b"c"), ["", "", "", "", ""], True, id="two control tokens"),
        pytest.param(("<a><b>",), (b"1", "<a>", b"2", "<b>", b"3"), ["1", "", "2", "", "3", ""], False, id="apart"),
        pytest.param(("<end>",), (b"a<e", b"nd>", b"c"), ["a", "", "", ""], True, id="spelled by letters"),
        pytest.param(("<end>",), (b"a<e", "<end>"), ["a", "<e", ""], True, id="begun by letters"),
    ],
)
def test_a_stop_string_may_spell_control_tokens(
    stops: tuple[str, ...], pieces: tuple[bytes | str, ...], released: list[str], stopped: bool
) -> None:
    assert spelled(stops, *pieces) == (released, stopped)
