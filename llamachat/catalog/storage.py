"""Writing large files safely: free space, a scratch folder beside the target, plain names, translated errors."""

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llamachat.engine.memory import size_text
from llamachat.errors import LlamaChatError, UsageError

Progress = Callable[[int, int | None, str], None]
"""Called with bytes done, bytes in all (None = unknown) and what is being done, e.g. "downloading smollm2"."""

CHUNK = 1 << 20
_SCRATCH = ".fetch-"
_DAY = 24 * 3600

_SENTENCES = {
    errno.ENOSPC: "the disk is full; free some space or set LLAMACHAT_MODELS to a folder on another disk",
    errno.EDQUOT: "your quota on this disk is used up; set LLAMACHAT_MODELS to a folder on another disk",
    errno.EROFS: "the disk is read-only; set LLAMACHAT_MODELS to a folder that you can write to",
    errno.EACCES: "no permission to write there; set LLAMACHAT_MODELS to a folder that you can write to",
    errno.EPERM: "no permission to write there; set LLAMACHAT_MODELS to a folder that you can write to",
}


def no_progress(_done: int, _total: int | None, _what: str) -> None:
    """Nobody is watching."""


@contextmanager
def storing(target: Path) -> Iterator[None]:
    """Turns the system's errors about writing `target` into a LlamaChatError that says what to do."""
    try:
        yield
    except OSError as error:
        sentence = _SENTENCES.get(error.errno or 0) or error.strerror or str(error)
        raise LlamaChatError(f"{target}: {sentence}") from error


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A private folder inside `folder` that is gone afterwards, however the block ends.

    Folders of killed runs that are older than a day are removed first.
    """
    with storing(folder):
        _sweep(folder)
        made = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _sweep(folder: Path) -> None:
    for left in folder.glob(f"{_SCRATCH}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left, ignore_errors=True)


def check_free(folder: Path, n_bytes: int) -> None:
    """Raises LlamaChatError if the disk of `folder` has less than `n_bytes` left."""
    with storing(folder):
        free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise LlamaChatError(
            f"{folder}: {size_text(n_bytes)} are needed and {size_text(free)} are free; "
            "make room or set LLAMACHAT_MODELS to a folder on another disk"
        )


def file_name(name: str, origin: str) -> str:
    """The last part of `name` as a plain file name ending in .gguf: letters, digits and `._+-`, no leading dot.

    Raises UsageError, naming `origin`, if nothing is left or it is no GGUF name.
    """
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^A-Za-z0-9._+-]", "_", last).lstrip(".")
    if not plain.lower().endswith(".gguf") or len(plain) <= len(".gguf") or len(plain) > 200:
        raise UsageError(f"{origin}: this does not name a .gguf file")
    return plain


def flush(descriptor: int) -> None:
    """Waits until the file is on the disk: a rename must never come before the bytes."""
    os.fsync(descriptor)
