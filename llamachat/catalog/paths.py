"""The user's directories: where models are kept and what may be deleted at any time.

Knows nothing of models. The rules of each platform come from platformdirs; two variables override them.
"""

import os
from collections.abc import Callable
from pathlib import Path

from llamachat.errors import LlamaChatError


def models_folder() -> Path:
    """Where `llamachat pull` keeps models: $LLAMACHAT_MODELS, or `models` in the user's data directory.

    It need not exist. Raises LlamaChatError where neither the variable nor a home directory says where.
    """
    return _place("LLAMACHAT_MODELS", lambda dirs: dirs("data") / "models")


def cache_folder() -> Path:
    """What can be made again: $LLAMACHAT_CACHE, or the user's cache directory. Raises as `models_folder`."""
    return _place("LLAMACHAT_CACHE", lambda dirs: dirs("cache"))


def make_private(folder: Path, variable: str = "LLAMACHAT_MODELS") -> Path:
    """The folder, made if it is missing, for this user only (0700); one that is there keeps its mode.

    `variable` is what the message tells a person to set. Raises LlamaChatError with the system's reason.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LlamaChatError(
            f"{folder}: the folder cannot be made ({reason}); set {variable} to one that you can write to"
        ) from error
    return folder


def _place(variable: str, default: Callable[[Callable[[str], Path]], Path]) -> Path:
    if chosen := os.environ.get(variable):
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    folder = default(_user_folder)
    if not folder.is_absolute():  # without a home, `~` stays as it is
        raise LlamaChatError(f"this user has no home directory: set {variable} to a folder that you can write to")
    return folder


def _user_folder(kind: str) -> Path:
    from platformdirs import PlatformDirs  # 25 ms, which a start with a path does without

    dirs = PlatformDirs("llamachat", appauthor=False)
    try:
        return dirs.user_data_path if kind == "data" else dirs.user_cache_path
    except RuntimeError:  # pathlib could not find a home
        return Path("~")
