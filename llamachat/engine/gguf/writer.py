"""Writes GGUF version 3, tensor by tensor: for conversions, quantisation, splitting, and tests.

A tensor's size follows from its type and shape, so the header is written before any data are there; data that a
function gives are made when their turn comes, and no more than one tensor is in memory.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf.metadata import ARRAY, SCALARS, STRING, Raw
from llamachat.engine.gguf.reader import DEFAULT_ALIGNMENT, MAX_ALIGNMENT, MAX_DIMENSIONS
from llamachat.engine.gguf.types import BY_NAME
from llamachat.engine.gguf.unlike import MAGIC
from llamachat.errors import UsageError

_NUMBER_OF = {np.dtype(kind): number for number, (_, kind) in SCALARS.items() if number != 7} | {np.dtype(bool): 7}

Data = NDArray[Any] | Iterable[NDArray[Any]]
"""The bytes of a tensor as they stand in the file: an array of any type, or its pieces one after the other."""

Entry = tuple[str, str, Sequence[int], Data | Callable[[], Data]]
"""Name, type name, shape with rows first, and the data or the function that gives them."""


def write_gguf(path: str | Path, metadata: Mapping[str, object], tensors: Iterable[Entry]) -> None:
    """Writes a file under another name and then renames it; values as `Metadata` reads them.

    Python integers become uint32 (int32 where negative, 64 bits where they must), floats float32; NumPy scalars and
    arrays keep their type, and a `Raw` is written as it is. Tensors begin and end at multiples of `general.alignment`.
    Data that are a function are asked for once, in the order of the tensors, when everything before them is written;
    pieces are written as they come.

    Raises UsageError for a value or a tensor type that GGUF does not have, two tensors of one name, or a tensor whose
    bytes do not fit its shape, and whatever a function raises: then what was at the path before stays.
    """
    entries = list(tensors)
    alignment = _alignment(metadata)
    _check(entries)
    header = _header(metadata, entries, alignment)
    part = Path(path).with_name(Path(path).name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(header)
            for name, kind, shape, data in entries:
                _write(file, name, tensor_bytes(kind, shape), data)
                file.write(bytes(-file.tell() % alignment))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def file_bytes(metadata: Mapping[str, object], tensors: Iterable[Entry]) -> int:
    """Size of the file that `write_gguf` would make; asks for no data. Raises UsageError as it does."""
    entries = list(tensors)
    alignment = _alignment(metadata)
    _check(entries)
    size = len(_header(metadata, entries, alignment))
    for _, kind, shape, _ in entries:
        size += -(-tensor_bytes(kind, shape) // alignment) * alignment
    return size


def header_bytes(metadata: Mapping[str, object], tensors: Iterable[Entry]) -> bytes:
    """The beginning of the file that `write_gguf` would make, up to its first tensor. Raises UsageError as it does."""
    entries = list(tensors)
    _check(entries)
    return _header(metadata, entries, _alignment(metadata))


def tensor_bytes(kind: str, shape: Sequence[int]) -> int:
    """Bytes of a tensor of a type of `BY_NAME` and a shape whose rows are whole blocks of it."""
    return math.prod(shape) // BY_NAME[kind].block * BY_NAME[kind].bytes


def _write(file: BinaryIO, name: str, n_bytes: int, data: Data | Callable[[], Data]) -> None:
    """One tensor; nothing of it is kept when this returns."""
    made = data() if callable(data) else data
    left = n_bytes
    for piece in (made,) if isinstance(made, np.ndarray) else made:
        left -= piece.nbytes
        if left < 0:
            break
        file.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
    if left:
        raise UsageError(f"{name}: the data have {'more' if left < 0 else n_bytes - left} bytes, not {n_bytes}")


def _alignment(metadata: Mapping[str, object]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    number = int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else 0
    if not 1 <= number <= MAX_ALIGNMENT or number & (number - 1):
        raise UsageError(f"general.alignment: {value!r} is not a power of two up to 2^20")
    return number


def _header(metadata: Mapping[str, object], entries: Sequence[Entry], alignment: int) -> bytes:
    """Everything up to the end of the tensor infos, padded."""
    out = [MAGIC + struct.pack("<IQQ", 3, len(entries), len(metadata))]
    out += [_string(key) + _value(key, value) for key, value in metadata.items()]
    offset = 0
    for name, kind, shape, _ in entries:
        out.append(_string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape)))
        out.append(struct.pack("<IQ", BY_NAME[kind].id, offset))
        offset += -(-tensor_bytes(kind, shape) // alignment) * alignment
    raw = b"".join(out)
    return raw + bytes(-len(raw) % alignment)


def _check(entries: Sequence[Entry]) -> None:
    """Raises UsageError for tensors that no file can have."""
    names = set[str]()
    for name, kind, shape, data in entries:
        if name in names:
            raise UsageError(f"{name}: two tensors have this name")
        names.add(name)
        if kind not in BY_NAME:
            raise UsageError(f"{name}: GGUF has no tensor type {kind}")
        if not 1 <= len(shape) <= MAX_DIMENSIONS or min(shape) < 1:
            raise UsageError(f"{name}: {list(shape)} is not a shape of 1 to {MAX_DIMENSIONS} dimensions")
        if shape[-1] % BY_NAME[kind].block:
            raise UsageError(f"{name}: rows of {shape[-1]} are not whole blocks of {kind}")
        expected = tensor_bytes(kind, shape)
        if isinstance(data, np.ndarray) and data.nbytes != expected:
            raise UsageError(f"{name}: {data.nbytes} bytes, but {kind} of shape {list(shape)} has {expected}")


def _string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def _value(key: str, value: object) -> bytes:
    """The type number and the value."""
    if isinstance(value, Raw):
        return value.data
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
