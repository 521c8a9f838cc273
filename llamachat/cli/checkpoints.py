"""Folders of Hugging Face models on the command line: on this machine, or fetched."""

from pathlib import Path

from llamachat.errors import UsageError
from llamachat.terminal.output import note


def checkpoint_folder(source: str) -> Path:
    """The folder that a person names, or that hf:owner/repository is fetched into.

    Raises UsageError for what is no folder, and as `fetch_checkpoint`.
    """
    if not source.startswith("hf:"):
        folder = Path(source)
        if not folder.is_dir():
            kind = "is a file" if folder.exists() else "there is no such folder"
            raise UsageError(f"{source}: {kind}; give the folder with config.json, or hf:owner/repository")
        return folder
    from llamachat.catalog.checkpoints import checkpoint_files, fetch_checkpoint  # a network, which few need
    from llamachat.catalog.offline import check_online
    from llamachat.engine.memory import size_text
    from llamachat.terminal.bars import work_bars

    check_online(source)
    files = checkpoint_files(source)
    note(f"fetching {source} ({size_text(sum(size or 0 for size in files.values()))})")
    with work_bars() as progress:
        return fetch_checkpoint(source, files, progress)
