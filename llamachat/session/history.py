"""The input history across runs: a file with one JSON string per line, the oldest first.

Pasted text is a message whatever it begins with; it is stored as a list of one string. A history that cannot be read
or written is kept in memory.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

LIMIT = 2000
"""Lines that are remembered; the file is cut when it is twice as long."""


class InputHistory:
    """Remembered inputs; `warning` says why they are in memory only, None if they are in the file.

    lasting: whether what is typed now is kept in the file, too. literal: the inputs of `load` that were pasted.
    """

    def __init__(self, path: Path | None = None, lasting: bool = True) -> None:
        self._path = default_path() if path is None else path
        self._lasting = lasting
        self.warning: str | None = None
        self.literal: set[str] = set()

    def load(self) -> list[str]:
        """The last inputs, the oldest first. Other lines, unfinished ones too, are skipped."""
        try:
            lines = self._path.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            self.warning = f"{self._path}: {error.strerror}; what you type is not remembered"
            return []
        if len(lines) > 2 * LIMIT:
            self._cut(lines[-LIMIT:])
        typed = [(line, text) for line in lines[-LIMIT:] if (text := _parsed(line)) is not None]
        self.literal = {text for line, text in typed if line.startswith("[")}
        return [text for _, text in typed]

    def append(self, text: str, literal: bool = False) -> None:
        """Adds an input with one write at the end of the file, so that two programs do not mix their lines."""
        if not self._lasting:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, (json.dumps([text] if literal else text) + "\n").encode())
            finally:
                os.close(file)
        except OSError as error:
            self.warning = f"{self._path}: {error.strerror}; what you type is not remembered"

    def forget(self, belongs: Callable[[str], bool]) -> None:
        """Removes the inputs for which `belongs` is true from the file."""
        try:
            lines = self._path.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return
        kept = [line for line in lines if (text := _parsed(line)) is None or not belongs(text)]
        if len(kept) < len(lines):
            self._cut(kept)

    def _cut(self, lines: list[str]) -> None:
        shorter = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            shorter.touch(mode=0o600)
            shorter.write_text("".join(f"{line}\n" for line in lines), "utf-8")
            os.replace(shorter, self._path)
        except OSError as error:
            self.warning = f"{self._path}: {error.strerror}; it was not shortened"


def default_path() -> Path:
    """The file in the user's state directory."""
    from platformdirs import user_state_path  # 5 ms, for chats only

    return user_state_path("llamachat") / "history.jsonl"


def _parsed(line: str) -> str | None:
    try:
        text = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(text, list) and len(text) == 1:
        text = text[0]
    return text if isinstance(text, str) else None
