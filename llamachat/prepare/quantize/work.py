"""A file quantised: planned, checked, then written piece by piece, under its name only when it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.backend import choose
from llamachat.engine.gguf import SPLIT_NAME, GgufFile, Raw, copied, file_bytes, open_gguf, write_gguf
from llamachat.engine.gguf.metadata import SCALARS, Metadata, shown
from llamachat.engine.overrides import NO_OVERRIDE, Override
from llamachat.engine.quants import FORMATS
from llamachat.errors import ModelFileError, UsageError
from llamachat.prepare.copying import Progress
from llamachat.prepare.importance import Importance, read_importance
from llamachat.prepare.quantize.plan import Step, Wanted, check_importance, n_matrices, parts_of, plan_steps
from llamachat.prepare.quantize.roles import Role, role_of
from llamachat.prepare.quantize.rows import Bytes, Loss, Rows
from llamachat.prepare.report import Report, silent
from llamachat.prepare.result import check_result, results
from llamachat.prepare.splitting import files_of

VERSION: Final = np.uint32(2)
"""`general.quantization_version` of the formats as they are since May 2023."""

SPLIT_KEYS: Final = ("split.no", "split.count", "split.tensors.count")


@dataclass
class Done:
    """A tensor of the result. rms: its relative error, on a part of its rows; None where it keeps its type."""

    step: Step
    rms: float | None = None


class Quantisation:
    """A file and what becomes of it. Raises what `plan_steps` raises, and ModelFileError for files that are none."""

    def __init__(self, source: str | Path, wanted: Wanted, importance: str | Path | None = None) -> None:
        self.wanted = wanted
        self.importance: Importance | None = None if importance is None else read_importance(importance)
        self.file: GgufFile = open_gguf(source)
        if not self.file.tensors:
            raise ModelFileError("has no tensors", self.file.path)
        self.steps = plan_steps(self.file, wanted, self.importance)
        self._parts = parts_of(self.file, self.steps, wanted.keep_split)

    @property
    def n_bytes(self) -> int:
        """Size of the result in bytes, all files together."""
        return sum(file_bytes(metadata, self._entries(part, None, [])) for metadata, part in self._files())

    @property
    def n_weights(self) -> int:
        """Weights of all tensors."""
        return sum(int(np.prod(step.tensor.shape)) for step in self.steps)

    def missing(self) -> str | None:
        """What `write` would refuse for want of an importance matrix, in a sentence."""
        try:
            check_importance(self.steps, self.wanted.mix, self.importance)
        except UsageError as error:
            return str(error)
        return None

    def write(
        self, target: str | Path, *, threads: int | None = None, overwrite: bool = False, report: Report = silent
    ) -> list[Done]:
        """Writes the result; report: bytes of the model that are done.

        Raises UsageError or LlamaChatError, before any work, for a place where no result can be and for a matrix that
        needs an importance that is not there; ModelFileError for weights that are not finite.
        """
        paths = self._paths(Path(target))
        check_importance(self.steps, self.wanted.mix, self.importance)
        sources = files_of(self.file)
        sources += [] if self.importance is None else [self.importance.path]
        for path in paths:
            check_result(path, sources, overwrite=overwrite, n_bytes=self.n_bytes)
        done = [Done(step) for step in self.steps]
        with closing(choose.quantiser(threads)) as encoder, results(paths) as parts:
            progress = Progress.of(self.file, report, "quantising")
            progress.add(0)
            rows = Rows(self.file, encoder, encoder.n_threads, progress.add)
            try:
                for path, (metadata, part) in zip(parts, self._files(), strict=True):
                    write_gguf(path, metadata, self._entries(part, rows, done))
            finally:
                rows.close()
        return done

    def _entries(self, part: Sequence[Step], rows: Rows | None, done: Sequence[Done]) -> list[Any]:
        """What is written; without `rows` only what its size needs."""
        found = {one.step.tensor.name: one for one in done}
        make = None if rows is None else partial(self._data, rows)
        return [
            (step.tensor.name, step.type, step.tensor.shape, partial(make, found[step.tensor.name]) if make else _none)
            for step in part
        ]

    def _data(self, rows: Rows, one: Done) -> Iterator[Bytes]:
        step = one.step
        if not step.changes:
            yield from rows.copied(step.tensor)
            return
        loss = Loss(step.tensor, FORMATS[step.type])
        yield from rows.quantised(step, self._importance_of(step), loss)
        one.rms = loss.rms

    def _importance_of(self, step: Step) -> NDArray[np.float32] | None:
        """Of a matrix. Of embeddings a file may have another one's, which do not count."""
        shape = step.tensor.shape
        if self.importance is None:
            return None
        try:
            return self.importance.of(step.tensor.name, n_matrices(shape), shape[-1])
        except ModelFileError:
            if role_of(step.tensor.name) is Role.EMBEDDING:
                return None
            raise

    def _files(self) -> list[tuple[dict[str, object], list[Step]]]:
        """Metadata and steps of each file."""
        first, count = self._metadata(), len(self._parts)
        if count == 1:
            return [(first, self._parts[0])]
        found = []
        for i, part in enumerate(self._parts):
            values = (np.uint16(i), np.uint16(count), np.int32(len(self.steps)))
            found.append(({**(first if i == 0 else {}), **dict(zip(SPLIT_KEYS, values, strict=True))}, part))
        return found

    def _metadata(self) -> dict[str, object]:
        """The model's, to the bit, and what was done to it: the keys of llama.cpp."""
        found = {key: value for key, value in copied(self.file.metadata).items() if key not in SPLIT_KEYS}
        found["general.quantization_version"] = VERSION
        if self.wanted.mix is not None:
            found["general.file_type"] = np.uint32(self.wanted.mix.number)
        for one in self.wanted.overrides:
            found[one.key] = _like(one, self.file.metadata)
        if self.importance is not None:
            found |= _said_of(self.importance)
        return found

    def _paths(self, target: Path) -> list[Path]:
        count = len(self._parts)
        if count == 1:
            return [target]
        found = SPLIT_NAME.match(target.name)
        stem = found["stem"] if found else target.name.removesuffix(".gguf")
        return [target.with_name(f"{stem}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1)]


def _none() -> Iterator[Bytes]:
    yield from ()


def _said_of(importance: Importance) -> dict[str, object]:
    found: dict[str, object] = {"quantize.imatrix.file": str(importance.path)}
    if importance.datasets:
        found["quantize.imatrix.dataset"] = importance.datasets[0]
    found["quantize.imatrix.entries_count"] = np.uint32(len(importance.entries))
    if importance.n_chunks:
        found["quantize.imatrix.chunks_count"] = np.uint32(importance.n_chunks)
    return found


def _like(one: Override, metadata: Mapping[str, object]) -> object:
    """The value in the type that the file has for the key. Raises UsageError where it has none for it."""
    if one.key in NO_OVERRIDE:
        raise UsageError(f"{shown(one.key)} says where the file's tensors are", settings=("override_kv",))
    if one.key not in metadata or not isinstance(metadata, Metadata):
        return one.value
    raw: Raw = metadata.raw(one.key)
    kind = int.from_bytes(raw.data[:4], "little")
    old = metadata[one.key]
    is_number = isinstance(one.value, int | float) and not isinstance(one.value, bool)
    if isinstance(old, str | bool) and type(old) is type(one.value):
        return one.value
    if isinstance(old, int | float) and not isinstance(old, bool) and is_number:
        dtype = np.dtype(SCALARS[kind][1])
        if dtype.kind == "f" or _fits(one.value, dtype):
            return dtype.type(one.value)
    sentence = f"{shown(one.key)} is {shown(old)} in the file, and {shown(one.value)} is of another type"
    raise UsageError(sentence, settings=("override_kv",))


def _fits(value: object, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return isinstance(value, int) and limits.min <= value <= limits.max
