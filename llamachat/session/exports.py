"""A chat for other programs and for people: Markdown, JSON with its whole tree, JSON lines of messages, HTML.

The JSON document: {"format": "llamachat chat 1", "name", "title", "model", "settings", "head", "messages": [...]}, a
message being {"id", "parent", "role", "content", "state", "created", "extra"}, parents before their children; `head` is
the last message of the talk. JSON lines have one chat a line: {"messages": [{"role", "content"}, ...]}, the talk
without branches.
"""

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llamachat.session.chats import DONE, StoredMessage

FORMAT = "llamachat chat 1"
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}"
    "section{margin:1em 0;padding:.1em 1em;border-left:3px solid #ccc}section.user{border-color:#58a}"
    "h2{font-size:.8em;color:#777}pre{white-space:pre-wrap;font:inherit}"
)


@dataclass(frozen=True)
class Exported:
    """A chat to be written. path: the talk; tree: all messages; head: the id of the talk's last message."""

    title: str
    path: Sequence[StoredMessage]
    tree: Sequence[StoredMessage]
    name: str | None = None
    model: str = ""
    settings: dict[str, Any] | None = None

    @property
    def head(self) -> int | None:
        """The last message of the talk."""
        return self.path[-1].id if self.path else None


def as_markdown(chat: Exported) -> str:
    """The talk, with a heading for each message."""
    parts = [f"# {chat.title or 'Chat'}\n"]
    for message in chat.path:
        state = "" if message.state == DONE else f" ({message.state})"
        parts.append(f"## {message.role}{state}\n\n{message.content}\n")
    return "\n".join(parts)


def as_json(chat: Exported) -> str:
    """The whole tree, see the module."""
    document = {
        "format": FORMAT,
        "name": chat.name,
        "title": chat.title,
        "model": chat.model,
        "settings": chat.settings or {},
        "head": chat.head,
        "messages": [asdict(message) for message in chat.tree],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_json_line(chat: Exported) -> str:
    """The talk as one line."""
    messages = [{"role": message.role, "content": message.content} for message in chat.path]
    return json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def as_html(chat: Exported) -> str:
    """The talk as a page of its own, that loads nothing."""
    title = html.escape(chat.title or "Chat")
    sections = [
        f'<section class="{html.escape(message.role, quote=True)}"><h2>{html.escape(message.role)}</h2>'
        f"<pre>{html.escape(message.content)}</pre></section>"
        for message in chat.path
    ]
    body = "\n".join(sections)
    return (
        f'<!doctype html>\n<html><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )


WRITERS: dict[str, Callable[[Exported], str]] = {
    "md": as_markdown,
    "json": as_json,
    "jsonl": as_json_line,
    "html": as_html,
}
"""By the name of the format, which is also the ending of its files."""
