"""GGUF files byte by byte, well formed or broken on purpose, independent of the reader and the writer under test."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
CODES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q", I64: "q", F64: "d"}

Key = str | bytes


def text(value: Key) -> bytes:
    """Length and bytes."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind: int, value: object) -> bytes:
    """Type number and value."""
    return struct.pack("<I", kind) + element(kind, value)


def element(kind: int, value: object) -> bytes:
    """A value without its type."""
    if kind == STRING:
        assert isinstance(value, str | bytes)
        return text(value)
    return struct.pack("<" + CODES[kind], value)


def array(kind: int, values: Sequence[object], count: int | None = None) -> bytes:
    """An array of values of one kind; `count` is what the file claims."""
    body = b"".join(element(kind, value) for value in values)
    return struct.pack("<IIQ", ARRAY, kind, len(values) if count is None else count) + body


def nested(depth: int, innermost: bytes) -> bytes:
    """Arrays of one array each, `depth` of them, around an array made by `array`."""
    return struct.pack("<I", ARRAY) + struct.pack("<IQ", ARRAY, 1) * depth + innermost[4:]


@dataclass(frozen=True)
class Info:
    """A tensor info; dims as in the file (columns first)."""

    name: Key = "t"
    dims: tuple[int, ...] = (8, 2)
    kind: int = 0
    offset: int = 0
    n_dims: int | None = None

    def raw(self) -> bytes:
        """As the file has it."""
        n_dims = len(self.dims) if self.n_dims is None else self.n_dims
        sizes = struct.pack(f"<I{len(self.dims)}Q", n_dims, *self.dims)
        return text(self.name) + sizes + struct.pack("<IQ", self.kind, self.offset)


NAME: Mapping[Key, bytes] = {"general.architecture": scalar(STRING, "llama")}


def gguf_bytes(
    pairs: Iterable[tuple[Key, bytes]] = tuple(NAME.items()),
    infos: Sequence[Info] = (Info(),),
    n_data: int = 64,
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """A file with these metadata pairs (key, typed value), tensor infos and bytes of data."""
    written = list(pairs)
    n_tensors, n_pairs = counts or (len(infos), len(written))
    head = b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_pairs)
    head += b"".join(text(key) + value for key, value in written) + b"".join(info.raw() for info in infos)
    return head + bytes(-len(head) % 32) + bytes(i % 251 for i in range(n_data))
