"""Who works with a chat: a lock that ends with the process that holds it."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from llamachat.locking import LocksMissing, is_at, try_lock

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
NOT_INHERITED = getattr(os, "O_CLOEXEC", 0)
_PID_AT = 1 if sys.platform == "win32" else 0
"""The byte where a lock file has the process id of its holder: on Windows others cannot read byte 0."""


class ChatLock:
    """The lock of a chat. holder: after a failed `take`, the id of the process that holds it (0: unknown)."""

    def __init__(self, folder: Path, chat: int) -> None:
        self._path = folder / f"{chat}.lock"
        self._file: int | None = None
        self.holder: int | None = None

    def take(self) -> bool:
        """Whether this program alone works with the chat from now on.

        Where the file system has no locks the answer is yes: two programs do not see each other there. Raises OSError
        if the folder cannot be written.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            if self._path.is_symlink():  # not ours: what it leads to is not written to
                self._path.unlink(missing_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | NOT_INHERITED | NO_LINK, 0o600)
            if not locked_or_lockless(file):
                self.holder = _process_id(file)
                os.close(file)
                return False
            if is_at(file, self._path):
                break
            os.close(file)  # `tidy_locks` removed the file in between
        self._file = file
        with suppress(OSError):  # a full disk: the lock holds, only its holder is not named
            os.truncate(file, 0)
            os.write(file, b" " * _PID_AT + str(os.getpid()).encode())
        return True

    def release(self) -> None:
        """Gives the lock back; does nothing where it was not taken."""
        if self._file is not None:
            with suppress(OSError):
                os.truncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _process_id(file: int) -> int:
    """The process id in a lock file; 0 if there is none yet."""
    os.lseek(file, _PID_AT, os.SEEK_SET)
    found = os.read(file, 20)
    return int(found) if found.isdigit() else 0


def tidy_locks(folder: Path) -> None:
    """Removes lock files that nobody holds."""
    for path in folder.glob("*.lock"):
        unlink_if_free(path)


def unlink_if_free(path: Path) -> None:
    """Removes a file that no program has locked; does nothing where that cannot be known or done."""
    with suppress(OSError, LocksMissing):
        file = os.open(path, os.O_RDWR | NOT_INHERITED | NO_LINK)
        try:
            if try_lock(file) and is_at(file, path):
                path.unlink()
        finally:
            os.close(file)


def locked_or_lockless(file: int) -> bool:
    """Whether no other program has locked the open file, as far as can be known; it is locked then."""
    try:
        return try_lock(file)
    except LocksMissing:
        return True
