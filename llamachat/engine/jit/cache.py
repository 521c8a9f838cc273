"""The object cache: a private directory of compiled kernels, each with the checksum of its key and bytes.

Bytes only, never pickle. A file that is not the user's own, is truncated, or does not match is ignored and made again;
a cache that cannot be read or written costs time, never correctness.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

MAGIC = b"llamachat object 1\n"


class ObjectCache:
    """key -> bytes on disk; `folder` None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @classmethod
    def of_user(cls) -> ObjectCache:
        """The cache in `$LLAMACHAT_CACHE` or the user's cache directory; none where no private directory can be had."""
        try:
            folder = _user_folder() / "objects"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            private = not _belongs_to_another(folder.stat())
        except (OSError, RuntimeError):
            return cls(None)
        return cls(folder if private else None)

    def load(self, key: str) -> bytes | None:
        """The bytes kept for the key, if they are whole and ours."""
        if self.folder is None:
            return None
        try:
            with open(self._path(key), "rb") as file:
                if _belongs_to_another(os.fstat(file.fileno())):
                    return None
                content = file.read()
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


def _belongs_to_another(status: os.stat_result) -> bool:
    """Whether another user owns it, or may write to it."""
    if os.name == "nt":
        return False
    return status.st_uid != os.getuid() or bool(status.st_mode & 0o022)


def _user_folder() -> Path:
    if folder := os.environ.get("LLAMACHAT_CACHE"):
        return Path(folder)
    from platformdirs import user_cache_path

    return user_cache_path("llamachat")
