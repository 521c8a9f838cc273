"""A text in the person's own editor."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from llamachat.errors import LlamaChatError


def edited(text: str) -> str | None:
    """What comes out of $VISUAL or $EDITOR; None where it was not changed. Raises LlamaChatError where none starts."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    with tempfile.TemporaryDirectory(prefix="llamachat-") as folder:
        path = Path(folder) / "message.md"
        path.write_text(text, "utf-8")
        try:
            done = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except (OSError, ValueError) as error:
            raise LlamaChatError(f"the editor {editor} cannot be started ({error}): set EDITOR to another") from error
        if done.returncode:
            raise LlamaChatError(f"the editor {editor} ended with {done.returncode}; nothing was changed")
        changed = path.read_text("utf-8", errors="replace")
    return None if changed == text else changed
