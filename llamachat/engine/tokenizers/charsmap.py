"""SentencePiece's normalisation of characters (`precompiled_charsmap`): prefixes of a text and what replaces them.

The file holds a double array (Kanda 2018, "Space- and time-efficient string dictionaries") and a list of replacements
that end in NUL. Bits of a node: 0 to 7 its byte, 8 it has a value, 9 the base is shifted by eight more, 10 to 30 the
base; bit 31 marks a value, which is an offset into the replacements. Little endian throughout. Nodes are shared, so
that the keys are far more than the nodes: they are walked, not listed.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable

import numpy as np

from llamachat.errors import ModelFileError

KEY = "tokenizer.ggml.precompiled_charsmap"
_VALUE = 1 << 31
_HAS_VALUE = 1 << 8
_WIDE = 1 << 9


class CharsMap:
    """Longest keys are replaced first; a text that `verbatim` texts begin like is left as it is as far as that goes.

    Raises ModelFileError for data that is no such map, also when a text leads to what is damaged in it.
    """

    def __init__(self, data: bytes, verbatim: Iterable[str] = ()) -> None:
        size = int.from_bytes(data[:4], "little")
        if data and (len(data) < 4 or size % 4 or 4 + size >= len(data)):
            raise ModelFileError(f"its first four bytes say {size} bytes of {len(data)}", where=KEY)
        nodes = np.frombuffer(data, "<u4", size // 4, 4 if data else 0).astype(np.int64)
        self._nodes: list[int] = nodes.tolist()
        self._bases: list[int] = ((nodes >> 10) << ((nodes & _WIDE) >> 6)).tolist()
        self._labels: list[int] = (nodes & (_VALUE | 0xFF)).tolist()
        self._texts = data[4 + size :]
        self._verbatim = sorted({text.encode(errors="replace") for text in verbatim if text})
        self._first = {raw[0] for raw in self._verbatim}
        self._longest = max(map(len, self._verbatim), default=0)
        self._special = self._places()

    def normalise(self, text: str) -> str:
        """The text with its replacements. Raises ModelFileError for a map that makes no text of it."""
        if self._special is None:
            return text
        raw, at = text.encode(), 0
        found: list[bytes] = []
        while match := self._special.search(raw, at):
            start = match.start()
            length, replacement = self._at(raw, start)
            found += (raw[at:start], replacement)
            at = start + length
        found.append(raw[at:])
        try:
            return b"".join(found).decode()
        except UnicodeDecodeError as error:
            raise ModelFileError("holds keys or replacements that are no UTF-8", where=KEY) from error

    def _places(self) -> re.Pattern[bytes] | None:
        """Finds where something may be replaced: beyond ASCII, right before that, and where an ASCII key may begin.

        None where nothing is.
        """
        if not self._nodes and not self._verbatim:
            return None
        special = {*self._first}
        root = self._bases[0] if self._nodes else 0
        for byte in range(1, 128) if self._nodes else ():
            if self._is_child(root ^ byte, byte):
                base = root ^ byte ^ self._bases[root ^ byte]
                longer = any(self._is_child(base ^ one, one) for one in range(1, 128))
                if longer or self._nodes[root ^ byte] & _HAS_VALUE:
                    special.add(byte)
        marked = b"".join(re.escape(bytes([byte])) for byte in sorted(special))
        own = b"|[" + marked + b"]" if marked else b""
        return re.compile(rb"[\x80-\xff]|[\x00-\x7f](?=[\x80-\xff])" + own)

    def _is_child(self, node: int, byte: int) -> bool:
        return node < len(self._labels) and self._labels[node] == byte

    def _at(self, raw: bytes, start: int) -> tuple[int, bytes]:
        """How many bytes from `start` on are replaced, and by what; else the character there."""
        if raw[start] in self._first:
            own = self._verbatim_at(raw, start)
            return len(own), own
        length, value = 0, 0
        nodes, bases, labels, count = self._nodes, self._bases, self._labels, len(self._nodes)
        node = bases[0] if count else 0
        for at in range(start, len(raw)):
            node ^= raw[at]
            if node >= count or labels[node] != raw[at] or not raw[at]:
                break
            has_value = nodes[node] & _HAS_VALUE
            node ^= bases[node]
            if has_value:
                length, value = at + 1 - start, self._value(node)
        if length:
            return length, self._texts[value : self._texts.find(b"\0", value)]
        length = 1
        while start + length < len(raw) and raw[start + length] & 0xC0 == 0x80:
            length += 1
        return length, raw[start : start + length]

    def _verbatim_at(self, raw: bytes, start: int) -> bytes:
        """What stands there of a `verbatim` text: the longest beginning is one of a neighbour's in their order."""
        here = raw[start : start + self._longest]
        place = bisect(self._verbatim, here)
        beside = self._verbatim[max(0, place - 1) : place + 1]
        return here[: max((_n_same(here, one) for one in beside), default=0)]

    def _value(self, node: int) -> int:
        """The place of a replacement. Raises ModelFileError where there is none."""
        value = self._nodes[node] & (_VALUE - 1) if node < len(self._nodes) else len(self._texts)
        if self._texts.find(b"\0", value) < 0:
            raise ModelFileError("a replacement lies outside", where=KEY)
        return value


def _n_same(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    differing = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))
