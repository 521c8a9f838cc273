"""A download that is not finished: its bytes in a hidden file, and beside it which version of the file they are of.

Only bytes whose version is known can be continued; others are removed as soon as nobody writes them.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llamachat.catalog.storage import flush
from llamachat.errors import LlamaChatError
from llamachat.locking import LocksMissing, is_at, try_lock

_TAG = re.compile(r"[\x20-\x7e]{1,1000}")


@dataclass(frozen=True)
class Version:
    """Which version of a file a server sends. tag: an ETag or a date, "" for none; total: bytes, None: unknown."""

    tag: str = ""
    total: int | None = None

    @classmethod
    def of(cls, tag: str, total: int | None) -> "Version":
        """The version; a tag that cannot be sent back counts as none."""
        return cls(tag if _TAG.fullmatch(tag) else "", total)

    def continues(self, begun: "Version") -> bool:
        """Whether its bytes may follow those of `begun`: both are known to be of one version."""
        return bool(self.tag) and self.tag == begun.tag and begun.total in (None, self.total)


class Partial:
    """The unfinished file of one address, locked."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file

    @property
    def begun(self) -> tuple[int, Version]:
        """The bytes that are here and their version; 0 bytes where it is not known."""
        version = _read_version(self.path)
        size = os.fstat(self.file.fileno()).st_size
        return (size, version) if version.tag else (0, Version())

    def begin(self, start: int, version: Version) -> None:
        """Keeps the first `start` bytes, which are of that version. No moment claims a version for other bytes."""
        if start == 0:
            _forget(_version_path(self.path))
            self.file.truncate(0)
            _version_path(self.path).write_text(f"{version.tag}\n{version.total or ''}\n", "latin-1")
        self.file.truncate(start)

    def finish(self, target: Path) -> None:
        """Gives the file its name, once its bytes are on the disk."""
        self.file.flush()
        flush(self.file.fileno())
        os.replace(self.path, target)


@contextmanager
def partial(target: Path, url: str) -> Iterator[Partial]:
    """The unfinished file that will be `target`; it stays only if it can be continued.

    Raises LlamaChatError where another process is writing it.
    """
    _sweep(target.parent)
    path = target.parent / f".{target.name[:120]}.{hashlib.sha256(url.encode()).hexdigest()[:12]}.part"
    with _opened(path, target.name) as file:
        made = Partial(path, file)
        try:
            yield made
        finally:
            if target.exists() or made.begun[0] == 0:
                _forget(path, _version_path(path))


@contextmanager
def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """The file, locked: two processes must not write one, so the second is refused."""
    while True:
        with open(path, "ab+") as file:
            try:
                if not try_lock(file.fileno()):
                    raise LlamaChatError(f"{name}: another process is downloading this file")
            except LocksMissing as error:
                if os.fstat(file.fileno()).st_size == 0:
                    _forget(path)
                raise LlamaChatError(
                    f"{name}: {error}, so that two downloads could mix: name another folder with LLAMACHAT_MODELS"
                ) from error
            if is_at(file.fileno(), path):  # else another process removed or renamed it before the lock was ours
                yield file
                return


def _sweep(folder: Path) -> None:
    """Removes unfinished files that can never be continued, which killed processes left behind."""
    for path in folder.glob(".*.part"):
        if not path.is_symlink() and path.is_file() and not _read_version(path).tag:
            with suppress(OSError, LocksMissing), open(path, "rb+") as file:
                if try_lock(file.fileno()) and is_at(file.fileno(), path) and not _read_version(path).tag:
                    _forget(path, _version_path(path))


def _version_path(path: Path) -> Path:
    return path.with_suffix(".version")


def _read_version(path: Path) -> Version:
    try:
        tag, total, *_ = [*_version_path(path).read_text("latin-1").split("\n"), ""]
    except OSError:
        return Version()
    return Version.of(tag, int(total) if re.fullmatch(r"[0-9]{1,18}", total) else None)


def _forget(*paths: Path) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
