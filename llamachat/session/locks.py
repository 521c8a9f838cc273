"""Who works with a chat: a lock that is gone with the process that holds it, however that ends."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

try:
    import fcntl
except ImportError:  # Windows: two programs in one chat do not see each other
    fcntl = None  # type: ignore[assignment]


NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class ChatLock:
    """The lock of a chat; `holder` is the process that has it, where that is another one (0: unknown)."""

    def __init__(self, folder: Path, chat: int) -> None:
        self._path = folder / f"{chat}.lock"
        self._file: int | None = None
        self.holder: int | None = None

    def take(self) -> bool:
        """Whether the chat is this program's alone from now on. Raises OSError where the folder cannot be written."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            if self._path.is_symlink():  # not ours: what it leads to is not written to
                self._path.unlink(missing_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | NO_LINK, 0o600)
            if not lock(file):
                found = os.read(file, 20)
                self.holder = int(found) if found.isdigit() else 0
                os.close(file)
                return False
            if is_at(file, self._path):
                break
            os.close(file)  # `tidy_locks` took the file away in between
        self._file = file
        with suppress(OSError):  # a full disk: the lock holds, only its holder is not named
            os.truncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        return True

    def release(self) -> None:
        """Lets others have it; harmless where it was not taken."""
        if self._file is not None:
            with suppress(OSError):
                os.truncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def tidy_locks(folder: Path) -> None:
    """Takes the files of locks away that nobody holds."""
    for path in folder.glob("*.lock"):
        unlink_if_free(path)


def unlink_if_free(path: Path) -> None:
    """Takes a file away that no program has locked; harmless where that cannot be done."""
    with suppress(OSError):
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | NO_LINK)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if is_at(file, path):
                    path.unlink()
        finally:
            os.close(file)


def lock(file: int) -> bool:
    """Whether an open file is this program's alone from now on, until it is closed, as far as anybody can know.

    Some file systems of networks have no locks: there two programs do not see each other.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def is_at(file: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False
