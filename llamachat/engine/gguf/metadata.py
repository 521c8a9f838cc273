"""The metadata of a GGUF header: scalars are read at once, arrays when they are asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf.unlike import FETCH_AGAIN, INCOMPLETE
from llamachat.errors import ModelFileError

T = TypeVar("T")

# Limits far above every real model, so that a small file cannot ask for much memory or time.
MAX_KEY_BYTES = 65_535
MAX_TEXT_BYTES = 1 << 26
MAX_STRINGS = 1 << 23
MAX_DEPTH = 4
MAX_NESTED = 1 << 16
MAX_SHOWN = 80

# Value types of the format: number -> (struct code, NumPy type).
SCALARS = {
    0: ("<B", "u1"),
    1: ("<b", "i1"),
    2: ("<H", "<u2"),
    3: ("<h", "<i2"),
    4: ("<I", "<u4"),
    5: ("<i", "<i4"),
    6: ("<f", "<f4"),
    7: ("<B", "u1"),
    10: ("<Q", "<u8"),
    11: ("<q", "<i8"),
    12: ("<d", "<f8"),
}
BOOL, STRING, ARRAY = 7, 8, 9

ALIGNMENT = "general.alignment"

_LENGTH = struct.Struct("<Q")


def shown(value: object) -> str:
    """A value of an untrusted file for a message: one line, printable, short."""
    if isinstance(value, str):
        short = value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}..."
        return short if short.isprintable() and short.strip() == short != "" else ascii(short)
    return repr(value) if isinstance(value, int | float) else "an array"


def typed(metadata: Mapping[str, object], key: str, kind: type[T] | tuple[type[T], ...], what: str, default: T) -> T:
    """The value of a key, or the default where the file has no such key. Raises ModelFileError for another type.

    what: what it must be, for the message. A truth value is no number.
    """
    value = metadata.get(key, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ModelFileError(f"is {shown(value)}, must be {what}", where=key)
    return value


class Cursor:
    """A position in untrusted bytes; every step is checked against their end.

    buffer: the first bytes of a file of `size` bytes; read(n) gives n of them or more, where they are needed. Without
    `read` the buffer is all.
    """

    def __init__(self, buffer: Any, path: object, size: int, read: Callable[[int], bytes] | None = None) -> None:
        self.buffer, self.path, self.size, self.at, self._read = buffer, path, size, 0, read

    def fail(self, message: str, where: str = "") -> ModelFileError:
        """The error to raise about this place; `where` is a name from the file, or empty for the position."""
        return ModelFileError(message, self.path, shown(where) if where else f"at byte {self.at}")

    def incomplete(self, how: str, where: str = "") -> ModelFileError:
        """The error to raise where the file is too short for what it says of itself."""
        return self.fail(f"{how}: {INCOMPLETE}; {FETCH_AGAIN}", where)

    def need(self, n_bytes: int, what: str) -> None:
        """Raises unless that many bytes follow."""
        if n_bytes > self.size - self.at:
            raise self.incomplete(f"the file ends inside {what}")
        self.have(self.at + n_bytes)

    def have(self, end: int) -> None:
        """Reads the bytes before `end`, which the file has, unless they were read."""
        if end > len(self.buffer):
            assert self._read is not None
            self.buffer = self._read(end)

    def scalar(self, kind: int, what: str) -> Any:
        """One number or truth value."""
        code = SCALARS[kind][0]
        n_bytes = struct.calcsize(code)
        self.need(n_bytes, what)
        (value,) = struct.unpack_from(code, self.buffer, self.at)
        self.at += n_bytes
        if kind == BOOL and value > 1:
            raise self.fail(f"{what} is a truth value of {value}, not 0 or 1")
        return bool(value) if kind == BOOL else value

    def integer(self, what: str) -> int:
        """An unsigned 64-bit integer."""
        return int(self.scalar(10, what))

    def string(self, what: str, limit: int) -> bytes:
        """A string as bytes: its length, then itself."""
        length = self.integer(f"the length of {what}")
        if length > limit:
            raise self.fail(f"{what} claims {length} bytes; {limit} is the most that makes sense")
        self.need(length, what)
        self.at += length
        return bytes(self.buffer[self.at - length : self.at])

    def name(self, what: str) -> str:
        """A string that must be UTF-8 and is shown to people."""
        raw = self.string(what, MAX_KEY_BYTES)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self.fail(f"{what} is not UTF-8: {raw[:40]!r}") from error

    def skip_strings(self, count: int, what: str) -> None:
        """Steps over `count` strings, each checked."""
        if count > MAX_STRINGS:
            raise self.fail(f"{what} claims {count} strings; {MAX_STRINGS} is the most that makes sense")
        at, left, unpack = self.at, count, _LENGTH.unpack_from
        while left:
            buffer, n_read = self.buffer, len(self.buffer)
            try:
                for left in range(left - 1, -1, -1):  # noqa: B007, B020 - how many are left is what the loop counts
                    at += unpack(buffer, at)[0] + 8
                    if at > n_read:
                        break
                end = at
            except struct.error:  # the length of a string was not read yet
                left, end = left + 1, at + _LENGTH.size
            if end > self.size:
                raise self.incomplete(f"the file ends inside the strings of {what}")
            self.have(end)
        self.at = at


@dataclass(frozen=True)
class Raw:
    """A value as it stands in a file, its type before it: a copy keeps types, and texts that are no UTF-8."""

    data: bytes


@dataclass(frozen=True)
class LazyArray:
    """Where an array's elements are: bytes at .. end - 1."""

    kind: int
    count: int
    at: int
    end: int


