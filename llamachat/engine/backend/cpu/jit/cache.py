"""The object cache: a private directory of compiled kernels, each with the checksum of its key and bytes.

Bytes only, never pickle. What is no plain file of the user's own, is truncated, or does not match is ignored and made
again; a cache that cannot be read or written costs time, never correctness.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from llamachat.folders import belongs_to_another, private_cache

MOST_BYTES = 1 << 26
"""No kernel is so large: what is, is not read."""

MAGIC = b"llamachat object 1\n"


class ObjectCache:
    """key -> bytes on disk; `folder` None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @classmethod
    def of_user(cls) -> ObjectCache:
        """The cache in `$LLAMACHAT_CACHE` or the user's cache directory; none where no private directory can be had."""
        return cls(private_cache("objects"))

    def load(self, key: str) -> bytes | None:
        """The bytes kept for the key, if they are whole and ours."""
        if self.folder is None:
            return None
        try:
            content = _own_file(self._path(key))
        except OSError:
            return None
        head = len(MAGIC) + 32
        if content[:head] != MAGIC + _checksum(key, content[head:]):
            return None
        return content[head:]

    def save(self, key: str, code: bytes) -> None:
        """Keeps the bytes; written under another name first, so that no reader sees a part."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(MAGIC + _checksum(key, code) + code)
                os.replace(name, self._path(key))
            except BaseException:
                os.unlink(name)
                raise

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / hashlib.sha256(key.encode()).hexdigest()


def _checksum(key: str, code: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + code).digest()


def _own_file(path: Path) -> bytes:
    """The content of a plain file that is the user's own; nothing of anything else, which might never end."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return b""
    # What was put in its place meanwhile must not hold the start either: a pipe would wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES or belongs_to_another(status):
            return b""
        return file.read(MOST_BYTES)
