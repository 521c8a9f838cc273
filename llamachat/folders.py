"""The user's own folders: one rule for every place that the program reads and writes.

A variable names the folder (`~` is the home); else the platform's rules do, which come from platformdirs.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from llamachat.errors import LlamaChatError

Kind = Literal["data", "cache"]


def folder_of(variable: str, default: Callable[[], Path]) -> Path:
    """The folder that the variable names, else the default. It need not exist.

    Raises LlamaChatError where neither the variable nor a home directory says where.
    """
    if chosen := os.environ.get(variable):
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    folder = default()
    if not folder.is_absolute():  # without a home, `~` stays as it is
        raise LlamaChatError(f"this user has no home directory: set {variable} to a folder that you can write to")
    return folder


def user_folder(kind: Kind) -> Path:
    """The folder for data or caches by the platform's rules; `~` where there is no home."""
    from platformdirs import PlatformDirs  # 25 ms, which a start with a path does without

    dirs = PlatformDirs("llamachat", appauthor=False)
    try:
        return dirs.user_data_path if kind == "data" else dirs.user_cache_path
    except RuntimeError:  # pathlib could not find a home
        return Path("~")


def cache_folder() -> Path:
    """What can be made again: $LLAMACHAT_CACHE, or the user's cache directory. Raises as `folder_of`."""
    return folder_of("LLAMACHAT_CACHE", lambda: user_folder("cache"))


def private_cache(name: str) -> Path | None:
    """A folder in `cache_folder`, made if it is not there; None where it cannot be had for this user alone."""
    try:
        folder = cache_folder() / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return None if belongs_to_another(folder.stat()) else folder
    except (OSError, LlamaChatError):
        return None


def belongs_to_another(status: os.stat_result) -> bool:
    """Whether another user owns a file or folder, or may write to it."""
    if os.name == "nt":
        return False
    return status.st_uid != os.getuid() or bool(status.st_mode & 0o022)
