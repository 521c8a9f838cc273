"""Chats of ChatGPT's data export: conversations.json, alone or in the zip file.

A conversation is {"title", "create_time", "update_time", "mapping", "current_node"}. The mapping is a tree of nodes
{"message", "parent", "children"} by their ids; regenerations and edits are branches of it. Nodes without a message for
people (the root, hidden ones, empty ones) are left out, and what is below them belongs to what is above.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

from llamachat.errors import UsageError
from llamachat.session.reading import foreign_moment, tree_in
from llamachat.session.records import DONE, INTERRUPTED, StoredMessage, WholeChat

ROLES = ("user", "assistant", "system", "tool")
NAMES = ("conversations.json", "conversations-*.json")
LARGEST = 1 << 30
"""Bytes of all conversations of a zip file, unpacked."""

THOUGHTS = ("thoughts", "reasoning_recap")
"""Types of content that are no messages: what a model thought stays with the answer that follows."""


def conversations_in(content: bytes, place: str) -> Iterator[tuple[str, str]]:
    """The names and texts of the conversations in a zip file. Raises UsageError."""
    left, n_found = LARGEST, 0
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for name in packed.namelist():
                if not any(fnmatch(name.rpartition("/")[2], known) for known in NAMES):
                    continue
                n_found += 1
                with packed.open(name) as file:
                    unpacked = file.read(left + 1)
                left -= len(unpacked)
                if left < 0:
                    raise UsageError(f"{place}: its conversations have more than {LARGEST >> 30} GiB")
                yield name, unpacked.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{place}: its conversations are not UTF-8 (offset {error.start})") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise UsageError(f"{place}: this zip file cannot be read ({error})") from error
    if not n_found:
        raise UsageError(f"{place}: there is no {NAMES[0]} in this zip file")


def chat_of_chatgpt(entry: dict[str, Any]) -> WholeChat:
    """A conversation with all its branches. Odd values are left out."""
    nodes = {key: node for key, node in entry["mapping"].items() if isinstance(node, dict)}
    numbers = {key: number for number, key in enumerate(nodes, 1)}
    kept = {key: found for key, node in nodes.items() if (found := _message(node, numbers[key])) is not None}
    messages = []
    for key, message in kept.items():
        parent, thoughts = _above(nodes, kept, nodes[key].get("parent"))
        extra = {**message.extra, **({"thoughts": thoughts} if thoughts and message.role == "assistant" else {})}
        number = numbers[parent] if parent is not None else None
        fields = message.id, number, message.role, message.content, message.state, message.created, extra
        messages.append(StoredMessage(*fields))
    tree = tuple(tree_in(messages, []))
    current = entry.get("current_node")
    head = current if isinstance(current, str) and current in kept else _above(nodes, kept, current)[0]
    models = [message.extra["model"] for message in tree if "model" in message.extra]
    title = entry.get("title")
    return WholeChat(
        tree,
        numbers[head] if head is not None else (tree[-1].id if tree else None),
        None,
        models[-1] if models else "",
        {},
        title if isinstance(title, str) else "",
        foreign_moment(entry.get("create_time")),
        foreign_moment(entry.get("update_time")),
    )


def _above(nodes: dict[str, Any], kept: dict[str, StoredMessage], key: Any) -> tuple[str | None, str]:
    """The nearest node from here up that has a message, and what was thought in those that are passed."""
    thoughts: list[str] = []
    seen: set[str] = set()
    while isinstance(key, str) and key in nodes and key not in seen:
        if key in kept:
            return key, "\n\n".join(reversed(thoughts))
        seen.add(key)
        content = _inside(nodes[key], "message", "content")
        if content.get("content_type") == THOUGHTS[0]:
            thoughts.append(_text(content))
        key = nodes[key].get("parent")
    return None, "\n\n".join(reversed(thoughts))


def _message(node: dict[str, Any], number: int) -> StoredMessage | None:
    """The message of a node; None if it has none that a person sees."""
    message, content = _inside(node, "message"), _inside(node, "message", "content")
    author, metadata = _inside(message, "author"), _inside(message, "metadata")
    role = author.get("role")
    hidden = metadata.get("is_visually_hidden_from_conversation") is True or content.get("content_type") in THOUGHTS
    text = _text(content)
    if role not in ROLES or hidden or not text.strip():
        return None
    known = {"model": metadata.get("model_slug"), "name": author.get("name"), "recipient": message.get("recipient")}
    extra = {name: value for name, value in known.items() if isinstance(value, str) and value not in ("", "all")}
    state = INTERRUPTED if message.get("status") == "in_progress" else DONE
    return StoredMessage(number, None, role, text, state, foreign_moment(message.get("create_time")), extra)


def _text(content: dict[str, Any]) -> str:
    """The text of a message's content, whatever its type; other parts are named."""
    for key in ("parts", "thoughts"):
        if isinstance(content.get(key), list):
            return "\n".join(part for part in map(_part, content[key]) if part)
    found = (content.get(key) for key in ("text", "result", "content"))
    return next((text for text in found if isinstance(text, str)), "")


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    said = [part[key] for key in ("text", "summary", "content") if isinstance(part.get(key), str)]
    return "\n".join(said) or f"[{part.get('content_type') or 'attachment'}]"


def _inside(value: Any, *keys: str) -> dict[str, Any]:
    """The object that is found under these keys, an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
