"""Whether anything may be fetched at all, for the rest of the process."""

import os

from llamachat.errors import UsageError

_forbidden = False


def stay_offline() -> None:
    """Nothing is fetched from now on, by the library of Hugging Face neither."""
    global _forbidden
    _forbidden = True
    os.environ["HF_HUB_OFFLINE"] = "1"


def check_online(source: str) -> None:
    """Raises UsageError where nothing may be fetched."""
    if _forbidden:
        raise UsageError(f"{source} is not here, and nothing may be fetched", settings=("offline",))
