"""Rows of a database as messages and chats, whatever is in them: each damage is reported in a sentence.

No value raises an error. A type, a date or a JSON text that is invalid is skipped; a message whose parent is invalid
gets another place in the tree.
"""

import json
import math
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from llamachat.session.records import DONE, ChatSummary, StoredMessage, storable

DEEPEST = 100
"""So deep JSON may be nested: deeper texts could be read here and not be written there."""

CIRCLE = "message {} comes after itself; what was said before it cannot be found"
MISSING = "the message before message {} is missing"

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""One of the two that JSON spells a character beyond 16 bits with; alone it is no text that can be written."""

LATEST = 3.25e10
"""Seconds from 1970 to the year 3000: what is larger counts in smaller units."""

SETTINGS: dict[str, type] = {"system": str, "summary": str, "forgotten": int, "set": dict}
"""What settings of a chat are; others are kept as they are."""


def settings_of(text: Any, damage: list[str]) -> dict[str, Any]:
    """The settings of a chat."""
    found = json_object(text)
    if found is None:
        damage.append("its settings are damaged and are not used")
    return sound_settings(found or {})


def sound_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those of a wrong type."""
    sound = {name: value for name, value in settings.items() if isinstance(value, SETTINGS.get(name, object))}
    n_forgotten: Any = sound.get("forgotten", 0)
    if not 0 <= n_forgotten < 1 << 60:
        del sound["forgotten"]
    return sound


def summary_of(row: sqlite3.Row) -> ChatSummary:
    """A chat's row in a list."""
    return ChatSummary(
        whole(row["id"]) or 0,
        None if row["name"] is None else text_of(row["name"]),
        text_of(row["title"]),
        moment(row["created"]),
        moment(row["updated"]),
        text_of(row["model"]),
        whole(row["n_messages"]) or 0,
    )


def messages_of(rows: Iterable[sqlite3.Row], damage: list[str]) -> list[StoredMessage]:
    """The messages of rows, in their order."""
    return [_message(row, damage) for row in rows]


def path_in(messages: Sequence[StoredMessage], damage: list[str]) -> list[StoredMessage]:
    """The messages from a first one to the head, given from the head backwards; a cycle is cut."""
    path: list[StoredMessage] = []
    seen: set[int] = set()
    for message in messages:
        if message.id in seen:
            damage.append(CIRCLE.format(path[-1].id))
            break
        seen.add(message.id)
        path.append(message)
    if len(path) == len(messages) and path and path[-1].parent is not None:
        damage.append(MISSING.format(path[-1].id))
    path.reverse()
    return [*(replace(first, parent=None) for first in path[:1]), *path[1:]]


def tree_in(messages: Sequence[StoredMessage], damage: list[str]) -> list[StoredMessage]:
    """The messages with parents before their children; one whose parent is missing becomes a first one."""
    known = {message.id for message in messages}
    if all(message.parent is None or (message.parent < message.id and message.parent in known) for message in messages):
        return sorted(messages, key=lambda message: message.id)
    by_id = {message.id: message for message in messages}
    ordered: dict[int, StoredMessage] = {}
    for message in messages:
        above: list[StoredMessage] = []
        seen: set[int] = set()
        one: StoredMessage | None = message
        while one is not None and one.id not in ordered and one.id not in seen:
            seen.add(one.id)
            above.append(one)
            one = by_id.get(one.parent) if one.parent is not None else None
        for one in reversed(above):
            if one.parent is not None and one.parent not in ordered:
                damage.append((CIRCLE if one.parent in by_id else MISSING).format(one.id))
                one = replace(one, parent=None)
            ordered[one.id] = one
    return list(ordered.values())


def json_object(text: Any) -> dict[str, Any] | None:
    """A JSON object that can be written again; None for anything else. Numbers that JSON does not have become null."""
    if not isinstance(text, str):
        return None
    try:
        found = parsed(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and not is_deep(found) else None


def parsed(text: str) -> Any:
    """A JSON text, as `json.loads`; numbers that JSON does not have become null, halves of characters a mark."""
    found = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    if _HALF.search(text) is None:
        return found
    written = json.dumps(found, ensure_ascii=False)
    return found if storable(written) == written else json.loads(storable(written))


def is_deep(value: Any) -> bool:
    """Whether a JSON value is nested deeper than DEEPEST."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return False
    return True


def whole(value: Any) -> int | None:
    """An integer; None for anything else."""
    return value if type(value) is int else None


def text_of(value: Any) -> str:
    """A text; "" for nothing, and what else there is as far as it is one."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def moment(value: Any) -> float:
    """Seconds since 1970; 0.0 for anything else."""
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
    except OverflowError:
        return 0.0


def foreign_moment(value: Any) -> float:
    """The same of other programs, which may count milli-, micro- or nanoseconds.

    0.0 for a date in no plausible year.
    """
    found = moment(value)
    for _ in range(3):
        if abs(found) <= LATEST:
            break
        found /= 1000
    return found if abs(found) <= LATEST else 0.0


def _message(row: sqlite3.Row, damage: list[str]) -> StoredMessage:
    number = whole(row["id"]) or 0
    extra = json_object(row["extra"])
    if extra is None:
        damage.append(f"what belongs to message {number} besides its text is damaged")
    return StoredMessage(
        number,
        whole(row["parent"]),
        text_of(row["role"]),
        text_of(row["content"]),
        text_of(row["state"]) or DONE,
        moment(row["created"]),
        extra or {},
    )


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
