"""Deleting a model that `pull` has fetched: from our own folder, or from the cache of Hugging Face."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from llamachat.catalog.known import KNOWN
from llamachat.catalog.places import Located, locate
from llamachat.catalog.splits import part_names
from llamachat.errors import LlamaChatError, UsageError

OURS, HUB = "llamachat", "huggingface"
OTHERS = {"ollama": "`ollama rm` removes it", "lmstudio": "LM Studio removes it", "llama.cpp": "delete the file itself"}


def found_for_removal(name: str) -> Located:
    """The model with this whole name, short name, file name or path.

    Raises UsageError for none, for several, and for a model of another program.
    """
    known = KNOWN.get(name.lower())
    path = Path(os.path.abspath(os.path.expanduser(name)))
    found = [
        model
        for model in locate()
        if name in (model.name, model.path.name)
        or path == model.path
        or (known is not None and model.path.name == known.file)
    ]
    if not found:
        raise UsageError(f"no model here has the whole name {name!r}: `llamachat models` lists what is here")
    mine = [model for model in found if model.source in (OURS, HUB)]
    if not mine:
        raise UsageError(f"{name} belongs to {found[0].source}: {OTHERS.get(found[0].source, 'it removes it')}")
    if len(mine) > 1:
        raise UsageError(f"{name} is there {len(mine)} times, give a path: {', '.join(str(one.path) for one in mine)}")
    return mine[0]


def remove(model: Located) -> None:
    """Deletes all files of the model. Raises LlamaChatError with the system's reason."""
    for name in part_names(model.path.name):
        path = model.path.with_name(name)
        try:
            _remove_file(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LlamaChatError(f"{path} cannot be deleted: {error.strerror or error}") from error


def _remove_file(path: Path) -> None:
    """Deletes a file; where it is a link into a cache, what it points to goes, too, unless another link needs it."""
    target = path.resolve() if path.is_symlink() else None
    path.unlink()
    if target is None or target.parent.name != "blobs" or target in _targets(target.parent.parent / "snapshots"):
        return
    with suppress(FileNotFoundError):
        target.unlink()


def _targets(snapshots: Path) -> Iterable[Path]:
    return {path.resolve() for path in snapshots.rglob("*") if path.is_symlink()}
