"""Packed weights that are kept on disk, so that a later start need not pack them: a file a model, in a private folder.

A file is the packed bytes, in a multiple of CHUNK, then TRAILER bytes that describe them. It is written under another
name first, and removed by unlinking only: who has it mapped keeps what is there. It is used where its name, its owner,
its size and its checksum are right; the least recently used ones make room for others.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llamachat.errors import LlamaChatError
from llamachat.folders import belongs_to_another, cache_folder, private_cache

CHUNK = 1 << 20
"""Bytes that have a checksum of their own; packed weights are padded to a multiple of it."""
TRAILER = 4096
MAGIC = b"llamachat packed weights 1\n"
WRITTEN_AT_ONCE = 8 << 20
"""A multiple of a huge page: the system keeps what is written so in pages of that size, and maps it in them."""
LEFT_FREE = 1 << 30
"""Bytes of the disk that are never taken."""
ABANDONED_S = 3600
FOLDER, ENDING, PART = "packed", ".packed", ".part"


class Unusable(LlamaChatError):
    """A copy that cannot be used, or cannot be written, with the reason."""


@dataclass(frozen=True)
class Copy:
    """A copy that is kept: where, of which model, its size with everything, and when it was last used (a time).

    source: what tells the model's file from others.
    """

    path: Path
    model: str
    n_bytes: int
    used: float
    source: str = ""


@dataclass(frozen=True)
class Opened:
    """An open copy: n_bytes of packed weights from its beginning on, and the checksum that they should have."""

    file: BinaryIO
    n_bytes: int
    checksum: str


class Store:
    """The copies of a user, of at most `limit` bytes together. `folder` None: no private folder can be had."""

    def __init__(self, folder: Path | None, limit: int) -> None:
        self.folder, self.limit = folder, limit

    @classmethod
    def of_user(cls, limit: int) -> Store:
        """In `$LLAMACHAT_CACHE` or the user's cache directory."""
        return cls(private_cache(FOLDER), limit)

    def open(self, key: str) -> Opened | None:
        """The copy of that name, if there is one; it counts as used now.

        Raises Unusable for a file that is not the user's own, or not whole.
        """
        if self.folder is None or not (path := self._path(key)).exists():
            return None
        try:
            file = open(path, "rb", opener=_plain)  # noqa: SIM115 - it is closed by who maps it
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}") from error
        try:
            trailer, n_bytes = _trailer(file)
            if trailer.get("key") != key:
                raise Unusable(f"{path} is no whole copy of packed weights")
            with contextlib.suppress(OSError):
                os.utime(path)
            return Opened(file, n_bytes, str(trailer.get("checksum")))
        except BaseException:
            file.close()
            raise

    def check_room(self, n_bytes: int) -> None:
        """Raises Unusable where so much may not be kept, or the disk has no room for it."""
        if self.folder is None:
            raise Unusable("there is no private folder for packed weights")
        if n_bytes > self.limit:
            raise Unusable(f"packed weights of {n_bytes} bytes are more than may be kept, {self.limit}")
        free = shutil.disk_usage(self.folder).free + sum(one.n_bytes for one in self._in_the_way(n_bytes))
        if n_bytes + LEFT_FREE > free:
            raise Unusable(f"the disk of {self.folder} has {free} bytes left, too few to keep {n_bytes}")

    def save(self, key: str, model: str, data: memoryview, checksum: str, source: str = "") -> None:
        """Keeps packed bytes under that name; older copies make room. Raises Unusable where it cannot be.

        An interruption leaves nothing. source: other copies of this file, in a form of other versions, are removed.
        Of several processes that write at once, those that end last stay.
        """
        self.check_room(len(data) + TRAILER)
        assert self.folder is not None
        for one in copies(self.folder):
            if source and one.source == source:
                _remove(one.path)
        for one in self._in_the_way(len(data) + TRAILER):
            _remove(one.path)
        trailer = {"key": key, "model": model, "source": source, "n_bytes": len(data), "checksum": checksum}
        text = MAGIC + json.dumps(trailer).encode()
        assert len(text) <= TRAILER
        try:
            handle, name = tempfile.mkstemp(PART, dir=self.folder)
            try:
                with os.fdopen(handle, "wb", buffering=0) as file:
                    for at in range(0, len(data), WRITTEN_AT_ONCE):
                        _write(file, data[at : at + WRITTEN_AT_ONCE])
                    _write(file, memoryview(text + b" " * (TRAILER - len(text))))
                os.replace(name, self._path(key))
            except BaseException:
                _remove(Path(name))
                raise
            for one in self._in_the_way(0):
                _remove(one.path)
        except OSError as error:
            raise Unusable(f"packed weights cannot be kept in {self.folder}: {error.strerror}") from error

    def discard(self, key: str) -> None:
        """Removes a copy that turned out to be damaged."""
        if self.folder is not None:
            _remove(self._path(key))

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{key}{ENDING}"

    def _in_the_way(self, n_bytes: int) -> Iterator[Copy]:
        """The least recently used copies that leave no room for so much."""
        assert self.folder is not None
        kept = sorted(copies(self.folder), key=lambda one: one.used)
        total = n_bytes + sum(one.n_bytes for one in kept)
        for one in kept:
            if total <= self.limit:
                break
            total -= one.n_bytes
            yield one


def kept_folder() -> Path:
    """Where copies are kept; it need not exist. Raises LlamaChatError as `cache_folder`."""
    return cache_folder() / FOLDER


def copies(folder: Path) -> list[Copy]:
    """The copies in a folder, also damaged ones, whose model is then ""; what a killed process left is removed."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if entry.name.endswith(PART) and time.time() - status.st_mtime > ABANDONED_S:
                    _remove(Path(entry.path))
                elif entry.name.endswith(ENDING) and stat.S_ISREG(status.st_mode):
                    model, source = _told(entry.path)
                    found.append(Copy(Path(entry.path), model, status.st_size, status.st_mtime, source))
    return found


def remove_copies(folder: Path) -> list[Copy]:
    """Removes all of them; returns those that are gone."""
    return [one for one in copies(folder) if _remove(one.path)]


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _write(file: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def _told(path: str) -> tuple[str, str]:
    """The model and the source that a copy names; "" where it is damaged."""
    try:
        with open(path, "rb", opener=_plain) as file:
            found = _trailer(file)[0]
    except (OSError, Unusable):
        return "", ""
    return str(found.get("model", "")), str(found.get("source", ""))


def _plain(path: str, flags: int) -> int:
    """What was put in a file's place must not hold the start: a pipe would wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))


def _trailer(file: BinaryIO) -> tuple[dict[str, object], int]:
    """What a file says of itself, and the bytes before that. Raises Unusable for another user's, and a wrong size."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or belongs_to_another(status):
        raise Unusable(f"{file.name} belongs to others, or they may write to it")
    if status.st_size >= TRAILER:
        file.seek(status.st_size - TRAILER)
        text = file.read(TRAILER)
        with contextlib.suppress(ValueError):
            found = json.loads(text.removeprefix(MAGIC)) if text.startswith(MAGIC) else None
            if isinstance(found, dict) and found.get("n_bytes") == status.st_size - TRAILER:
                return found, status.st_size - TRAILER
    raise Unusable(f"{file.name} is no whole copy of packed weights")
