"""The configuration file: TOML, where it lies, and the line that a key stands on."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamachat.errors import UsageError
from llamachat.files import read_again

NAME = "config.toml"
CHOSEN = "LLAMACHAT_CONFIG"
LARGEST_FILE = 1_000_000

_KEY = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_HEADER = re.compile(rf"\s*\[\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file as it was read."""

    path: Path
    text: str
    table: dict[str, Any]

    @property
    def profiles(self) -> dict[str, Any]:
        """The tables [profile.NAME]. Raises UsageError where `profile` is something else."""
        found = self.table.get("profile", {})
        for name, table in found.items() if isinstance(found, dict) else [("NAME", None)]:
            if not isinstance(table, dict):
                raise UsageError(f"{self.place('profile', name)}: profiles are tables: write [profile.{name}] above it")
        return dict(found)

    def place(self, *keys: str) -> str:
        """The file and the line of a key, for a message."""
        return f"{self.path}, line {self.line(*keys)}"

    def line(self, *keys: str) -> int:
        """The number of the line on which the key is set; of a key inside a value, the line where that begins."""
        inside: tuple[str, ...] = ()
        best, depth = 1, 0
        lines = self.text.splitlines()
        for number, line in enumerate(lines, 1):
            header, assignment = _HEADER.match(line), _ASSIGNMENT.match(line)
            if not (header or assignment) or not _is_whole("\n".join(lines[: number - 1])):
                continue  # within a text of several lines
            if header:
                inside = _parts(header[1])
            path = inside + (_parts(assignment[1]) if assignment else ())
            reach = min(len(path), len(keys))  # a header may name the tables below the key, too
            if reach > depth and path[:reach] == keys[:reach]:
                best, depth = number, reach
        return best

    def line_within(self, key: str, number: int) -> int:
        """The file's line for line `number` of a key's text, where that goes over several; else the key's own line."""
        first = self.line(key)
        text = self.text.splitlines()[first - 1].partition("=")[2].strip()
        if not text.startswith(('"""', "'''")):
            return first
        return first + number - (len(text) > 3)  # a line break behind the quotes is no part of the text


def config_path() -> Path:
    """Where the file is, or would be: $LLAMACHAT_CONFIG, or config.toml in the platform's folder of configurations."""
    if chosen := os.environ.get(CHOSEN):
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    from platformdirs import user_config_path  # 3 ms, which --help does without

    return user_config_path("llamachat", appauthor=False) / NAME


def read_config() -> ConfigFile | None:
    """The configuration file; None where there is none. Raises UsageError with file and line where it is no TOML."""
    try:
        path = config_path()
        path.stat()
    except RuntimeError:  # a user without a home
        return None
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.environ.get(CHOSEN):
            raise UsageError(f"{CHOSEN}: there is no file {path}") from error
        return None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    return parsed(path, read_again(path, LARGEST_FILE))


def parsed(path: Path, content: bytes) -> ConfigFile:
    """The content of a configuration file, read as TOML. Raises as `read_config`."""
    import tomllib  # 5 ms, which those without a file do without

    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        return ConfigFile(path, text, tomllib.loads(text))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {line}: not UTF-8 text (byte {content[error.start]:#04x})") from error
    except tomllib.TOMLDecodeError as error:
        message, _, where = str(error).partition(" (at ")
        at = re.search(r"line (\d+)", where)
        line = int(at[1]) if at else text.count("\n") + 1
        said = f"{message[:1].lower()}{message[1:]} (TOML)"
        if message == "Invalid value":
            said += ': numbers, true and false stand bare, texts in quotes, as in temp = 0.7 and system = "Be brief."'
        raise UsageError(f"{path}, line {line}: {said}") from error
    except (ValueError, RecursionError) as error:  # a number of 5000 digits, a list of 5000 lists
        raise UsageError(f"{path}: {error}") from error


def _is_whole(text: str) -> bool:
    """Whether the text is TOML, and so no value is open at its end."""
    import tomllib

    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, path))
