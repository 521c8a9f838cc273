"""What to type in a chat about an error that names no command: how the settings that it is about are changed here."""

from typing import TYPE_CHECKING

from llamachat.errors import ContextFull, LlamaChatError
from llamachat.terminal.commands.setting_names import AT_THE_START, ELSEWHERE, SYNONYMS
from llamachat.terminal.commands.settings import SETTINGS

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat


def hinted(error: Exception, chat: "Chat") -> str:
    """The error's sentence, and what to type: commands of a chat that is too long, or how to change the settings that
    the error is about, where it names none of them.
    """
    said = str(error)
    names = [SYNONYMS.get(name, name) for name in error.settings] if isinstance(error, LlamaChatError) else []
    ways = [way for name in names if (way := _way(name))]
    ways = ways if not any(name in said for name in names) else []
    if isinstance(error, ContextFull):
        ways = ["/undo", "/new", *ways] if chat.settings.on_full == "stop" else ways
        ways += ["/file - (takes the attached files back)"] if chat.attached else []
    return f"{said}: {' or '.join(ways)}" if ways else said


def _way(name: str) -> str:
    """What changes a setting; "" where nothing does."""
    if name in SETTINGS:
        return f"/set {name}"
    return ELSEWHERE.get(name) or AT_THE_START.get(name, "")
