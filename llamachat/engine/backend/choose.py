"""Which backends there are: the only place above a backend that names one."""

from typing import Final

from llamachat.engine.backend.cpu.backend import Processor
from llamachat.engine.backend.interface import Backend, Device, Settings
from llamachat.errors import UsageError

DEFAULT: Final = "cpu"

BACKENDS: Final[dict[str, Backend]] = {"cpu": Processor()}
"""{name: backend}; who has another one adds it here."""


def choose(name: str = DEFAULT) -> Backend:
    """The backend of a name. Raises UsageError for one that is not known."""
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}: known are {', '.join(BACKENDS)}")
    return BACKENDS[name]


def quantiser(n_threads: int | None = None) -> Device:
    """What turns weights into blocks (`Device.encode`), on the default backend; to be closed.

    n_threads: None for as many as help. Raises UsageError for a number out of range.
    """
    return choose().open(Settings(threads=n_threads))
