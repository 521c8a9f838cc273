"""Where prompts lie: in the person's folder of configurations, and with the program; the person's own come first."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from llamachat.errors import UsageError

ENDING = ".jinja"

_PACKAGE = Path(__file__).resolve().parents[2]


def own_folder() -> Path:
    """The folder of the person's own prompts, which need not exist. Raises RuntimeError for a user without a home."""
    from platformdirs import user_config_path  # 3 ms, which --help does without

    return user_config_path("llamachat", appauthor=False) / "prompts"


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
