"""Chats from files: our own JSON, messages, ShareGPT, ChatGPT's export, and the log database of `llm`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamachat.errors import UsageError
from llamachat.session.exports import FORMAT
from llamachat.session.import_chatgpt import chat_of_chatgpt, conversations_in
from llamachat.session.import_llm import chats_of_llm
from llamachat.session.linking import linked
from llamachat.session.reading import DEEPEST, foreign_moment, is_deep, parsed, sound_settings
from llamachat.session.records import StoredMessage, WholeChat

SHAREGPT_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard"), "assistant"),
    **dict.fromkeys(("tool", "function"), "tool"),
    "system": "system",
}
SQLITE, ZIP = b"SQLite format 3\0", b"PK"
KNOWN = {"id", "parent", "role", "content", "state", "created"}


LARGEST = 1 << 30
"""Bytes that a file may have that is read as a whole."""


def read_chats(path: Path | None) -> Iterator[WholeChat]:
    """The chats of a file, or of standard input, whatever of these it is: JSON with chats or with the messages of one,
    JSON lines of either, ShareGPT, ChatGPT's export (its conversations.json, or the zip), the log database of llm.

    Raises UsageError with the place of what cannot be read.
    """
    place = "standard input" if path is None else str(path)
    content = _content(path, place)
    if content == SQLITE and path is not None:
        return chats_of_llm(path, place)
    if content.startswith(SQLITE):
        return chats_of_llm(content, place)
    if content.startswith(ZIP):
        return (chat for name, text in conversations_in(content, place) for chat in _of_json(text, f"{place}, {name}"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{place} is neither JSON nor a database (offset {error.start} is not UTF-8)") from error
    return _of_json(text, place)


def _content(path: Path | None, place: str) -> bytes:
    """All bytes, read once, because it may be a pipe; of a file that is a database only its beginning."""
    try:
        if path is not None:
            with path.open("rb") as file:
                content = file.read(len(SQLITE))
                if content == SQLITE and path.is_file():
                    return content
                content += file.read(LARGEST + 1 - len(content))
        else:
            content = b"" if sys.stdin is None else sys.stdin.buffer.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror or error}") from error
    if len(content) > LARGEST:
        raise UsageError(f"{place} has more than {LARGEST >> 30} GiB, which is too much for one import")
    return content


def _of_json(text: str, place: str) -> Iterator[WholeChat]:
    try:
        whole = parsed(text)
    except RecursionError as error:
        raise UsageError(f"{place}: this JSON is nested too deep to be a chat") from error
    except ValueError:
        return _of_lines(text, place)
    entries = whole if isinstance(whole, list) else [whole]
    if entries and _is_message(entries[0]):
        return iter((_of_messages(entries, [f"{place}: message {n}" for n, _ in enumerate(entries, 1)], place),))
    return (_chat(entry, f"{place}: chat {number}") for number, entry in enumerate(entries, 1))


def _of_lines(text: str, place: str) -> Iterator[WholeChat]:
    if not text.strip():
        raise UsageError(f"{place}: there is no chat in it")
    messages: list[Any] = []
    places: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):  # other separators may stand inside of JSON
        if line.strip():
            try:
                entry = parsed(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{place}:{number}: this line is not JSON ({error})") from error
            if messages or _is_message(entry):
                messages.append(entry)
                places.append(f"{place}:{number}")
            else:
                yield _chat(entry, f"{place}:{number}")
    if messages:
        yield _of_messages(messages, places, place)


def _is_message(entry: Any) -> bool:
    """Whether it is a single message and not a chat."""
    return isinstance(entry, dict) and "role" in entry and not isinstance(entry.get("messages"), list)


def _of_messages(entries: list[Any], places: list[str], place: str) -> WholeChat:
    """A chat that consists of messages only."""
    _refuse_deep(entries, place)
    messages = linked([_message(entry, where) for entry, where in zip(entries, places, strict=True)], place)
    return WholeChat(messages, messages[-1].id)


def _chat(entry: Any, place: str) -> WholeChat:
    """A chat of {"messages": [...]}, [messages], ShareGPT's {"conversations": [{"from", "value"}]} or ChatGPT's
    {"mapping": {...}}.
    """
    _refuse_deep(entry, place)
    if isinstance(entry, list):
        entry = {"messages": entry}
    if isinstance(entry, dict):
        for key, read in (("messages", _message), ("conversations", _sharegpt_message)):
            if isinstance(entry.get(key), list):
                messages = linked([read(one, f"{place}, message {n}") for n, one in enumerate(entry[key], 1)], place)
                return _whole(entry, messages)
        if isinstance(entry.get("mapping"), dict):
            return chat_of_chatgpt(entry)
    raise UsageError(f'{place}: there are no "messages", "conversations" or "mapping" in it')


def _refuse_deep(entry: Any, place: str) -> None:
    if is_deep(entry):
        raise UsageError(f"{place}: it is nested more than {DEEPEST} deep")


def _whole(entry: dict[str, Any], messages: tuple[StoredMessage, ...]) -> WholeChat:
    """A chat with its title, dates and settings."""
    name, settings, head = (entry.get(key) for key in ("name", "settings", "head"))
    last = messages[-1].id if messages else None
    if entry.get("format") == FORMAT and head is None:
        last = None
    return WholeChat(
        messages,
        head if type(head) is int and head in {message.id for message in messages} else last,
        name if isinstance(name, str) and name.strip() and not name.isdecimal() else None,
        _text(entry.get("model")),
        sound_settings(settings) if isinstance(settings, dict) else {},
        _text(entry.get("title")),
        foreign_moment(entry.get("created")),
        foreign_moment(entry.get("updated")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _message(entry: Any, place: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("role"), str):
        raise UsageError(f"{place}: there is no role")
    content = entry.get("content")
    if isinstance(content, list):  # parts, of which the texts count
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if content is not None and not isinstance(content, str):
        raise UsageError(f"{place}: the content is no text")
    extra = entry.get("extra")
    rest = {key: value for key, value in entry.items() if key not in KNOWN and key != "extra"}
    return {**entry, "content": content or "", "extra": {**(extra if isinstance(extra, dict) else {}), **rest}}


def _sharegpt_message(entry: Any, place: str) -> dict[str, Any]:
    role = SHAREGPT_ROLES.get(str(entry.get("from"))) if isinstance(entry, dict) else None
    if role is None or not isinstance(entry.get("value"), str):
        raise UsageError(f'{place}: "from" and "value" are wanted')
    return {"role": role, "content": entry["value"]}
