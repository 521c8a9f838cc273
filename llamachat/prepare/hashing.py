"""Checksums of a model's weights, of each tensor and of all, in the form of llama.cpp's gguf-hash.

A line is an algorithm, a checksum, and FILE:TENSOR, or FILE for all tensors one after the other. The header does not
count: a changed name or chat template leaves them as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import xxhash

from llamachat.engine.gguf import GgufFile
from llamachat.errors import UsageError
from llamachat.files import read_at_most
from llamachat.prepare.copying import Progress, pieces
from llamachat.prepare.report import Report, silent

ALGORITHMS: Final[Mapping[str, Any]] = {"xxh64": xxhash.xxh64, "sha1": hashlib.sha1, "sha256": hashlib.sha256}

LARGEST_MANIFEST: Final = 1 << 26


@dataclass(frozen=True)
class Checksum:
    """Of a tensor, or of all (tensor "")."""

    algorithm: str
    digest: str
    tensor: str

    def line(self, name: str) -> str:
        """As it is printed; name: the file's."""
        return f"{self.algorithm:<8}  {self.digest}  {name}{':' if self.tensor else ''}{self.tensor}"


def checksums(file: GgufFile, algorithms: Sequence[str], report: Report = silent) -> Iterator[Checksum]:
    """Of each tensor in its order, then of all. Raises UsageError for another algorithm, ModelFileError."""
    unknown = [name for name in algorithms if name not in ALGORITHMS]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no checksum: known are {', '.join(ALGORITHMS)}", settings=("algorithm",))
    progress = Progress.of(file, report, "reading")
    whole: dict[str, Any] = {name: ALGORITHMS[name]() for name in algorithms}
    for tensor in file.tensors.values():
        own: dict[str, Any] = {name: ALGORITHMS[name]() for name in algorithms}
        for piece in pieces(file, tensor):
            for name in algorithms:
                own[name].update(piece.data)
                whole[name].update(piece.data)
            progress.add(len(piece))
        yield from (Checksum(name, one.hexdigest(), tensor.name) for name, one in own.items())
    yield from (Checksum(name, one.hexdigest(), "") for name, one in whole.items())


def read_manifest(path: Path, file: GgufFile) -> list[Checksum]:
    """The checksums of a file that `llamachat hash` or gguf-hash has written.

    Lines of other algorithms are left out. Raises UsageError for a file without any.
    """
    found = []
    for line in read_at_most(path, LARGEST_MANIFEST).decode("utf-8", "replace").splitlines():
        words = line.split(maxsplit=2)
        if len(words) == 3 and words[0] in ALGORITHMS:
            name, _, tensor = words[2].rpartition(":")
            found.append(Checksum(words[0], words[1].lower(), tensor if name and tensor in file.tensors else ""))
            if name and tensor not in file.tensors and name.lower().endswith(".gguf"):
                found[-1] = Checksum(words[0], words[1].lower(), tensor)
    if not found:
        raise UsageError(f"{path}: has no checksums, as `llamachat hash` prints them", settings=("check",))
    return found
