"""Files that are replaced whole or not at all; the next program removes unfinished ones of a killed one."""

import glob
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llamachat.locking import is_at
from llamachat.session.locks import locked_or_lockless, unlink_if_free


def replace_file(path: Path, parts: Sequence[Any]) -> None:
    """Writes the parts into a file beside the target and renames it, for its owner only. Raises OSError."""
    sweep(path.parent, path.name)
    handle, scratch = _scratch(path)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            os.replace(scratch, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(scratch)
        raise


def sweep(folder: Path, name: str = "*") -> None:
    """Removes unfinished files of that name, or pattern, which no program has locked."""
    name = name if name == "*" else glob.escape(name)
    for path in folder.glob(f".{name}.????????.part"):
        unlink_if_free(path)


def _scratch(path: Path) -> tuple[int, str]:
    """A new file beside the target, locked, and its name."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        if locked_or_lockless(handle) and is_at(handle, Path(name)):
            return handle, name
        os.close(handle)  # another program swept it away before it was locked
