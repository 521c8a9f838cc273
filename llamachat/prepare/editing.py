"""Changes metadata of a GGUF file: in place where nothing else moves, else in a copy that takes its place.

In place only the bytes are written that differ, if they lie within one page: one write, which no end of the program
divides. Everything else goes through `result`: the file is what it was, or what was asked for, at any moment.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from llamachat.engine.gguf import GgufFile
from llamachat.engine.gguf.metadata import ARRAY, SCALARS, STRING, Metadata, copied
from llamachat.engine.gguf.reader import open_part
from llamachat.engine.gguf.writer import Entry, file_bytes, header_bytes, write_gguf
from llamachat.errors import UsageError
from llamachat.files import read_at_most
from llamachat.prepare.copying import Progress, entries
from llamachat.prepare.report import Report, silent
from llamachat.prepare.result import check_result, result

NUMBERS: Final[Mapping[str, int]] = {
    "u8": 0,
    "i8": 1,
    "u16": 2,
    "i16": 3,
    "u32": 4,
    "i32": 5,
    "f32": 6,
    "bool": 7,
    "u64": 10,
    "i64": 11,
    "f64": 12,
}
"""Names of the value types, as a person writes them, besides str."""

ANY_INT, ANY_FLOAT, TEXT = "int", "float", "str"
KINDS: Final = (ANY_INT, ANY_FLOAT, TEXT, *NUMBERS)
FIXED: Final = frozenset({"general.alignment", "split.no", "split.count", "split.tensors.count"})
"""Keys that say where a file's tensors are."""

TEXTS: Final = frozenset({"tokenizer.chat_template", "general.name", "general.description", "general.author"})
"""Keys that are texts in every file: a new one needs no type."""

PAGE: Final = 4096


@dataclass(frozen=True)
class Change:
    """One key: its value before and after; None: there is none."""

    key: str
    before: object
    after: object


@dataclass(frozen=True)
class Edit:
    """What is to be done with a file. in_place: (offset, bytes), where that is enough; else it is copied."""

    file: GgufFile
    changes: Sequence[Change]
    metadata: Mapping[str, object]
    in_place: tuple[int, bytes] | None

    @property
    def n_bytes(self) -> int:
        """The size of a copy."""
        return file_bytes(self.metadata, entries(self.file))


def plan_edit(path: Path, assignments: Sequence[str], deleted: Sequence[str] = ()) -> Edit:
    """What KEY=VALUE, KEY=TYPE:VALUE, KEY=@FILE and keys to delete change in one file, of a split model that one alone.

    Without a type a value has the type that the key has; a new key needs one of `KINDS`. A value that begins with [ is
    an array, as JSON has it; @@ stands for an @ that begins a text. Raises UsageError for what cannot be so,
    ModelFileError for the file.
    """
    file = open_part(path)
    old = copied(file.metadata)
    new = dict(old)
    for text in assignments:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"{text!r}: a change is KEY=VALUE, or KEY=TYPE:VALUE with a type of {', '.join(KINDS)}")
        _check_key(key)
        new[key] = _value(key, value, file.metadata)
    for key in deleted:
        _check_key(key)
        if key not in new:
            raise UsageError(f"{key}: the file has no such key")
        if key == "general.architecture":
            raise UsageError(f"{key}: without it the file is no model")
        del new[key]
    changed = list(dict.fromkeys([*(text.partition("=")[0] for text in assignments), *deleted]))
    changes = [Change(key, file.metadata.get(key), _plain(new.get(key))) for key in changed]
    return Edit(file, changes, new, _patch(file, old, new))


def write_edit(edit: Edit, target: Path | None = None, *, overwrite: bool = False, report: Report = silent) -> None:
    """Does it, in the file itself unless another one is given. Raises as `check_result` and `result` do."""
    path = edit.file.path
    if target is None and edit.in_place is not None:
        check_result(path, overwrite=True)
        at, changed = edit.in_place
        if changed:
            _overwrite(path, at, changed)
        return
    if target is None:
        check_result(path, overwrite=True, n_bytes=edit.n_bytes)
    else:
        check_result(target, [path], overwrite=overwrite, n_bytes=edit.n_bytes)
    progress = Progress.of(edit.file, report, "copying")
    with result(target or path) as part:
        write_gguf(part, edit.metadata, entries(edit.file, None, progress))


def _check_key(key: str) -> None:
    if key in FIXED:
        raise UsageError(f"{key}: says where the file's tensors are, and cannot be changed")


