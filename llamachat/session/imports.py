"""Chats from other programs: JSON lines of messages, ShareGPT, and the log database of `llm`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamachat.errors import UsageError
from llamachat.session.exports import FORMAT
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
SQLITE = b"SQLite format 3\0"
KNOWN = {"id", "parent", "role", "content", "state", "created"}


def read_chats(path: Path) -> Iterator[WholeChat]:
    """The chats of a file, whatever of the three it is. Raises UsageError with the place of what cannot be read."""
    try:
        with path.open("rb") as file:  # once: it may be a pipe
            start = file.read(len(SQLITE))
            if start == SQLITE:
                return chats_of_llm(path)
            content = start + file.read()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is neither JSON nor a database (offset {error.start} is not UTF-8)") from error
    return _of_json(text, str(path))


def _of_json(text: str, place: str) -> Iterator[WholeChat]:
    try:
        whole = parsed(text)
    except RecursionError as error:
        raise UsageError(f"{place}: this JSON is nested too deeply to be a chat") from error
    except ValueError:
        return _of_lines(text, place)
    entries = whole if isinstance(whole, list) else [whole]
    return (_chat(entry, f"{place}: chat {number}") for number, entry in enumerate(entries, 1))


def _of_lines(text: str, place: str) -> Iterator[WholeChat]:
    if not text.strip():
        raise UsageError(f"{place}: there is no chat in it")
    for number, line in enumerate(text.split("\n"), 1):  # other separators may stand inside of JSON
        if line.strip():
            try:
                entry = parsed(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{place}:{number}: this line is not JSON ({error})") from error
            yield _chat(entry, f"{place}:{number}")


def _chat(entry: Any, place: str) -> WholeChat:
    """A chat of {"messages": [...]} or of ShareGPT's {"conversations": [{"from", "value"}]}."""
    if is_deep(entry):
        raise UsageError(f"{place}: it is nested more than {DEEPEST} deep")
    if isinstance(entry, dict):
        for key, read in (("messages", _message), ("conversations", _sharegpt_message)):
            if isinstance(entry.get(key), list):
                messages = linked([read(one, f"{place}, message {n}") for n, one in enumerate(entry[key], 1)], place)
                return _whole(entry, messages)
    raise UsageError(f'{place}: there are neither "messages" nor "conversations"')


def _whole(entry: dict[str, Any], messages: tuple[StoredMessage, ...]) -> WholeChat:
    """A chat with what else is told of it."""
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
