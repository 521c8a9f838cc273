"""The wire format of protocol buffers (protobuf.dev/programming-guides/encoding), as far as SentencePiece needs it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from llamachat.errors import ModelFileError


def fields(raw: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """(number of the field, value) one after the other: integers, float32, or bytes. Raises ModelFileError."""
    at = 0
    try:
        while at < len(raw):
            tag, at = _varint(raw, at)
            kind = tag & 7
            value: int | float | bytes
            if kind == 0:
                value, at = _varint(raw, at)
            elif kind == 5:
                (value,), at = struct.unpack_from("<f", raw, at), at + 4
            elif kind == 1:
                (value,), at = struct.unpack_from("<d", raw, at), at + 8
            elif kind == 2:
                length, at = _varint(raw, at)
                if length > len(raw) - at:
                    raise ValueError("a field is longer than its file")
                value, at = raw[at : at + length], at + length
            else:
                raise ValueError(f"a field of the kind {kind}")
            yield tag >> 3, value
    except (ValueError, IndexError, struct.error) as error:
        raise ModelFileError(f"the file is none of SentencePiece ({error})") from error


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than ten bytes")
