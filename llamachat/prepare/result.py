"""A file that appears under its name only when it is whole: what is refused before any work, and where it grows.

A result grows in a hidden folder beside its place and is moved there by one rename, after its bytes are on the disk.
However the work ends (an error, Ctrl+C, SIGTERM, a full disk), nothing of it stays, and what was at the place before
is untouched. Only a process that is killed outright leaves its folder; the next result there removes it a day later.
"""

from __future__ import annotations

import atexit
import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from llamachat.endings import undisturbed
from llamachat.engine.memory import size_text
from llamachat.errors import LlamaChatError, UsageError

_PREFIX = ".llamachat-"
_DAY_S = 24 * 3600

_SENTENCES = {
    errno.ENOSPC: "the disk is full; nothing was written: make room, or write to another disk",
    errno.EDQUOT: "your quota on this disk is used up; nothing was written",
    errno.EFBIG: "the file is larger than this disk or its limit allows (ulimit -f); nothing was written",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "no permission to write there; choose another folder",
    errno.EPERM: "no permission to write there; choose another folder",
    errno.ENAMETOOLONG: "the name is too long for a file",
}

_growing: set[Path] = set()
"""Folders of results that are not whole: a signal between two lines of Python may end the program past a `finally`."""


def check_result(
    path: str | Path, sources: Iterable[str | Path] = (), *, overwrite: bool = False, n_bytes: int = 0
) -> None:
    """Refuses what cannot become a result, before any work.

    sources: the files that are read, which must not be written over, by whatever name or link. overwrite: whether a
    file that is there may be replaced. n_bytes: size of the result, as far as it is known.

    Raises UsageError for a source, a folder, anything else that is no regular file, a folder that is missing, and a
    file that is there without `overwrite`; LlamaChatError where nothing can be written or the disk has too little room.
    """
    path = Path(path)
    with _writing(path):
        _check_place(path, sources, overwrite)
        folder = _target(path).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            read_only = hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY
            raise OSError(errno.EROFS if read_only else errno.EACCES, "")
        free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise LlamaChatError(f"{path}: {size_text(n_bytes)} are needed and {size_text(free)} are free; make room")


def _check_place(path: Path, sources: Iterable[str | Path], overwrite: bool) -> None:
    """Raises UsageError for a place where no result may be."""
    there = path.stat() if path.exists() else None
    if there is not None:
        if stat.S_ISDIR(there.st_mode):
            raise UsageError(f"{path}: is a directory; give the name of a file in it")
        if not stat.S_ISREG(there.st_mode):
            raise UsageError(f"{path}: is no regular file")
        for source in sources:
            if Path(source).exists() and os.path.samestat(there, Path(source).stat()):
                raise UsageError(f"{path}: is the file that is read ({source}); give the result another name")
        if not overwrite:
            raise UsageError(f"{path}: there is such a file already", settings=("overwrite",))
    folder = _target(path).parent
    if not folder.is_dir():
        raise UsageError(f"{path}: there is no folder {folder}; make it first")


@contextmanager
def result(path: str | Path) -> Iterator[Path]:
    """A path for the block to write to, whose file is at `path` when the block has ended without an error.

    Raises LlamaChatError, with one sentence, where the system cannot write it; and whatever the block raises.
    """
    with results([path]) as (part,):
        yield part


@contextmanager
def results(paths: Sequence[str | Path]) -> Iterator[list[Path]]:
    """As `result`, for several files of one folder that appear together; a file that the block has not made is none."""
    first = Path(paths[0])
    folder = _target(first).parent
    _sweep(folder)
    grown = folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    _growing.add(grown)
    try:
        with _writing(first, grown):
            grown.mkdir()
            parts = [grown / _target(Path(path)).name for path in paths]
            yield parts
            made = [(part, _target(Path(path))) for part, path in zip(parts, paths, strict=True) if part.exists()]
            for part, target in made:
                _finish(part, target)
            with undisturbed():
                for part, target in made:
                    os.replace(part, target)
                _flush_folder(folder)
    finally:
        with undisturbed():
            _remove(grown)


def _finish(part: Path, target: Path) -> None:
    """Waits until the bytes are on the disk: the rename must never come before them. The mode of before stays."""
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    if target.exists():
        shutil.copymode(target, part)


def _flush_folder(folder: Path) -> None:
    """Waits until the new name is on the disk, where the system lets a folder be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _target(path: Path) -> Path:
    """The file itself, where the path is a link to it: the link stays one."""
    return Path(os.path.realpath(path))


@contextmanager
def _writing(path: Path, grown: Path | None = None) -> Iterator[None]:
    """Turns the system's errors about writing into one sentence; those about another file stay as they are."""
    try:
        yield
    except OSError as error:
        named = None if error.filename is None else Path(os.fsdecode(error.filename))
        ours = (path, _target(path), _target(path).parent, grown)
        if named is not None and named not in ours and grown not in named.parents:
            raise
        said = _SENTENCES.get(error.errno or 0) or error.strerror or str(error)
        raise LlamaChatError(f"{path}: {said}") from error


def _sweep(folder: Path) -> None:
    """Removes what processes have left that were killed more than a day ago."""
    with suppress(OSError):
        for left in folder.glob(f"{_PREFIX}*"):
            if left.is_dir() and time.time() - left.stat().st_mtime > _DAY_S:
                shutil.rmtree(left, ignore_errors=True)


def _remove(grown: Path) -> None:
    shutil.rmtree(grown, ignore_errors=True)
    _growing.discard(grown)


@atexit.register
def _remove_all() -> None:
    for grown in [one for one in _growing if one.name.startswith(f"{_PREFIX}{os.getpid()}-")]:
        _remove(grown)
