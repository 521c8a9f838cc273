"""A text in the person's own editor."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

from llamachat.errors import LlamaChatError
from llamachat.terminal.output import note
from llamachat.terminal.restore import lent_terminal


def edited(text: str) -> str | None:
    """What comes out of $VISUAL or $EDITOR; None where it was not changed. Raises LlamaChatError where none starts, and
    where it fails.

    A break that an editor sets behind the last line is no change. What was written stays in its file, which is said,
    where it does not come out of here: the editor fails, or a signal ends the program.
    """
    folder = Path(tempfile.mkdtemp(prefix="llamachat-"))
    path = folder / "message.md"
    is_kept = False
    try:
        path.write_text(text, "utf-8")
        _edit(path)
        changed = _read(path)
    except BaseException as error:
        is_kept = _differs(path, text)
        if is_kept and isinstance(error, LlamaChatError):
            raise LlamaChatError(f"{error}; what you wrote is in {path}") from error
        if is_kept:
            note(f"what you wrote in the editor is in {path}")
        raise
    finally:
        if not is_kept:
            shutil.rmtree(folder, ignore_errors=True)
    return None if changed.rstrip("\n") == text.rstrip("\n") else changed


def _edit(path: Path) -> None:
    """Runs the editor on a file."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    try:
        with interrupts_ignored(), lent_terminal():
            done = subprocess.run([*shlex.split(editor), str(path)], check=False)
    except (OSError, ValueError) as error:
        raise LlamaChatError(f"the editor {editor} cannot be started ({error}): set EDITOR to another") from error
    if done.returncode:
        raise LlamaChatError(f"the editor {editor} ended with {done.returncode}; nothing was changed")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise LlamaChatError(f"the editor left no text ({error.strerror or error}); nothing was changed") from error


def _differs(path: Path, text: str) -> bool:
    """Whether there is something else in the file."""
    try:
        return path.read_text("utf-8", errors="replace").rstrip("\n") != text.rstrip("\n")
    except OSError:
        return False


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ctrl+C belongs to the editor: no handler and no event loop gets it, so the line is not lost."""
    if current_thread() is not main_thread():
        yield
        return
    handler, wakeup = signal.signal(signal.SIGINT, lambda *_: None), signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, handler)
