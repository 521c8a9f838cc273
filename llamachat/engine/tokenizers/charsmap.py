"""SentencePiece's normalisation of characters (`precompiled_charsmap`): prefixes of a text and what replaces them.

The file holds a double array (Darts; Kanda et al. 2017, "Compressed double-array tries") and a list of replacements
that end in NUL. Bits of a node: 0 to 7 its byte, 8 it has a value, 9 the base is shifted by eight more, 10 to 30 the
base; bit 31 marks a value, which is an offset into the replacements. Little endian throughout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from llamachat.errors import ModelFileError

KEY = "tokenizer.ggml.precompiled_charsmap"
_VALUE = 1 << 31
_TOGETHER = 1024
"""Nodes whose children are looked for at once: 255 places each."""
_MOST_NODES = 1_000_000
"""On all ways from the root; nmt_nfkc has 60,000."""


class CharsMap:
    """Longest keys are replaced first; a text that `verbatim` texts begin like is left as it is as far as that goes."""

    def __init__(self, data: bytes, verbatim: Iterable[str] = ()) -> None:
        replacements = _read(data) if data else {}
        self._replacements = replacements
        self._paths = {text[:n] for text in verbatim for n in range(1, len(text) + 1)}
        self._longest = max(map(len, (*replacements, *self._paths)), default=0)
        first = {key[0] for key in replacements if len(key) == 1} | {path for path in self._paths if len(path) == 1}
        later = {character for key in replacements for character in key[1:]}
        self._special = _rest(first, later) if first or later else None

    def normalise(self, text: str) -> str:
        """The text with its replacements."""
        if self._special is None:
            return text
        found: list[str] = []
        at = 0
        while match := self._special.search(text, at):
            start = match.start()
            length, replacement = self._at(text, start)
            found += (text[at:start], replacement)
            at = start + length
        return "".join(found) + text[at:]

    def _at(self, text: str, start: int) -> tuple[int, str]:
        """How many characters from `start` on are replaced, and by what."""
        path = 0
        while text[start : start + path + 1] in self._paths and start + path < len(text):
            path += 1
        if path:
            return path, text[start : start + path]
        for length in range(min(self._longest, len(text) - start), 0, -1):
            found = self._replacements.get(text[start : start + length])
            if found is not None:
                return length, found
        return 1, text[start]


def _rest(first: set[str], later: set[str]) -> re.Pattern[str]:
    """Finds where something may be replaced: a character that is a key, or one before a character in a longer key."""
    one = f"[{''.join(map(re.escape, sorted(first)))}]" if first else "(?!)"
    return re.compile(f"{one}|.(?=[{''.join(map(re.escape, sorted(later)))}])" if later else one, re.DOTALL)


def _read(data: bytes) -> dict[str, str]:
    """All keys with their replacements. Raises ModelFileError for what is no such map."""
    size = int.from_bytes(data[:4], "little")
    if len(data) < 4 or size % 4 or 4 + size >= len(data):
        raise ModelFileError(f"its first four bytes say {size} bytes of {len(data)}", where=KEY)
    nodes = np.frombuffer(data, "<u4", size // 4, 4).astype(np.int64)
    texts = data[4 + size :]
    return {_text(key): _text(texts[value : texts.find(b"\0", value)]) for key, value in _keys(nodes, len(texts))}


def _keys(nodes: np.ndarray, n_bytes: int) -> list[tuple[bytes, int]]:
    """Keys and the places of their replacements. nodes: int64 [n].

    Nodes may be shared, and in a damaged file form a circle. Raises ModelFileError where a value lies outside, or keys
    do not end.
    """
    bases = (nodes >> 10) << ((nodes & (1 << 9)) >> 6)
    labels = nodes & (_VALUE | 0xFF)
    found: list[tuple[bytes, int]] = []
    waiting = [(b"", int(bases[0]))] if len(nodes) else []
    n_seen = 0
    while waiting:
        level, waiting = waiting[:_TOGETHER], waiting[_TOGETHER:]
        n_seen += len(level)
        if n_seen > _MOST_NODES:
            raise ModelFileError("it has more keys than make sense", where=KEY)
        children = np.array([base for _, base in level])[:, None] ^ np.arange(1, 256)
        inside = children < len(nodes)
        rows, columns = np.nonzero(inside & (labels[np.where(inside, children, 0)] == np.arange(1, 256)))
        for row, byte in zip(rows.tolist(), (columns + 1).tolist(), strict=True):
            key, node = level[row][0] + bytes([byte]), level[row][1] ^ byte
            after = node ^ int(bases[node])
            if nodes[node] & (1 << 8):
                value = int(nodes[after]) & (_VALUE - 1) if after < len(nodes) else n_bytes
                if value >= n_bytes:
                    raise ModelFileError("a replacement lies outside", where=KEY)
                found.append((key, value))
            waiting.append((key, after))
    return found


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ModelFileError("holds bytes that are no UTF-8", where=KEY) from error
