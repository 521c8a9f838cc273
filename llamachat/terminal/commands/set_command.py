"""/set: shows settings, changes one, resets one. Changes are saved with the chat and apply when it is resumed."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from llamachat.errors import LlamaChatError, UsageError
from llamachat.relations import opposites
from llamachat.terminal.commands.base import Command, saying
from llamachat.terminal.commands.setting_names import canonical
from llamachat.terminal.commands.setting_values import words_of
from llamachat.terminal.commands.settings import SETTINGS

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

DEFAULT = "default"
"""The value that puts a setting back."""

PARAMETER = "parameter"
"""What ollama writes before a setting's name."""


def _set(chat: "Chat", words: str) -> str:
    """Shows all settings, shows one, or changes one."""
    name, value = _parts(words)
    if not name:
        return "\n".join(f"{one.name:22}{one.value(chat)}" for one in SETTINGS.values())
    if name.lower() == DEFAULT and not value:
        return _put_back(chat)
    setting = SETTINGS[canonical(name, SETTINGS, chat.start.all_options)]
    if not value:
        return f"{setting.name} is {setting.value(chat)}: {setting.help}"
    if value.lower() == DEFAULT:
        setting.reset(chat)
        chat.conversation.choose(setting.name, None)
    else:
        setting.change(chat, words_of(value))
        chat.conversation.choose(setting.name, value)
    chat.start = replace(chat.start, typed=chat.start.typed - {setting.name})
    return f"{setting.name} is {setting.value(chat)} from now on."


def _parts(words: str) -> tuple[str, str]:
    """The name and the value that were typed, "" for none; `=` may stand between them, and `parameter` before."""
    name, value = (*words.split(maxsplit=1), "", "")[:2]
    if name.lower() == PARAMETER:
        name, value = (*value.split(maxsplit=1), "", "")[:2]
    if (found := re.match(r"([\w-]+)=(.*)", f"{name} {value}".strip(), re.DOTALL)) is not None:
        name, value = found[1], found[2]
    return name, value.strip()


def _put_back(chat: "Chat") -> str:
    """All settings that were changed in this chat."""
    chosen = list(chat.conversation.chosen)
    for name in chosen:
        if name in SETTINGS:
            SETTINGS[name].reset(chat)
        chat.conversation.choose(name, None)
    return f"Back to the default: {', '.join(chosen)}." if chosen else "Nothing was changed with /set in this chat."


def apply_chosen(chat: "Chat") -> None:
    """Makes the settings those of the chat: what /set changed there, for all others what the program began with.

    What the command line gives counts, until /set changes it again. What cannot be set here is said.
    """
    before = {name: setting.value(chat) for name, setting in SETTINGS.items()}
    kept, typed = chat.conversation.chosen, chat.start.typed
    chosen = {name: text for name, text in kept.items() if not {name, *opposites(name)} & {*typed}}
    for name, setting in SETTINGS.items():
        if name not in chosen:
            setting.reset(chat)
    for name, text in chosen.items():
        try:
            SETTINGS[canonical(name, SETTINGS)].change(chat, words_of(text))
        except LlamaChatError as error:
            chat.say(f"({name} {text} is kept with this chat, but cannot be set here: {error})")
    made = [f"{name} {SETTINGS[name].value(chat)}" for name in chosen if name in SETTINGS]
    if any(SETTINGS[name].value(chat) != before[name] for name in chosen if name in SETTINGS):
        chat.say(f"(set in this chat: {', '.join(made)})")


def _names(chat: "Chat", text: str) -> list[tuple[str, str]]:
    """Names, and after one what it may be."""
    name, space, start = text.partition(" ")
    if not space:
        wanted = name.lower().replace("-", "_")
        return [(one.name, one.help) for one in SETTINGS.values() if one.name.startswith(wanted)]
    try:
        setting = SETTINGS[canonical(name, SETTINGS)]
    except UsageError:
        return []
    offered = [*setting.values(chat), *([(DEFAULT, "what this chat began with")] if setting.is_changed(chat) else [])]
    return [(f"{name} {value}", meaning) for value, meaning in offered if value.startswith(start)]


COMMANDS = (Command("/set", "[NAME [VALUE...]]", "show settings, or change one: /set temp 0.2", saying(_set), _names),)
