"""Locks on open files. The operating system releases them with the process that holds them, however it ends."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from llamachat.errors import LlamaChatError


class LocksMissing(LlamaChatError):
    """The file system has no locks, as some network file systems."""


def try_lock(file: int) -> bool:
    """Whether this process has the lock of an open file from now on; False if another one holds it.

    file: a descriptor, open for writing; the lock ends when it is closed. Raises LocksMissing.
    """
    try:
        return _take(file)
    except (BlockingIOError, PermissionError):  # NFS may answer EACCES
        return False
    except OSError as error:
        raise LocksMissing(f"the file system has no locks ({error.strerror or error})") from error


def is_at(file: int, path: Path) -> bool:
    """Whether the path still names the open file: another process may have removed or replaced it."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _flock(file: int) -> bool:
    """As Linux and macOS lock: flock. Raises OSError."""
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


def _lock_descriptor(file: int) -> bool:
    """As filelock does it: LockFileEx on Windows, where nobody else can read byte 0 then. Raises OSError."""
    from filelock import lock_descriptor  # 12 ms, which Linux and macOS save

    return lock_descriptor(file, blocking=False)


_take: Callable[[int], bool] = _lock_descriptor if sys.platform == "win32" else _flock
