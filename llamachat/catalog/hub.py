"""Models from Hugging Face: downloaded by its own library into its own cache, where other programs find them too."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llamachat.catalog.references import HubModel, Reference, chosen, models_of, parse_reference
from llamachat.catalog.splits import part_names
from llamachat.catalog.storage import Progress, storing
from llamachat.errors import LlamaChatError

# What huggingface_hub raises, the more special class first, and what it means to a person.
_SENTENCES = (
    ("GatedRepoError", "{repo} asks you to accept its terms: do so at https://huggingface.co/{repo} and set HF_TOKEN"),
    ("RepositoryNotFoundError", "there is no repository {repo} at Hugging Face, or it is private (then set HF_TOKEN)"),
    ("DisabledRepoError", "the repository {repo} has been disabled by Hugging Face"),
    ("RemoteEntryNotFoundError", "there is no {file} in {repo}: see https://huggingface.co/{repo}/tree/main"),
    ("OfflineModeIsEnabled", "{file} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it"),
    ("LocalEntryNotFoundError", "Hugging Face cannot be reached, and {file} is not in its cache"),
    ("EntryNotFoundError", "there is no {file} in {repo}: see https://huggingface.co/{repo}/tree/main"),
    ("HFValidationError", "{repo} is no name of a repository"),
    ("HfHubHTTPError", "Hugging Face refuses {repo}: {error}"),
    ("FileMetadataError", "Hugging Face does not describe {file} as a file that can be downloaded"),
    ("XetDownloadError", "the download of {file} failed: {error}"),
)


# Their logs are kept from standard error: what goes wrong is said here, once.
_LOGGERS = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "requests", "filelock")


def fetch_from_hub(address: str, progress: Progress) -> Path:
    """The file `hf:owner/repo/file.gguf` in the Hugging Face cache; of a split model all files, and the first's path.

    Where the address names no file, the repository is asked: see `chosen`. Raises UsageError for another form,
    LlamaChatError with what huggingface_hub reports in one sentence, ModelFileError if what came is not a GGUF file.
    """
    reference = parse_reference(address)
    path = reference.file or chosen(reference, models_at(reference)).path
    folder, slash, last = path.rpartition("/")
    paths = [fetch_file(reference.repo, f"{folder}{slash}{part}", progress) for part in part_names(last)]
    from llamachat.engine.gguf import open_gguf  # numpy

    open_gguf(paths[0])
    return paths[0]


def models_at(reference: Reference) -> list[HubModel]:
    """The models of a repository, the smallest first. Raises LlamaChatError as `fetch_from_hub`."""
    return models_of(files_at(reference.repo, f"hf:{reference.repo}/FILE.gguf names one that is in its cache"))


def files_at(repo: str, hint: str) -> dict[str, int | None]:
    """{path: bytes} of a repository's files. hint: what to do where nobody answers. Raises as `models_at`."""
    import huggingface_hub

    silence()
    with translated(repo, "the list of files"):
        if not reachable(repo, "README.md"):
            raise LlamaChatError(f"Hugging Face cannot be reached for the list of files of {repo}; {hint}")
        entries = huggingface_hub.HfApi().list_repo_tree(repo, recursive=True)
        return {one.path: one.size for one in entries if hasattr(one, "size")}


def fetch_file(repo: str, file: str, progress: Progress) -> Path:
    """A file of a repository in the Hugging Face cache, fetched if it is not there. Raises as `fetch_from_hub`."""
    import inspect

    import huggingface_hub  # 165 ms

    silence()
    options: dict[str, Any] = {}
    if "tqdm_class" in inspect.signature(huggingface_hub.hf_hub_download).parameters:  # since 1.0
        options["tqdm_class"] = _bar_class(progress, f"downloading {file.rpartition('/')[2]}")
    with translated(repo, file):
        if not reachable(repo, file):
            options["local_files_only"] = True
        return Path(huggingface_hub.hf_hub_download(repo, file, **options))


def silence() -> None:
    """Keeps the log of the library, and of what it asks with, from standard error."""
    import huggingface_hub.utils.logging  # noqa: F401 - sets a level of its own, once

    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def reachable(repo: str, file: str) -> bool:
    """Whether Hugging Face can be reached. Its library tries for 23 s, and no setting says how often."""
    import huggingface_hub

    try:
        huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repo, file))
    except Exception as error:
        ancestors = {kind.__name__ for kind in type(error).__mro__}
        if ancestors & {"HfHubHTTPError", "OfflineModeIsEnabled"}:  # an answer, or nobody was asked: the download says
            return True
        return not ancestors & {"TransportError", "OSError"}
    return True


@contextmanager
def translated(repo: str, file: str) -> Iterator[None]:
    """Turns errors of huggingface_hub into LlamaChatError."""
    try:
        yield
    except LlamaChatError:
        raise
    except Exception as error:
        ancestors = {kind.__name__ for kind in type(error).__mro__}
        for name, sentence in _SENTENCES:
            if name in ancestors:
                first_line = (str(error).splitlines() or [""])[0]
                raise LlamaChatError(sentence.format(repo=repo, file=file, error=first_line)) from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            with storing(Path(error.filename or "the Hugging Face cache")):
                raise
        raise LlamaChatError(f"{file}: Hugging Face cannot be reached ({error})") from error


def _bar_class(progress: Progress, what: str) -> type:
    """A silent bar for huggingface_hub that calls `progress`. Of two bars for one file the larger value counts."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    best = 0

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal best
            self.n += n or 0
            best = max(best, int(self.n))
            progress(best, int(self.total) if self.total else None, what)
            return None

    return Bar
