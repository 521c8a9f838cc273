"""Messages of other programs as a tree."""

from typing import Any

from llamachat.errors import UsageError
from llamachat.session.reading import foreign_moment
from llamachat.session.records import DONE, StoredMessage


def linked(entries: list[dict[str, Any]], place: str) -> tuple[StoredMessage, ...]:
    """The messages with ids and parents: those that the entries have, else each after the one before it.

    place: names the chat in messages. Raises UsageError for a message whose parent does not come before it.
    """
    has_tree = all(type(entry.get("id")) is int and "parent" in entry for entry in entries)
    seen: set[int] = set()
    messages = []
    for number, entry in enumerate(entries, 1):
        own, parent = (entry["id"], entry["parent"]) if has_tree else (number, number - 1 or None)
        if own in seen or (parent is not None and (type(parent) is not int or parent not in seen)):
            raise UsageError(f"{place}, message {number}: its parent does not come before it")
        seen.add(own)
        state = entry.get("state", DONE)
        messages.append(
            StoredMessage(
                own,
                parent,
                entry["role"],
                entry["content"],
                state if isinstance(state, str) else DONE,
                foreign_moment(entry.get("created")),
                entry.get("extra", {}),
            )
        )
    return tuple(messages)
