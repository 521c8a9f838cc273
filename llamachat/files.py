"""Reading files that a person names: whole, but never more than fits the purpose, whatever stands behind the name."""

from __future__ import annotations

import errno
from functools import cache
from pathlib import Path

from llamachat.errors import UsageError

LARGEST_TEXT = 100_000_000
"""Bytes of a text that no narrower limit holds for."""


def read_at_most(path: Path, most: int = LARGEST_TEXT, name: str = "") -> bytes:
    """The content of a file, of which at most `most` + 1 bytes are read: /dev/zero and a pipe have no size before.

    name: what messages call it. Raises UsageError where it cannot be read, or has more bytes.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{name}: {reason(error)}") from error
    if len(content) > most:
        raise UsageError(f"{name} has more than {most} bytes, which is too much here")
    return content


def reason(error: OSError) -> str:
    """What the operating system says is wrong with a file, in words of this program."""
    known = {
        errno.ENOENT: "no such file",
        errno.ENOTDIR: "no such file",
        errno.EISDIR: "is a directory",
        errno.EACCES: "no permission to read it",
        errno.ENAMETOOLONG: "the name is too long for a file",
    }
    return known.get(error.errno or 0) or error.strerror or str(error)


def read_again(path: Path, most: int = LARGEST_TEXT, name: str = "") -> bytes:
    """As `read_at_most`, for what is asked for more than once: a pipe gives its content once, and it is kept."""
    return _piped(path, most, name) if path.is_fifo() else read_at_most(path, most, name)


@cache
def _piped(path: Path, most: int, name: str) -> bytes:
    return read_at_most(path, most, name)