def _value(key: str, text: str, metadata: Mapping[str, object]) -> object:
    """A value for the writer, of the type that is said, else of the one that the key has."""
    kind, colon, rest = text.partition(":")
    typed = bool(colon) and kind in KINDS
    number = None if typed else _number_of(key, metadata)
    if not typed and key not in metadata and key in TEXTS:
        number = STRING
    elif not typed and key not in metadata:
        raise UsageError(f"{key}: the file has no such key; a new one needs a type, as in {key}=str:{text}")
    value = rest if typed else text
    if value.startswith("@@"):
        value = value[1:]
    elif value.startswith("@"):
        value = _text_of(Path(value[1:]))
    if value.startswith("[") and (typed or number == ARRAY):
        return _array(key, value, kind if typed else _element_kind(key, metadata))
    if number == ARRAY:
        raise UsageError(f'{key}: is an array in the file: give one, as in {key}=[1, 2] or {key}=["a", "b"]')
    name = kind if typed else TEXT if number == STRING else _name_of(number)
    return _scalar(key, value, name, None if key not in metadata else _number_of(key, metadata))


def _text_of(path: Path) -> str:
    try:
        return read_at_most(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (at byte {error.start})") from error


def _number_of(key: str, metadata: Mapping[str, object]) -> int | None:
    """The number of the type that a key has in the file."""
    if key not in metadata or not isinstance(metadata, Metadata):
        return None
    return int(struct.unpack_from("<I", metadata.raw(key).data)[0])


def _name_of(number: int | None) -> str:
    return next(name for name, one in NUMBERS.items() if one == number)


def _element_kind(key: str, metadata: Mapping[str, object]) -> str:
    assert isinstance(metadata, Metadata)
    number = int(struct.unpack_from("<I", metadata.raw(key).data, 4)[0])
    return TEXT if number == STRING else _name_of(number)


def _scalar(key: str, text: str, kind: str, known: int | None) -> object:
    """One value. known: the number of the type that the key has, which `int` and `float` keep where they can."""
    if kind == TEXT:
        return text
    if kind in (ANY_INT, ANY_FLOAT):
        same = known is not None and known in SCALARS and known != NUMBERS["bool"]
        keeps = same and (known in (NUMBERS["f32"], NUMBERS["f64"])) == (kind == ANY_FLOAT)
        if keeps:
            kind = _name_of(known)
        elif kind == ANY_INT:
            return _parsed(key, text, int, "a whole number")
        else:
            kind = "f32"
    if kind == "bool":
        if text not in ("true", "false"):
            raise UsageError(f"{key}: {text!r} must be true or false")
        return text == "true"
    made = np.dtype(SCALARS[NUMBERS[kind]][1])
    if made.kind == "f":
        return made.type(_parsed(key, text, float, "a number"))
    number = _parsed(key, text, int, "a whole number")
    low, high = int(np.iinfo(made).min), int(np.iinfo(made).max)
    if not low <= number <= high:
        raise UsageError(f"{key}: {text} must be from {low} to {high} ({kind})")
    return made.type(number)


def _parsed(key: str, text: str, make: Callable[[str], int | float], what: str) -> int | float:
    try:
        return make(text)
    except ValueError:
        raise UsageError(f"{key}: {text!r} must be {what}") from None


def _array(key: str, text: str, kind: str) -> object:
    """An array of JSON, all of one type."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{key}: {text[:60]!r} is no array of JSON ({error})") from None
    if kind == TEXT:
        if not all(isinstance(one, str) for one in found):
            raise UsageError(f"{key}: an array of texts must have texts only")
        return found
    kind = {ANY_INT: "i32", ANY_FLOAT: "f32"}.get(kind, kind)
    if any(isinstance(one, str | list | dict) or one is None for one in found):
        raise UsageError(f"{key}: an array of {kind} must have numbers only")
    words = [str(one).lower() if isinstance(one, bool) else str(one) for one in found]
    values = [_scalar(key, word, kind, None) for word in words]
    return np.array(values, bool if kind == "bool" else np.dtype(SCALARS[NUMBERS[kind]][1]))


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _patch(file: GgufFile, old: Mapping[str, object], new: Mapping[str, object]) -> tuple[int, bytes] | None:
    """(where, bytes) that turn the old header into the new one, if its length stays and they lie within one page."""
    made = _entries(file)
    before, after = header_bytes(old, made), header_bytes(new, made)
    there = np.asarray(memoryview(file.mappings[0])[: len(before)])
    if len(before) != len(after) or not np.array_equal(there, np.frombuffer(before, np.uint8)):
        return None
    places = np.flatnonzero(there != np.frombuffer(after, np.uint8))
    if not len(places):
        return 0, b""
    first, last = int(places[0]), int(places[-1])
    return (first, after[first : last + 1]) if first // PAGE == last // PAGE else None


def _entries(file: GgufFile) -> list[Entry]:
    """As they lie in the file, so that its header can be told from others."""
    ordered = sorted(file.tensors.values(), key=lambda one: int(one.data.ctypes.data))
    return [(one.name, one.type.name, one.shape, list) for one in ordered]


def _overwrite(path: Path, at: int, changed: bytes) -> None:
    """One write; then the bytes are on the disk."""
    with open(path, "rb+", buffering=0) as file:
        file.seek(at)
        file.write(changed)
        os.fsync(file.fileno())
