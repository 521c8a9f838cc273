"""A long text in the person's own pager."""

import os
import shlex
import subprocess

from llamachat.terminal.columns import cut, terminal_size
from llamachat.terminal.editor import interrupts_ignored
from llamachat.terminal.restore import lent_terminal


def paged(text: str) -> bool:
    """Shows a text in $PAGER; False where it fits on the screen, and where there is no pager."""
    columns, lines = terminal_size()
    if sum(len(cut(line, columns)) for line in text.splitlines()) < lines - 2:
        return False
    own = {"LESS": "FRX", **os.environ}
    try:
        words = shlex.split(os.environ.get("PAGER") or "less")
        with interrupts_ignored(), lent_terminal():
            done = subprocess.run(words, input=text.encode("utf-8", "replace"), env=own, check=False)
    except (OSError, ValueError, IndexError):
        return False
    return done.returncode != 127
