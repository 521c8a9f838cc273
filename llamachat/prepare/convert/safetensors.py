"""Reads safetensors files (https://huggingface.co/docs/safetensors): a header in JSON, then the tensors' bytes.

The file is untrusted: every size and offset is checked against the file before anything is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from llamachat.engine.gguf.metadata import shown
from llamachat.errors import ModelFileError
from llamachat.prepare.convert.source import BYTES, Source, file_source

LARGEST_HEADER: Final = 100_000_000
_AGAIN: Final = "the download is incomplete; fetch the file again"


def open_safetensors(path: Path) -> dict[str, Source]:
    """{tensor name: where it is} of a file. Raises ModelFileError for one that is broken."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise ModelFileError(f"this is no safetensors file, or {_AGAIN}", path)
        raw = file.read(length)
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise ModelFileError(f"the header is no JSON ({error})", path) from error
    if not isinstance(header, dict):
        raise ModelFileError("the header is no object", path)
    start = 8 + length
    return {name: _source(path, name, entry, start, size) for name, entry in header.items() if name != "__metadata__"}


def _source(path: Path, name: str, entry: Any, start: int, size: int) -> Source:
    """One entry of the header, checked."""
    kind, shape, offsets = (_of(entry, key) for key in ("dtype", "shape", "data_offsets"))
    if kind not in BYTES:
        raise ModelFileError(f"the type {shown(kind)} is not known", path, shown(name))
    if not _numbers(shape) or not _numbers(offsets) or len(offsets) != 2:
        raise ModelFileError("the shape or the place makes no sense", path, shown(name))
    begin, end = (start + one for one in offsets)
    if end - begin != math.prod(shape) * BYTES[kind]:
        raise ModelFileError(f"{end - begin} bytes are not {kind} of shape {shape}", path, shown(name))
    if end > size:
        raise ModelFileError(f"the tensor ends beyond the file: {_AGAIN}", path, shown(name))
    return file_source(path, name, kind, tuple(shape), begin)


def _of(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, Mapping) else None


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(one) is int and 0 <= one < 1 << 48 for one in values)
