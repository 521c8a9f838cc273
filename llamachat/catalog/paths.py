"""The user's directories: where models are kept and what may be deleted at any time. Knows nothing of models."""

from pathlib import Path

from llamachat.errors import LlamaChatError
from llamachat.folders import cache_folder, folder_of, user_folder

__all__ = ["cache_folder", "make_private", "models_folder"]


def models_folder() -> Path:
    """Where `llamachat pull` keeps models: $LLAMACHAT_MODELS, or `models` in the user's data directory.

    It need not exist. Raises LlamaChatError where neither the variable nor a home directory says where.
    """
    return folder_of("LLAMACHAT_MODELS", lambda: user_folder("data") / "models")


def make_private(folder: Path, variable: str = "LLAMACHAT_MODELS") -> Path:
    """The folder, made if it is missing, for this user only (0700); one that is there keeps its mode.

    variable: the one to set, for the message. Raises LlamaChatError with the system's reason.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LlamaChatError(
            f"{folder}: the folder cannot be made ({reason}); set {variable} to one that you can write to"
        ) from error
    return folder