class Metadata(Mapping[str, object]):
    """key -> int, float, bool, str, NumPy array or list of str. Strings that are no UTF-8 have U+FFFD in them."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._values: dict[str, object] = {}
        self._places: dict[str, slice] = {}
        self._nested = 0

    def read(self, count: int) -> None:
        """Reads `count` pairs from the cursor on."""
        cursor = self._cursor
        for i in range(count):
            key = cursor.name(f"metadata key {i + 1} of {count}")
            if key in self._values:
                raise cursor.fail("the metadata key occurs twice", key)
            start = cursor.at
            kind = int(cursor.scalar(4, f"the type of {shown(key)}"))
            self._values[key] = self._value(kind, key)
            self._places[key] = slice(start, cursor.at)

    def raw(self, key: str) -> Raw:
        """The value as it stands in the file. Raises KeyError."""
        return Raw(bytes(self._cursor.buffer[self._places[key]]))

    def __getitem__(self, key: str) -> object:
        value = self._values[key]
        return self._elements(value) if isinstance(value, LazyArray) else value

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _value(self, kind: int, key: str) -> object:
        what = f"the value of {shown(key)}"
        if kind == STRING:
            return self._cursor.string(what, MAX_TEXT_BYTES).decode(errors="replace")
        if kind == ARRAY:
            return self._array(key, 1)
        if kind not in SCALARS:
            raise self._cursor.fail(f"has the unknown value type {kind}", key)
        return self._cursor.scalar(kind, what)

    def _array(self, key: str, depth: int) -> LazyArray | list[object]:
        """An array from the cursor on, which steps over it; only arrays of arrays are read at once."""
        cursor = self._cursor
        kind = int(cursor.scalar(4, f"the element type of {shown(key)}"))
        count = cursor.integer(f"the length of {shown(key)}")
        if kind == ARRAY:
            return self._nest(key, count, depth)
        if kind != STRING and kind not in SCALARS:
            raise cursor.fail(f"has the unknown element type {kind}", key)
        width = 8 if kind == STRING else np.dtype(SCALARS[kind][1]).itemsize
        if count > (cursor.size - cursor.at) // width:
            raise cursor.incomplete(f"claims {count} elements, more than the file holds", key)
        start = cursor.at
        if kind == STRING:
            cursor.skip_strings(count, shown(key))
        else:
            cursor.have(start + count * width)
            cursor.at += count * width
        return LazyArray(kind, count, start, cursor.at)

    def _nest(self, key: str, count: int, depth: int) -> list[object]:
        self._nested += count
        if depth == MAX_DEPTH:
            raise self._cursor.fail(f"has arrays nested more than {MAX_DEPTH} deep", key)
        if self._nested > MAX_NESTED:
            raise self._cursor.fail(f"claims {count} nested arrays, more than makes sense", key)
        inner = [self._array(key, depth + 1) for _ in range(count)]
        return [self._elements(one) if isinstance(one, LazyArray) else one for one in inner]

    def _elements(self, array: LazyArray) -> list[str] | NDArray[Any]:
        if array.kind == STRING:
            return self._strings(array)
        kind = np.dtype(SCALARS[array.kind][1])
        values = np.frombuffer(self._cursor.buffer, kind, array.count, array.at)
        return values != 0 if array.kind == BOOL else values

    def _strings(self, array: LazyArray) -> list[str]:
        """The texts of an array; its bytes are copied once, because slices of a mapping are slow."""
        raw = bytes(self._cursor.buffer[array.at : array.end])
        try:
            return _texts(raw, array.count, strict=True)
        except UnicodeDecodeError:
            return _texts(raw, array.count, strict=False)


def _texts(raw: bytes, count: int, strict: bool) -> list[str]:
    at, texts, unpack = 0, [], _LENGTH.unpack_from
    for _ in range(count):
        start = at + 8
        at = start + unpack(raw, at)[0]
        texts.append(raw[start:at].decode() if strict else raw[start:at].decode(errors="replace"))
    return texts


def copied(metadata: Mapping[str, object]) -> dict[str, object]:
    """Metadata for `write_gguf` that are to the bit those of the file, where they were read from one."""
    if not isinstance(metadata, Metadata):
        return dict(metadata)
    return {key: metadata[key] if key == ALIGNMENT else metadata.raw(key) for key in metadata}
