"""Reads GGUF (ggml's docs/gguf.md), versions 2 and 3: a mapped file, its metadata and where its tensors are.

The file is untrusted: every count, size and offset is checked against the file before it is used. Split files
(`-00001-of-00003.gguf`) are joined by name: the first part's metadata, the tensors of all.
"""

from __future__ import annotations

import errno
import mmap
import re
import stat
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf.interleaved import INTERLEAVED, Interleaving
from llamachat.engine.gguf.metadata import Cursor, Metadata, shown
from llamachat.engine.gguf.source import Source
from llamachat.engine.gguf.types import BY_NAME, OTHER_SIZES, TYPES, GgmlType
from llamachat.engine.gguf.unlike import EMPTY, FETCH_AGAIN, INCOMPLETE, MAGIC, unlike
from llamachat.errors import ModelFileError, NotEnoughMemory, Unsupported

HEAD = 64
"""Bytes of a file that is no model from which a message says what it is."""
VERSIONS = (2, 3)
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 1 << 20
MAX_ELEMENTS = 1 << 48
MAX_PAIRS, MAX_TENSORS = 1 << 16, 1 << 18
DEFAULT_ALIGNMENT = 32
FIRST_READ = 1 << 20
"""Bytes in which a header is looked for at first; vocabularies make it longer."""

SMALLEST_PAIR, SMALLEST_TENSOR = 8 + 4 + 1, 8 + 4 + 8 + 4 + 8

