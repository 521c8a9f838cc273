"""Writes GGUF version 3: for tests, for conversions, and for expanding a model to floats."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf.metadata import ARRAY, SCALARS, STRING
from llamachat.engine.gguf.reader import DEFAULT_ALIGNMENT
from llamachat.engine.gguf.types import BY_NAME
from llamachat.engine.gguf.unlike import MAGIC
from llamachat.errors import UsageError

_NUMBER_OF = {np.dtype(kind): number for number, (_, kind) in SCALARS.items() if number != 7} | {np.dtype(bool): 7}

# name, type name, shape with rows first, raw bytes
Entry = tuple[str, str, Sequence[int], NDArray[np.uint8]]


def write_gguf(path: str | Path, metadata: Mapping[str, object], tensors: Iterable[Entry]) -> None:
    """Writes a file under another name and then renames it; values as `Metadata` reads them.

    Python integers become uint32 (int32 where negative, 64 bits where they must), floats float32; NumPy scalars and
    arrays keep their type. Tensors are aligned to `general.alignment`. Raises UsageError for a value or a tensor type
    that GGUF does not have, or a tensor whose bytes do not fit its shape.
    """
    entries = list(tensors)
    for entry in entries:
        _check_size(*entry)
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise UsageError(f"general.alignment: {alignment!r} is not a power of two")
    header = _header(metadata, entries, alignment)
    part = Path(path).with_name(Path(path).name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(header)
            for *_, data in entries:
                file.write(bytes(-file.tell() % alignment))
                file.write(data.tobytes())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _header(metadata: Mapping[str, object], entries: Sequence[Entry], alignment: int) -> bytes:
    """Everything up to the end of the tensor infos, padded."""
    out = [MAGIC + struct.pack("<IQQ", 3, len(entries), len(metadata))]
    out += [_string(key) + _value(key, value) for key, value in metadata.items()]
    offset = 0
    for name, kind, shape, data in entries:
        out.append(_string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape)))
        out.append(struct.pack("<IQ", BY_NAME[kind].id, offset))
        offset += -(-data.nbytes // alignment) * alignment
    raw = b"".join(out)
    return raw + bytes(-len(raw) % alignment)


def _check_size(name: str, kind: str, shape: Sequence[int], data: NDArray[np.uint8]) -> None:
    if kind not in BY_NAME:
        raise UsageError(f"{name}: GGUF has no tensor type {kind}")
    if shape[-1] % BY_NAME[kind].block:
        raise UsageError(f"{name}: rows of {shape[-1]} are not whole blocks of {kind}")
    expected = math.prod(shape) // BY_NAME[kind].block * BY_NAME[kind].bytes
    if data.nbytes != expected:
        raise UsageError(f"{name}: {data.nbytes} bytes, but {kind} of shape {list(shape)} has {expected}")


def _string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def _value(key: str, value: object) -> bytes:
    """The type number and the value."""
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    if isinstance(value, np.generic) and value.dtype in _NUMBER_OF:
        return struct.pack("<I", _NUMBER_OF[value.dtype]) + value.tobytes()
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        number = next((n for n, low, high in _INTEGERS if low <= value <= high), None)
        if number is not None:
            return struct.pack("<I", number) + struct.pack(SCALARS[number][0], value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, np.ndarray) and value.dtype in _NUMBER_OF and value.ndim == 1:
        return struct.pack("<IIQ", ARRAY, _NUMBER_OF[value.dtype], value.size) + value.tobytes()
    if isinstance(value, list) and all(isinstance(one, str | bytes) for one in value):
        return struct.pack("<IIQ", ARRAY, STRING, len(value)) + b"".join(_string(one) for one in value)
    raise UsageError(f"{key}: a value of type {type(value).__name__} cannot be written")


_INTEGERS = ((4, 0, 2**32 - 1), (5, -(2**31), -1), (10, 0, 2**64 - 1), (11, -(2**63), -1))
