"""RWKV's tokenizer: at each byte the longest token that the text goes on with."""

from __future__ import annotations

import re
from functools import cached_property

from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, Kind, read_vocabulary

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_NAMED = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}


class LongestBytes(Family):
    """`tokenizer.ggml.model` = rwkv. Tokens are bytes, written with Python's escapes."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(read_vocabulary(keys, Defaults()))

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text; a byte that begins no token is the unknown token, or nothing."""
        raw, ids, lengths, found, at = text.encode(errors="replace"), self._ids, self._lengths, [], 0
        unknown = self.vocabulary.unknown
        end = len(raw)
        while at < end:
            for length in lengths.get(raw[at : at + 2]) or lengths.get(raw[at : at + 1], ()):
                token = ids.get(raw[at : at + length])
                if token is not None and at + length <= end:
                    found.append(token)
                    at += length
                    break
            else:
                at += 1
                if unknown is not None:
                    found.append(unknown)
        return found

    def normal_piece(self, text: str) -> bytes:
        """The bytes that the text stands for."""
        return unescaped(text)

    def piece(self, token: int, special: bool) -> bytes:
        """What a token prints: control and unknown tokens nothing, unless `special`."""
        hidden = self.vocabulary.kinds[token] in (Kind.CONTROL, Kind.UNKNOWN) and not special
        return b"" if hidden else unescaped(self.vocabulary.texts[token])

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        """bytes -> token, without control tokens; the last of equals."""
        hidden = set((self.vocabulary.kinds == Kind.CONTROL).nonzero()[0].tolist())
        texts = enumerate(self.vocabulary.texts)
        return {unescaped(text): token for token, text in texts if text and token not in hidden}

    @cached_property
    def _lengths(self) -> dict[bytes, tuple[int, ...]]:
        """First two bytes -> lengths of the tokens that begin so, the longest first; a last byte alone has 1."""
        found: dict[bytes, set[int]] = {}
        for raw in self._ids:
            found.setdefault(raw[:2], set()).add(len(raw))
        for beginning, lengths in found.items():
            if beginning[:1] in self._ids:
                lengths.add(1)
        return {beginning: tuple(sorted(lengths, reverse=True)) for beginning, lengths in found.items()}


def unescaped(text: str) -> bytes:
    r"""The bytes of a token: \t, \n, \r and \xHH, any other character after a backslash itself."""
    raw = text.encode(errors="replace")
    return _ESCAPE.sub(_escape, raw) if b"\\" in raw else raw


def _escape(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else _NAMED.get(found[2], found[2])
