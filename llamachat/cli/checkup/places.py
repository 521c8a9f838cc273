"""Folders and files of the program: where they are, whether they are there and can be written to."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from llamachat.catalog.paths import cache_folder, models_folder
from llamachat.cli.checkup.facts import Fact
from llamachat.cli.prompt_library.places import own_folder
from llamachat.cli.settings.file import config_path
from llamachat.engine.kept import copies, kept_folder
from llamachat.engine.memory import size_text
from llamachat.errors import LlamaChatError
from llamachat.session.history import default_path
from llamachat.session.places import database_path


def folders() -> Iterator[Fact]:
    """Every place that the program reads or writes."""
    places: dict[str, Callable[[], Path]] = {
        "config": lambda: config_path(),
        "prompts": own_folder,
        "chats": lambda: database_path().parent,
        "models": models_folder,
        "cache": cache_folder,
        "state": lambda: default_path().parent,
    }
    for name, place in places.items():
        try:
            yield _place(name, place())
        except (LlamaChatError, RuntimeError) as error:
            yield Fact(name, None, str(error), problem=True)


def _place(name: str, path: Path) -> Fact:
    """A place; what is not there yet can be made if the nearest folder above it can be written to."""
    existing = next((one for one in (path, *path.parents) if one.exists()), Path("/"))
    exists, writable = existing == path, os.access(existing, os.W_OK)
    state = "" if exists else ", not there yet"
    trouble = "" if writable else f", and {'it' if exists else existing} cannot be written to"
    value = {"path": str(path), "exists": exists, "writable": writable}
    # Someone else's configuration, read only, is a usual way to set many machines up alike.
    return Fact(name, value, f"{path}{state}{trouble}", problem=not writable and name not in ("config", "prompts"))


def object_cache() -> Iterator[Fact]:
    """The compiled kernels that are kept."""
    try:
        folder = cache_folder() / "objects"
        sizes = [entry.stat().st_size for entry in os.scandir(folder) if entry.is_file()]
    except LlamaChatError as error:
        yield Fact("entries", None, str(error), problem=True)
        return
    except FileNotFoundError:
        yield Fact("entries", 0, "nothing kept yet: the first start with a model compiles its kernels")
        return
    except OSError as error:
        yield Fact("entries", None, f"{error.strerror}: kernels are compiled at every start", problem=True)
        return
    yield Fact("entries", len(sizes), f"{len(sizes)} kernels kept")
    yield Fact("total_bytes", sum(sizes), size_text(sum(sizes)))
    if os.name != "nt":
        status = folder.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            yield Fact("private", False, f"{folder} belongs to others, or they may write to it: not used", problem=True)


def packed_weights() -> Iterator[Fact]:
    """The packed weights that are kept: of which models, how large, and how long ago they were used."""
    try:
        kept = sorted(copies(kept_folder()), key=lambda one: -one.used)
    except LlamaChatError as error:
        yield Fact("copies", None, str(error), problem=True)
        return
    yield Fact("copies", len(kept), f"{len(kept)} kept" if kept else "none kept: --keep-packed does")
    for number, one in enumerate(kept, 1):
        age_s = max(0.0, time.time() - one.used)
        said = f"{one.model or 'damaged'}, {size_text(one.n_bytes)}, used {_ago(age_s)}"
        value = {"path": str(one.path), "model": one.model, "bytes": one.n_bytes, "age_s": round(age_s)}
        yield Fact(f"copy_{number}", value, said)
    if kept:
        total = sum(one.n_bytes for one in kept)
        yield Fact("total_bytes", total, f"{size_text(total)}; `llamachat doctor --remove-packed` removes them")


def _ago(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            n = int(seconds // length)
            return f"{n} {unit}{'s' if n > 1 else ''} ago"
    return "just now"
