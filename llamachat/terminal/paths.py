"""Files that a person names within a chat: typed, completed, or dropped on the terminal, which quotes them."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from llamachat.errors import UsageError

MOST = 200

MENTION = re.compile(r"""(?<!\S)@(?:(@)|"([^"\n]+)"|'([^'\n]+)'|((?:\\.|[^\s\\@"'])(?:\\.|[^\s\\])*))""")
"""A word of a message that names a file; a doubled @ is one of the text."""

UNFINISHED = re.compile(r"(?<!\S)@((?:\\.|[^\s\\@\"'])*)$")
MARKS = ".,;:!?)]}"
"""They may stand behind a path in a sentence."""

FILES = re.compile(
    r"txt|md|rst|tex|log|csv|tsv|json|jsonl|ya?ml|toml|ini|cfg|conf|xml|html?|css|pyi?|ipynb|c|h|cc|[ch]pp|rs|go|m?js"
    r"|[jt]sx?|java|kt|rb|p[lh]p?|lua|(ba|z|fi)?sh|sql|diff|patch|gbnf|jinja",
    re.IGNORECASE,
)
"""Endings of files that are texts: a word with one of them was meant as a file."""


def path_of(words: str) -> Path:
    r"""The path that was typed or dropped: as it is, in quotes, with \ before blanks, or as a file:// URL.

    Raises UsageError where it cannot be one.
    """
    with suppress(OSError, UsageError):
        if (plain := _expanded(words)).exists():
            return plain
    if words.startswith("file:"):
        return Path(unquote(urlsplit(words).path))
    try:
        parts = shlex.split(words)
    except ValueError:  # a quote that is part of a name
        parts = []
    return _expanded(parts[0] if len(parts) == 1 else words)


def _expanded(words: str) -> Path:
    try:
        return Path(words).expanduser()
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
    return [(f"{prefix}{entry.name}{'/' if _is_folder(entry) else ''}", "") for entry in shown[:MOST]]


def _is_folder(entry: Path) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def mentioned(text: str) -> Iterator[tuple[str, Path]]:
    """The files that a message names with @: the word in the text, and the path.

    A word with @ that is no file stays text, unless it looks like one. Raises UsageError for that.
    """
    for found in MENTION.finditer(text):
        if found[1]:
            continue
        typed = found[2] or found[3] or re.sub(r"\\(.)", r"\1", found[4])
        bare = typed.rstrip(MARKS)
        for name in dict.fromkeys((typed, bare)):
            with suppress(OSError, UsageError):
                if (path := path_of(name)).exists():
                    cut = len(typed) - len(name)
                    yield found[0][: len(found[0]) - cut], path
                    break
        else:
            if _looks_like_a_file(bare) or found[2] or found[3]:
                raise UsageError(f"@{bare}: there is no such file; a word that begins with @ is written @@")


def replaced(text: str, names: dict[str, str]) -> str:
    """The message with its mentions as `names` say, and doubled @ as one."""

    def word(found: re.Match[str]) -> str:
        if found[1]:
            return "@"
        known = next(
            (one for one in names if found[0].startswith(one) and set(found[0][len(one) :]) <= set(MARKS)), None
        )
        return found[0] if known is None else names[known] + found[0][len(known) :]

    return MENTION.sub(word, text)


def _looks_like_a_file(word: str) -> bool:
    path = Path(word)
    is_text = FILES.fullmatch(path.suffix.removeprefix(".")) is not None
    with suppress(OSError, RuntimeError):
        return (is_text or "/" in word) and path.parent.expanduser().is_dir()
    return False


def is_mention(text: str) -> bool:
    """Whether the word at the end of a text is to name a file with @."""
    return UNFINISHED.search(text) is not None


def mention_completions(text: str) -> list[tuple[str, int]]:
    """What an @ at the end of a text could name, and how many characters of the text it replaces."""
    found = UNFINISHED.search(text)
    if found is None:
        return []
    typed = re.sub(r"\\(.)", r"\1", found[1])
    return [("@" + re.sub(r"([\s\\'\"])", r"\\\1", path), len(found[0])) for path, _ in paths(typed)]
