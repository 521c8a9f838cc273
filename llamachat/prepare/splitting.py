"""One model in several files, and back: `PREFIX-00001-of-0000N.gguf`, as llama.cpp's gguf-split writes them.

The first file has the metadata; every file says which it is: `split.no` (uint16, from 0), `split.count` (uint16) and
`split.tensors.count` (int32, of all files).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from llamachat.engine.gguf import GgufFile, TensorInfo, open_gguf, write_gguf
from llamachat.engine.gguf.metadata import copied
from llamachat.engine.gguf.reader import SPLIT_NAME
from llamachat.engine.gguf.writer import file_bytes
from llamachat.errors import UsageError
from llamachat.prepare.copying import Progress, entries
from llamachat.prepare.report import Report, silent
from llamachat.prepare.result import check_result, result, results

ALIGNMENT: Final = "general.alignment"
MOST_FILES: Final = 1000


@dataclass(frozen=True)
class Part:
    """One file of a split model: its metadata, tensors and size."""

    path: Path
    metadata: Mapping[str, object]
    tensors: Sequence[TensorInfo]
    n_bytes: int


def plan_split(file: GgufFile, prefix: Path, *, max_bytes: int = 0, max_tensors: int = 0) -> list[Part]:
    """How a model is divided, its tensors in their order.

    max_bytes: of a file with its header; a tensor that is larger has a file of its own. max_tensors: of a file. 0: any.
    Raises UsageError where neither is given, and for more than `MOST_FILES` files.
    """
    if max_bytes < 1 and max_tensors < 1:
        raise UsageError("give the largest size of a file, or the largest number of tensors in it", settings=SIZES)
    own = without_split(file)
    common = {key: own[key] for key in (ALIGNMENT,) if key in own}
    groups: list[list[TensorInfo]] = [[]]
    size = file_bytes({**own, **_keys(0, 1, 1)}, [])
    for tensor in file.tensors.values():
        cost = _cost(tensor, own)
        full = (max_tensors and len(groups[-1]) >= max_tensors) or (max_bytes and size + cost > max_bytes)
        if full and groups[-1]:
            groups.append([])
            size = file_bytes({**common, **_keys(0, 1, 1)}, [])
        groups[-1].append(tensor)
        size += cost
    if len(groups) > MOST_FILES:
        raise UsageError(
            f"these would be {len(groups)} files, {MOST_FILES} are the most: allow larger ones", settings=SIZES
        )
    stem = prefix.with_suffix("") if prefix.suffix.lower() == ".gguf" else prefix
    parts = []
    for i, group in enumerate(groups):
        metadata = {**(own if i == 0 else common), **_keys(i, len(groups), len(file.tensors))}
        path = stem.with_name(f"{stem.name}-{i + 1:05d}-of-{len(groups):05d}.gguf")
        parts.append(Part(path, metadata, group, file_bytes(metadata, entries(file, group))))
    return parts


SIZES: Final = ("max_size", "max_tensors")


def write_split(file: GgufFile, parts: Sequence[Part], *, overwrite: bool = False, report: Report = silent) -> None:
    """Writes the files, which appear together. Raises as `check_result` and `result` do."""
    total = sum(part.n_bytes for part in parts)
    for i, part in enumerate(parts):
        check_result(part.path, files_of(file), overwrite=overwrite, n_bytes=total if i == 0 else 0)
    progress = Progress.of(file, report, "splitting")
    with results([part.path for part in parts]) as places:
        for part, place in zip(parts, places, strict=True):
            write_gguf(place, part.metadata, entries(file, part.tensors, progress))


def merge(first: Path, target: Path, *, overwrite: bool = False, report: Report = silent) -> int:
    """Joins the files of a split model, whichever is named, to one; how many bytes it has is returned.

    Raises UsageError for a file whose name is no part's, and as `check_result` and `result` do.
    """
    if SPLIT_NAME.match(first.name) is None:
        raise UsageError(f"{first}: is no file of a split model, whose names end in -00001-of-00003.gguf")
    file = open_gguf(first)
    metadata = without_split(file)
    progress = Progress.of(file, report, "merging")
    made = entries(file, None, progress)
    n_bytes = file_bytes(metadata, made)
    check_result(target, files_of(file), overwrite=overwrite, n_bytes=n_bytes)
    with result(target) as part:
        write_gguf(part, metadata, made)
    return n_bytes


def files_of(file: GgufFile) -> list[Path]:
    """The files that an open model consists of."""
    return [source.path for source in file.sources]


def without_split(file: GgufFile) -> dict[str, object]:
    """The metadata to the bit, but what says that the file is one of several."""
    return {key: value for key, value in copied(file.metadata).items() if not key.startswith("split.")}


def _keys(number: int, count: int, n_tensors: int) -> dict[str, object]:
    return {
        "split.no": np.uint16(number),
        "split.count": np.uint16(count),
        "split.tensors.count": np.int32(n_tensors),
    }


def _cost(tensor: TensorInfo, metadata: Mapping[str, object]) -> int:
    """Bytes that a tensor adds to a file, its entry in the header included."""
    alignment = metadata.get(ALIGNMENT, 32)
    unit = int(alignment) if isinstance(alignment, int | np.integer) else 32
    return -(-tensor.n_bytes // unit) * unit + 8 + len(tensor.name.encode()) + 4 + 8 * len(tensor.shape) + 12
