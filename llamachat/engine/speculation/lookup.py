"""Prompt look-up: what followed the last words when they stood in the text before (Saxena 2023; llama.cpp's `lookup`).

Editing code, quoting a source or filling in forms repeats long pieces of the prompt; a dictionary of n-grams finds them
at no cost. Longer n-grams are asked first. A file of n-grams from other texts may be asked last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.errors import UsageError
from llamachat.files import read_at_most

SIZES = (5, 4, 3, 2)
"""Lengths of the n-grams, the longest first."""
STATIC_SIZE = 2
"""Length of the n-grams of a file."""
MAGIC = b"llamachat n-grams 1\n"
LARGEST_FILE = 240_000_000
"""Bytes: twenty million n-grams."""


class Lookup:
    """N-grams of the text so far: where each was seen last, and before that."""

    def __init__(self, static: StaticNgrams | None = None) -> None:
        self._text: list[int] = []
        self._seen: dict[tuple[int, ...], int] = {}
        self._static = static

    def propose(self, tokens: Sequence[int], most: int) -> Sequence[int]:
        """The tokens that followed the longest n-gram that ends the text, when it was seen last."""
        self._learn(tokens)
        for size in SIZES:
            place = self._seen.get(tuple(self._text[-size:])) if len(self._text) >= size else None
            if place is not None:
                return self._text[place : place + most]
        return self._static.propose(self._text, most) if self._static is not None else ()

    def _learn(self, tokens: Sequence[int]) -> None:
        """Takes the text in; the n-grams that end it are noted only when something follows them."""
        known = len(self._text)
        if known > len(tokens) or self._text[-1:] != list(tokens[known - 1 : known]):
            self._text, self._seen, known = [], {}, 0
        self._text += tokens[known:]
        for place in range(max(known, 1), len(self._text)):
            for size in SIZES:
                if place >= size:
                    self._seen[tuple(self._text[place - size : place])] = place


class StaticNgrams:
    """A file of n-grams with the token that followed each most often: int32 rows [STATIC_SIZE + 1], sorted."""

    def __init__(self, rows: NDArray[np.int32]) -> None:
        self._next = {tuple(row[:-1]): row[-1] for row in rows.tolist()}

    @classmethod
    def of_file(cls, path: Path, n_vocab: int, name: str = "") -> StaticNgrams:
        """Reads a file that `write_ngrams` made. Raises UsageError for one that is none, or of a larger vocabulary.

        name: what messages call the file.
        """
        name = name or str(path)
        data = read_at_most(path, LARGEST_FILE, name)
        rows = data[len(MAGIC) :]
        if not data.startswith(MAGIC) or len(rows) % (4 * (STATIC_SIZE + 1)):
            raise UsageError(f"{name}: not a file of n-grams", settings=("ngrams",))
        table = np.frombuffer(rows, "<i4").reshape(-1, STATIC_SIZE + 1)
        if table.size and not 0 <= table.min() <= table.max() < n_vocab:
            raise UsageError(f"{name}: made with the vocabulary of another model", settings=("ngrams",))
        return cls(table)

    def propose(self, text: Sequence[int], most: int) -> Sequence[int]:
        """A chain of the likeliest successors."""
        found: list[int] = []
        recent = list(text[-STATIC_SIZE:])
        while len(found) < most and (token := self._next.get(tuple(recent))) is not None:
            found.append(token)
            recent = [*recent[1:], token]
        return found


def write_ngrams(path: Path, text: Sequence[int]) -> None:
    """Writes the n-grams of a text, each with its most frequent successor, for `StaticNgrams.of_file`.

    Raises UsageError for a text that is too short, or a file that cannot be written.
    """
    width = STATIC_SIZE + 1
    if len(text) < width:
        raise UsageError(f"n-grams need a text of at least {width} tokens, not {len(text)}")
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(text, "<i4"), width)
    rows, counts = np.unique(windows, axis=0, return_counts=True)
    order = np.lexsort((-counts, *rows.T[:STATIC_SIZE][::-1]))
    rows = rows[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:, :STATIC_SIZE] != rows[:-1, :STATIC_SIZE]).any(1)
    try:
        path.write_bytes(MAGIC + np.ascontiguousarray(rows[first], "<i4").tobytes())
    except OSError as error:
        raise UsageError(f"the n-grams cannot be written to {path}: {error.strerror or error}") from error
