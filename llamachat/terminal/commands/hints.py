"""What to type in a chat about an error that names no command: how the settings that it is about are changed here."""

from llamachat.errors import LlamaChatError
from llamachat.terminal.commands.setting_names import AT_THE_START, ELSEWHERE, SYNONYMS
from llamachat.terminal.commands.settings import SETTINGS


def hinted(error: Exception) -> str:
    """The error's sentence, and how to change the settings that it is about, where it names none of them."""
    said = str(error)
    names = [SYNONYMS.get(name, name) for name in error.settings] if isinstance(error, LlamaChatError) else []
    ways = [way for name in names if (way := _way(name))]
    return f"{said}: {' or '.join(ways)}" if ways and not any(name in said for name in names) else said


def _way(name: str) -> str:
    """What changes a setting; "" where nothing does."""
    if name in SETTINGS:
        return f"/set {name}"
    return ELSEWHERE.get(name) or AT_THE_START.get(name, "")
