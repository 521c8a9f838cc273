"""Look-up: what followed the end of the text when it stood there before."""

from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.speculation.lookup import SIZES, Lookup, StaticNgrams, write_ngrams
from llamachat.errors import UsageError


def plain(text: list[int], most: int) -> list[int]:
    """The same by searching the text from its end."""
    for size in SIZES:
        for place in range(len(text) - 1, size - 1, -1):
            if len(text) >= size and text[place - size : place] == text[-size:]:
                return text[place : place + most]
    return []


@pytest.mark.parametrize("n_words", [2, 5, 40])
@pytest.mark.parametrize("seed", range(4))
def test_the_guess_is_what_followed_the_longest_repetition(n_words: int, seed: int) -> None:
    text = np.random.default_rng(seed).integers(0, n_words, 120).tolist()
    lookup = Lookup()
    for n in (1, 2, 3, 40, 41, 90, 120):
        assert list(lookup.propose(text[:n], 7)) == plain(text[:n], 7)


def test_another_text_begins_anew() -> None:
    lookup = Lookup()
    assert list(lookup.propose([1, 2, 3, 1, 2], 2)) == [3, 1]
    assert list(lookup.propose([4, 5, 1, 2], 2)) == []
    assert list(lookup.propose([4, 5], 2)) == []


def test_a_file_of_n_grams_is_asked_last(tmp_path: Path) -> None:
    path = tmp_path / "ngrams"
    write_ngrams(path, [1, 2, 3, 4, 1, 2, 5, 1, 2, 5, 6])
    lookup = Lookup(StaticNgrams.of_file(path, 10))
    assert list(lookup.propose([9, 1, 2], 4)) == [5, 1, 2, 5]
    assert list(lookup.propose([9, 1, 2, 7, 1, 2], 2)) == [7, 1]
    assert list(lookup.propose([8, 8], 3)) == []


@pytest.mark.parametrize("data", [b"", b"GGUF", b"llamachat n-grams 1\n123"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="not a file of n-grams"):
        StaticNgrams.of_file(path, 10)
    with pytest.raises(UsageError, match="no such file"):
        StaticNgrams.of_file(tmp_path / "none", 10)


def test_a_file_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ngrams"
    write_ngrams(path, [1, 2, 30, 4])
    with pytest.raises(UsageError, match="of another model"):
        StaticNgrams.of_file(path, 30)


def test_n_grams_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 3 tokens, not 2"):
        write_ngrams(tmp_path / "ngrams", [1, 2])
    with pytest.raises(UsageError, match="cannot be written"):
        write_ngrams(tmp_path / "no" / "folder", [1, 2, 3])
