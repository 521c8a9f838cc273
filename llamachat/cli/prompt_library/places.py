"""Where prompts lie: beside the person's configuration file, and with the program; the person's own come first."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from llamachat.cli.settings.file import config_path
from llamachat.errors import UsageError

ENDING = ".jinja"

_PACKAGE = Path(__file__).resolve().parents[2]


def own_folder() -> Path:
    """The folder of the person's own prompts, beside the configuration file; it need not exist.

    Raises RuntimeError for a user without a home.
    """
    return config_path().parent / "prompts"


def shipped_folder() -> Path:
    """The folder of the prompts that come along: in the package where it was built, else beside it in the sources."""
    installed = _PACKAGE / "prompts"
    return installed if installed.is_dir() else _PACKAGE.parent / "prompts"


def prompt_paths() -> dict[str, Path]:
    """The file of each prompt by its name, sorted. Raises UsageError for a folder that cannot be read."""
    folders = [shipped_folder()]
    with suppress(RuntimeError):
        folders.append(own_folder())
    found = {path.name.removesuffix(ENDING): path for folder in folders for path in _files(folder)}
    return dict(sorted(found.items()))


def is_shipped(path: Path) -> bool:
    """Whether a prompt's file came with the program."""
    return path.parent == shipped_folder()


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.glob(f"*{ENDING}") if folder.is_dir() else ()
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}") from error