SPLIT_NAME = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the file. shape: rows first (a matrix is [n_out, n_in]).

    data: uint8 [n_bytes], a view of the map: touching it ends the process where the file has been cut meanwhile, which
    `GgufFile.read` does not. interleaving: how its rows lie there; None where they are one after the other. pieces: the
    tensors of the file of which it is a stack, if it is one; then data are the first one's.
    """

    name: str
    type: GgmlType
    shape: tuple[int, ...]
    n_bytes: int
    data: NDArray[np.uint8]
    interleaving: Interleaving | None = None
    pieces: tuple[TensorInfo, ...] = ()

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return self.shape[-1] // self.type.block * self.type.bytes

    @property
    def rows(self) -> NDArray[np.uint8]:
        """The data, rows one after the other: uint8 [n_bytes]. A copy where they are interleaved."""
        if self.pieces:
            return np.concatenate([piece.rows for piece in self.pieces])
        return self.data if self.interleaving is None else self.interleaving.apart(self.data, self.row_bytes)


@dataclass(frozen=True)
class GgufFile:
    """An open file. The mapping lives as long as this object or a view of its data.

    sources: the files of the mappings, read by copying.
    """

    path: Path
    version: int
    metadata: Mapping[str, object]
    tensors: dict[str, TensorInfo]
    n_bytes: int
    mappings: tuple[Any, ...] = ()
    sources: tuple[Source, ...] = ()

    def read(self, tensor: TensorInfo, first: int, out: NDArray[np.uint8]) -> None:
        """Fills `out`, uint8 [n], with the bytes of the tensor's rows from `first` on.

        Raises ModelFileError where the file was cut or changed since it was opened.
        """
        for i, piece in enumerate(tensor.pieces):
            start, stop = (max(0, min(at - i * piece.n_bytes, piece.n_bytes)) for at in (first, first + len(out)))
            if start < stop:
                self.read(piece, start, out[i * piece.n_bytes + start - first :][: stop - start])
        if tensor.pieces:
            return
        if tensor.interleaving is None:
            self._read(tensor, first, out)
            return
        group = tensor.interleaving.rows * tensor.row_bytes
        start = first // group * group
        raw = np.empty(-(-(first + len(out) - start) // group) * group, np.uint8)
        self._read(tensor, start, raw)
        out[:] = tensor.interleaving.apart(raw, tensor.row_bytes)[first - start :][: len(out)]

    def read_rows(self, tensor: TensorInfo, numbers: Sequence[int], out: NDArray[np.uint8]) -> None:
        """Fills out[i], of uint8 [n, row bytes], with row numbers[i] of a tensor. Raises as `read`."""
        place = self.place(tensor)
        if place is not None:
            place[0].read_rows(place[1], numbers, out)
            return
        for row, number in zip(out, numbers, strict=True):
            self.read(tensor, number * tensor.row_bytes, row)

    def place(self, tensor: TensorInfo) -> tuple[Source, int] | None:
        """The file that holds the tensor's rows one after the other, and where in it.

        None for what was parsed from memory, for interleaved rows and for stacks.
        """
        return self._place(tensor) if tensor.interleaving is None and not tensor.pieces else None

    def source_of(self, tensor: TensorInfo) -> Source | None:
        """The file that holds the tensor, the first of its pieces; None for what was parsed from memory."""
        place = self._place(tensor.pieces[0] if tensor.pieces else tensor)
        return None if place is None else place[0]

    def _read(self, tensor: TensorInfo, first: int, out: NDArray[np.uint8]) -> None:
        """As they are in the file."""
        place = self._place(tensor)
        if place is None:
            out[:] = tensor.data[first : first + len(out)]
        else:
            place[0].read(place[1] + first, out)

    def _place(self, tensor: TensorInfo) -> tuple[Source, int] | None:
        address = int(tensor.data.ctypes.data)
        for mapping, source in zip(self.mappings, self.sources, strict=True):
            base = int(np.frombuffer(mapping, np.uint8).ctypes.data)
            if base <= address < base + len(mapping):
                return source, address - base
        return None

    def release(self, tensor: TensorInfo, first: int = 0, last: int | None = None) -> None:
        """Gives pages of the tensor's bytes first .. last - 1 back to the system; they are read again when touched."""
        address = int(tensor.data.ctypes.data) + first
        n_bytes = (tensor.n_bytes if last is None else last) - first
        for mapping in self.mappings:
            base = int(np.frombuffer(mapping, np.uint8).ctypes.data)
            if base <= address < base + len(mapping):
                start = -(-(address - base) // mmap.PAGESIZE) * mmap.PAGESIZE
                end = (address - base + n_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
                if end > start:
                    with suppress(OSError, AttributeError, ValueError):  # systems without this advice
                        mapping.madvise(mmap.MADV_DONTNEED, start, end - start)


def open_gguf(path: str | Path) -> GgufFile:
    """The file, mapped and checked, with all parts of a split one.

    Raises ModelFileError, with the path and the place in the file, or Unsupported for what is well formed but unknown.
    """
    first = Path(path)
    split = SPLIT_NAME.match(first.name)
    if split is None:
        mapping, source = _map(first)
        file = _read(mapping, source)
        total = _split_key(file, "split.count", 1)
        if total > 1:
            raise ModelFileError(
                f"is one of {total} parts of a model; give the parts their names back: ...-00001-of-{total:05d}.gguf",
                first,
                "split.count",
            )
        return replace(file, mappings=(mapping,), sources=(source,))
    return _join(first, split["stem"], int(split["number"]), int(split["count"]))


def open_part(path: str | Path) -> GgufFile:
    """One file as it is, of a split model that one alone. Raises as `open_gguf`."""
    mapping, source = _map(Path(path))
    return replace(_read(mapping, source), mappings=(mapping,), sources=(source,))


def _read(mapping: mmap.mmap, source: Source) -> GgufFile:
    """The header, from a copy of its own: the file may be cut at any time."""
    n_read = 0

    def head(n_bytes: int) -> bytes:
        nonlocal n_read
        n_read = max(n_bytes, FIRST_READ, 8 * n_read)
        return source.head(n_read)

    return parse(mapping, source.path, head)


def parse(buffer: Any, path: Path, read: Callable[[int], bytes] | None = None) -> GgufFile:
    """The header in a buffer that holds one whole file.

    read: gives a copy of the file's first n bytes or more, from which the header is read in place of the buffer.
    """
    cursor = Cursor(buffer if read is None else b"", path, len(buffer), read)
    cursor.have(min(HEAD, cursor.size))
    version = _version(cursor)
    n_tensors, n_pairs = cursor.integer("the number of tensors"), cursor.integer("the number of metadata keys")
    rest = cursor.size - cursor.at
    if n_tensors > rest // SMALLEST_TENSOR or n_pairs > rest // SMALLEST_PAIR:
        raise cursor.incomplete(
            f"the header claims {n_tensors} tensors and {n_pairs} metadata keys, more than the file holds"
        )
    if n_tensors > MAX_TENSORS or n_pairs > MAX_PAIRS:
        raise cursor.fail(f"{n_tensors} tensors and {n_pairs} metadata keys are more than makes sense")
    metadata = Metadata(cursor)
    metadata.read(n_pairs)
    alignment = _alignment(cursor, metadata)
    entries, start = _tensors(cursor, n_tensors, alignment)
    if read is not None:
        cursor.buffer = cursor.buffer[: cursor.at]
    tensors = {name: _info(buffer, entry, start) for name, entry in entries.items()}
    return GgufFile(path, version, metadata, tensors, cursor.size)


def _version(cursor: Cursor) -> int:
    if bytes(cursor.buffer[:4]) != MAGIC:
        raise ModelFileError(unlike(bytes(cursor.buffer[:HEAD])), cursor.path)
    cursor.at = 4
    version = int(cursor.scalar(4, "the version"))
    if version in VERSIONS:
        return version
    (swapped,) = struct.unpack(">I", struct.pack("<I", version))
    if swapped in (1, *VERSIONS):
        raise Unsupported("a big-endian GGUF file; convert it to little-endian", cursor.path)
    if version == 1:
        raise Unsupported("GGUF version 1 is not read any more; convert the model again", cursor.path)
    raise Unsupported(f"GGUF version {version} is not known (2 and 3 are)", cursor.path)


def _alignment(cursor: Cursor, metadata: Metadata) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise cursor.fail(f"{shown(value)} is not a power of two up to 2^20", "general.alignment")
    return value


@dataclass(frozen=True)
class _Entry:
    """A tensor as the header describes it."""

    name: str
    kind: GgmlType
    shape: tuple[int, ...]
    n_bytes: int
    offset: int
    interleaving: Interleaving | None = None


def _tensors(cursor: Cursor, count: int, alignment: int) -> tuple[dict[str, _Entry], int]:
    """The tensors as the header describes them, and where their data begin."""
    entries: dict[str, _Entry] = {}
    for i in range(count):
        entry = _entry(cursor, i, count)
        if entry.name in entries:
            raise cursor.fail("the tensor occurs twice", entry.name)
        entries[entry.name] = entry
    start = -(-cursor.at // alignment) * alignment
    room = cursor.size - start
    for number, other in OTHER_SIZES.items():
        entries |= _resized(entries, number, other, room, alignment)
    end, before = 0, ""
    for entry in sorted(entries.values(), key=lambda e: (e.offset, e.n_bytes)):
        if entry.offset % alignment:
            raise cursor.fail(f"begins at offset {entry.offset}, not a multiple of {alignment}", entry.name)
        if entry.offset < end:
            raise cursor.fail(f"overlaps the tensor {shown(before)}", entry.name)
        if entry.offset > room or entry.n_bytes > room - entry.offset:
            needed = start + max(one.offset + one.n_bytes for one in entries.values())
            there = f"{cursor.size} of {needed} bytes are there"
            raise cursor.fail(f"lies beyond the end of the file: {INCOMPLETE}, {there}; {FETCH_AGAIN}", entry.name)
        end, before = entry.offset + entry.n_bytes, entry.name
    return entries, start


def _entry(cursor: Cursor, number: int, count: int) -> _Entry:
    name = cursor.name(f"the name of tensor {number + 1} of {count}")
    n_dimensions = int(cursor.scalar(4, f"the dimensions of {shown(name)}"))
    if not 1 <= n_dimensions <= MAX_DIMENSIONS:
        raise cursor.fail(f"has {n_dimensions} dimensions, not 1 to {MAX_DIMENSIONS}", name)
    shape = tuple(cursor.integer(f"the dimensions of {shown(name)}") for _ in range(n_dimensions))[::-1]
    elements = 1
    for size in shape:
        elements *= size
        if not 1 <= size <= MAX_ELEMENTS or elements > MAX_ELEMENTS:
            raise cursor.fail(f"has the impossible shape {list(shape)}", name)
    type_id = int(cursor.scalar(4, f"the type of {shown(name)}"))
    plain, interleaving = INTERLEAVED.get(type_id, ("", None))
    kind = TYPES.get(type_id) if interleaving is None else BY_NAME[plain]
    if kind is None:
        raise Unsupported(f"has the unknown block type {type_id}", cursor.path, shown(name))
    if interleaving is not None and (len(shape) < 2 or shape[-2] % interleaving.rows):
        raise cursor.fail(f"has the shape {list(shape)}, but rows interleaved by {interleaving.rows}", name)
    if shape[-1] % kind.block:
        raise cursor.fail(f"has rows of {shape[-1]}, not a multiple of {kind.name}'s blocks of {kind.block}", name)
    offset = cursor.integer(f"the offset of {shown(name)}")
    return _Entry(name, kind, shape, elements // kind.block * kind.bytes, offset, interleaving)


def _resized(
    entries: Mapping[str, _Entry], number: int, other: GgmlType, room: int, alignment: int
) -> dict[str, _Entry]:
    """The tensors of a type in blocks of its other size: those that end so before the next one, or the file's end.

    Where both sizes do, it is that of the file's other tensors.
    """
    ends = sorted({entry.offset for entry in entries.values()} | {room})
    certain, either, has_own = dict[str, _Entry](), dict[str, _Entry](), False
    for entry in entries.values():
        if entry.kind.id != number:
            continue
        n_bytes = entry.n_bytes // entry.kind.bytes * entry.kind.block // other.block * other.bytes
        gap = next((end for end in ends if end > entry.offset), room) - entry.offset
        is_own = entry.n_bytes <= gap < entry.n_bytes + alignment
        if entry.shape[-1] % other.block == 0 and n_bytes <= gap < n_bytes + alignment:
            (either if is_own else certain)[entry.name] = replace(entry, kind=other, n_bytes=n_bytes)
        else:
            has_own = has_own or is_own
    return certain if has_own or not certain else certain | either


def _info(buffer: Any, entry: _Entry, start: int) -> TensorInfo:
    data = np.frombuffer(buffer, np.uint8, entry.n_bytes, start + entry.offset)
    return TensorInfo(entry.name, entry.kind, entry.shape, entry.n_bytes, data, entry.interleaving)


def _map(path: Path, absent: str = "no such file") -> tuple[mmap.mmap, Source]:
    """The whole file, read-only; an empty one has nothing to map."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ModelFileError("is a directory; give the path of a .gguf file in it", path)
        if not stat.S_ISREG(mode):
            raise ModelFileError("is no regular file", path)
        with open(path, "rb") as file:
            source = Source(path, file)
            return mmap.mmap(file.fileno(), source.size, access=mmap.ACCESS_READ), source
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelFileError(absent, path) from error
    except PermissionError as error:
        raise ModelFileError("no permission to read it", path) from error
    except ValueError as error:
        what = EMPTY if "empty" in str(error) else "the path cannot be a file's"
        raise ModelFileError(what, path) from error
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise NotEnoughMemory(f"{path}: there is not enough memory to map the file") from error
        raise ModelFileError(f"cannot be read: {error.strerror}", path) from error


def _split_key(file: GgufFile, key: str, default: int) -> int:
    """One of the numbers that a split file has about itself."""
    value = file.metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelFileError(f"is {shown(value)}, not a number", file.path, key)
    return value


def _join(path: Path, stem: str, number: int, count: int) -> GgufFile:
    """All parts of a split file, whichever was named."""
    if not 1 <= number <= count:
        raise ModelFileError(f"part {number} of {count} cannot be", path)
    mappings, sources, parts = [], [], []
    tensors: dict[str, TensorInfo] = {}
    for i in range(1, count + 1):
        part = path.with_name(f"{stem}-{i:05d}-of-{count:05d}.gguf")
        mapping, source = _map(part, f"part {i} of {count} of the split model is missing")
        mappings.append(mapping)
        sources.append(source)
        parts.append(_part(mapping, source, i, count))
        twice = tensors.keys() & parts[-1].tensors.keys()
        if twice:
            raise ModelFileError("the tensor is in two parts", part, shown(min(twice)))
        tensors |= parts[-1].tensors
    first = parts[0]
    declared = _split_key(first, "split.tensors.count", len(tensors))
    if declared != len(tensors):
        sentence = f"says that the model has {declared} tensors, its parts have {len(tensors)}; {FETCH_AGAIN}"
        raise ModelFileError(sentence, first.path, "split.tensors.count")
    n_bytes = sum(part.n_bytes for part in parts)
    return replace(first, tensors=tensors, n_bytes=n_bytes, mappings=tuple(mappings), sources=tuple(sources))


def _part(mapping: mmap.mmap, source: Source, number: int, count: int) -> GgufFile:
    """One part, whose keys must say what its name says."""
    file, path = _read(mapping, source), source.path
    declared = _split_key(file, "split.count", count)
    if declared != count:
        raise ModelFileError(f"says that the model has {declared} parts, its name says {count}", path, "split.count")
    place = _split_key(file, "split.no", number - 1) + 1
    if place != number:
        raise ModelFileError(f"says that it is part {place}, its name says {number}", path, "split.no")
    return file
