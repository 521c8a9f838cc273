"""Files that a person names within a chat."""

from pathlib import Path

from llamachat.errors import UsageError

MOST = 200


def path_of(words: str) -> Path:
    """The path that was typed, perhaps in quotes, perhaps from the home directory. Raises UsageError."""
    try:
        return Path(words.strip("'\"")).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{words}: there is no such home directory") from error


def paths(text: str) -> list[tuple[str, str]]:
    """Paths that begin so, folders with a slash behind; hidden ones only where the dot is typed."""
    folder, _, start = text.rpartition("/")
    try:
        place = Path(folder or ("/" if text.startswith("/") else ".")).expanduser()
        found = sorted(entry for entry in place.iterdir() if entry.name.startswith(start))
    except (OSError, RuntimeError):  # a home that nobody knows of
        return []
    shown = [entry for entry in found if start.startswith(".") or not entry.name.startswith(".")]
    prefix = f"{folder}/" if "/" in text else ""
    return [(f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}", "") for entry in shown[:MOST]]
