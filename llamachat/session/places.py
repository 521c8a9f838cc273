"""The folders of chats on this machine."""

import os
from pathlib import Path

from llamachat.errors import LlamaChatError

VARIABLE = "LLAMACHAT_DATA"


def data_folder() -> Path:
    """$LLAMACHAT_DATA, or the user's data directory. Raises LlamaChatError where neither says where."""
    if chosen := os.environ.get(VARIABLE):
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    from platformdirs import user_data_path  # 25 ms, for those who keep chats

    try:
        folder = user_data_path("llamachat", appauthor=False)
    except RuntimeError:  # pathlib could not find a home
        folder = Path("~")
    if not folder.is_absolute():
        raise LlamaChatError(f"this user has no home directory: set {VARIABLE} to a folder that you can write to")
    return folder


def database_path() -> Path:
    """The database of chats, in a folder of its own that only the owner may read."""
    return data_folder() / "chats" / "chats.db"


def snapshots_folder() -> Path:
    """The folder of snapshots, which can be computed again."""
    return data_folder() / "chats" / "snapshots"


def locks_folder() -> Path:
    """The folder of locks: which process works with which chat."""
    return data_folder() / "chats" / "locks"
