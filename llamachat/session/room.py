"""Free space of a disk, and the sentence for a full one."""

import errno
import os
import sqlite3
from pathlib import Path

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def no_room(error: Exception, path: Path, needed: int) -> str:
    """The sentence for an error of a full disk, "" for another error. needed: bytes to be written."""
    free = free_at(path)
    refused = isinstance(error, OSError) and error.errno in FULL
    refused = refused or str(getattr(error, "sqlite_errorname", "")) == "SQLITE_FULL"
    full = isinstance(error, sqlite3.Error) and free is not None and free < needed
    if not refused and not full:
        return ""
    there = "" if free is None or free >= needed else f", {written(free)} are free"
    return f"no space left on the disk: {written(needed)} are needed{there}"


def free_at(path: Path) -> int | None:
    """Free bytes for a file: of its folder, or of the first folder above it that exists.

    None if that is not known, or if nothing may be written.
    """
    for folder in path.absolute().parents:
        try:
            found = os.statvfs(folder)
        except (OSError, AttributeError):  # Windows has no such call
            continue
        return None if found.f_flag & os.ST_RDONLY else found.f_bavail * found.f_frsize
    return None


def written(n_bytes: int) -> str:
    """A number of bytes with its unit."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} bytes"
