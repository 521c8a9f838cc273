"""A model with an adapter added to its weights: W + scale * alpha / rank * B A, in the types that the matrices have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from llamachat.engine.adapters.lora import Lora, Pair, open_lora
from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.choose import quantiser
from llamachat.engine.backend.interface import Device
from llamachat.engine.gguf import GgufFile, TensorInfo, open_gguf
from llamachat.engine.gguf.writer import Data, Entry, write_gguf
from llamachat.engine.models import describe
from llamachat.engine.quants import FORMATS
from llamachat.errors import Unsupported
from llamachat.prepare.copying import Progress, pieces
from llamachat.prepare.report import Report, silent
from llamachat.prepare.result import check_result, result
from llamachat.prepare.splitting import files_of, without_split

PIECE: Final = 1 << 22
"""Numbers of a matrix that are decoded, changed and written at once."""


@dataclass(frozen=True)
class Adapter:
    """An adapter's file and how much of it is added."""

    path: Path
    scale: float = 1.0


def merge_lora(
    model: Path,
    adapters: Sequence[Adapter],
    target: Path,
    *,
    n_threads: int | None = None,
    overwrite: bool = False,
    report: Report = silent,
) -> int:
    """Writes the model with the adapters in it. Returns how many matrices were changed.

    What no adapter changes is copied to the bit. Raises ModelFileError, Unsupported and ShapeError as `open_lora`, and
    as `check_result`.
    """
    file = open_gguf(model)
    sources = [*files_of(file), *(one.path for one in adapters)]
    check_result(target, sources, overwrite=overwrite)
    spec = describe(file.metadata, file.tensors, model)
    opened = [(open_lora(one.path, spec.architecture, spec.tensors), one.scale) for one in adapters]
    changes: dict[str, list[tuple[Lora, Pair, float]]] = {}
    for lora, scale in opened:
        for name, pair in lora.pairs.items():
            changes.setdefault(name, []).append((lora, pair, lora.factor(pair, scale)))
    for name in changes:
        _check(file.tensors[name])
    size = sum(tensor.n_bytes for tensor in file.tensors.values())
    check_result(target, sources, overwrite=overwrite, n_bytes=size)
    progress = Progress(report, size, "merging")
    with result(target) as path, closing(quantiser(n_threads)) as device:
        write_gguf(path, without_split(file), _entries(file, changes, device, progress.add))
    return len(changes)


def _check(tensor: TensorInfo) -> None:
    """Raises Unsupported for a type that cannot be written."""
    if tensor.type.name not in FORMATS:
        raise Unsupported(f"this matrix has the type {tensor.type.name}, which cannot be written", where=tensor.name)


def _entries(
    file: GgufFile, changes: Mapping[str, list[tuple[Lora, Pair, float]]], device: Device, add: Callable[[int], None]
) -> list[Entry]:
    def data(tensor: TensorInfo) -> Callable[[], Data]:
        return lambda: _counted(_data(file, tensor, changes.get(tensor.name, []), device), add)

    return [(name, one.type.name, one.shape, data(one)) for name, one in file.tensors.items()]


def _counted(made: Iterator[NDArray[np.uint8]], add: Callable[[int], None]) -> Iterator[NDArray[np.uint8]]:
    for piece in made:
        yield piece
        add(piece.nbytes)


def _data(
    file: GgufFile, tensor: TensorInfo, changes: Sequence[tuple[Lora, Pair, float]], device: Device
) -> Iterator[NDArray[np.uint8]]:
    """The bytes of a tensor, some rows at a time."""
    if not changes:
        yield from pieces(file, tensor)
        return
    fmt, columns = FORMATS[tensor.type.name], tensor.shape[-1]
    n_rows = tensor.shape[-2]
    matrices = tensor.rows.reshape(-1, n_rows, tensor.row_bytes)
    step = max(1, PIECE // columns)
    for number, matrix in enumerate(matrices):
        factors = [(_matrix(pair.down, number), _matrix(pair.up, number), factor) for _, pair, factor in changes]
        for at in range(0, n_rows, step):
            rows = fmt.decode(matrix[at : at + step].reshape(-1)).reshape(-1, columns).astype(np.float32)
            for down, up, factor in factors:
                rows += np.float32(factor) * (up[at : at + step] @ down)
            yield device.encode(fmt, rows)


def _matrix(tensor: TensorInfo, number: int) -> NDArray[Any]:
    """A or B of an expert, or of the whole: float32 [rows, columns]."""
    values = FORMATS[tensor.type.name].decode(tensor.rows).reshape(-1, *tensor.shape[-2:])
    found: NDArray[Any] = values[number].astype(np.float32)
    return found
