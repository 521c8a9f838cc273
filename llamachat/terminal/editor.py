"""A text in the person's own editor."""

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

from llamachat.errors import LlamaChatError
from llamachat.terminal.restore import lent_terminal


def edited(text: str) -> str | None:
    """What comes out of $VISUAL or $EDITOR; None where it was not changed. Raises LlamaChatError where none starts.

    A break that an editor sets behind the last line is no change.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    with tempfile.TemporaryDirectory(prefix="llamachat-") as folder:
        path = Path(folder) / "message.md"
        path.write_text(text, "utf-8")
        try:
            with interrupts_unheard(), lent_terminal():
                done = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except (OSError, ValueError) as error:
            raise LlamaChatError(f"the editor {editor} cannot be started ({error}): set EDITOR to another") from error
        if done.returncode:
            raise LlamaChatError(f"the editor {editor} ended with {done.returncode}; nothing was changed")
        changed = path.read_text("utf-8", errors="replace")
    return None if changed.rstrip("\n") == text.rstrip("\n") else changed


@contextmanager
def interrupts_unheard() -> Iterator[None]:
    """Ctrl+C is the editor's, and no reason to throw the line away: neither a handler nor an event loop hears of it."""
    if current_thread() is not main_thread():
        yield
        return
    handler, wakeup = signal.signal(signal.SIGINT, lambda *_: None), signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, handler)
