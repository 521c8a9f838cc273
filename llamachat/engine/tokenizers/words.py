"""Pieces of text that are encoded on their own, and their ids, which are kept: languages repeat their words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np

SPACE = "\u2581"
"""How tokens of most families write a space."""

Split = Callable[[str], list[str]]

LONGEST = 40
"""Characters of a piece that is kept."""

_MOST = 200_000


class KeptPieces(dict[str, list[int]]):
    """piece -> ids, found by a function where it is not known yet."""

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, piece: str) -> list[int]:
        ids = self._encode(piece)
        if len(piece) <= LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[piece] = ids
        return ids

    def encode(self, pieces: Iterable[str]) -> list[int]:
        """The ids of pieces, one after the other."""
        return list(chain.from_iterable(map(self.__getitem__, pieces)))


def cut_before_spaces(texts: Sequence[str], space: str = SPACE) -> Split:
    """Cuts a text before its spaces, but for places that a token may reach across.

    texts: those of the vocabulary. Nothing that is made of tokens lies across a cut, so that each piece can be encoded
    on its own.
    """
    across = _before_spaces("\0".join(("", *texts)), space)
    if not across:
        return re.compile(f"{space}*[^{space}]+|{space}+").findall
    before = "".join(map(re.escape, sorted(across)))
    return re.compile(f"{space}*(?:[^{space}]+|(?<=[{before}]){space}+)+|{space}+").findall


def _before_spaces(text: str, space: str) -> set[str]:
    """The characters before a space, but for spaces and NUL. With NumPy: vocabularies are megabytes."""
    raw, pattern = np.frombuffer(text.encode(errors="replace"), np.uint8), space.encode()
    places = _found(raw, np.flatnonzero(raw == pattern[0]), pattern)
    places = places[(places > 0) & (raw[places - 1] != 0)]
    before = places - len(pattern)
    places = np.setdiff1d(places, _found(raw, before[before >= 0], pattern) + len(pattern), assume_unique=True)
    data = raw.tobytes()
    return {data[max(0, place - 4) : place].decode(errors="ignore")[-1] for place in places.tolist()}


def _found(raw: np.ndarray, places: np.ndarray, pattern: bytes) -> np.ndarray:
    """Those of the places where a pattern stands. raw: uint8 [n]; places: int64 [m], ascending."""
    places = places[places <= len(raw) - len(pattern)]
    for i, byte in enumerate(pattern):
        places = places[raw[places + i] == byte]
    return places
