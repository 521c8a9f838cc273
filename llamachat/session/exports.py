"""Exports of a chat: Markdown, JSON with its whole tree, JSON Lines of messages, HTML.

The JSON document: {"format": "llamachat chat 1", "name", "title", "model", "settings", "created", "updated", "head",
"messages": [...]}, a message being {"id", "parent", "role", "content", "state", "created", "extra"}, parents before
their children; `head` is the last message of the current branch, moments are seconds since 1970. JSON Lines have one
chat per line: {"messages": [{"role", "content"}, ...]}, its current branch.
"""

import html
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llamachat.errors import UsageError
from llamachat.session.chats import DONE, ChatStore, StoredMessage
from llamachat.session.files import replace_file
from llamachat.session.room import no_room

FORMAT = "llamachat chat 1"
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}"
    "section{margin:1em 0;padding:.1em 1em;border-left:3px solid #ccc}section.user{border-color:#58a}"
    "h2{font-size:.8em;color:#777}pre{white-space:pre-wrap;font:inherit}"
)
NOTHING_ELSE = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"


@dataclass(frozen=True)
class Exported:
    """A chat to be written. path: the current branch; tree: all messages; head: the id of the branch's last message."""

    title: str
    path: Sequence[StoredMessage]
    tree: Sequence[StoredMessage]
    name: str | None = None
    model: str = ""
    settings: dict[str, Any] | None = None
    created: float = 0.0
    updated: float = 0.0

    @property
    def head(self) -> int | None:
        """The last message of the current branch."""
        return self.path[-1].id if self.path else None


def exported(store: ChatStore, chat: int) -> Exported:
    """All of a chat."""
    summary, path, tree = store.summary(chat), store.path_of(chat), store.tree_of(chat)
    rest = summary.name, summary.model, store.settings(chat), summary.created, summary.updated
    return Exported(summary.title, path, tree, *rest)


def as_markdown(chat: Exported) -> str:
    """The current branch, with a heading for each message."""
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
        "created": chat.created,
        "updated": chat.updated,
        "head": chat.head,
        "messages": [asdict(message) for message in chat.tree],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_json_line(chat: Exported) -> str:
    """The current branch as one line."""
    messages = [{"role": message.role, "content": message.content} for message in chat.path]
    return json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def as_html(chat: Exported) -> str:
    """The current branch as an HTML page that loads nothing."""
    title = html.escape(chat.title or "Chat")
    sections = [
        f'<section class="{html.escape(message.role, quote=True)}"><h2>{html.escape(message.role)}</h2>'
        f"<pre>{html.escape(message.content)}</pre></section>"
        for message in chat.path
    ]
    body = "\n".join(sections)
    return (
        f'<!doctype html>\n<html><head><meta charset="utf-8">{NOTHING_ELSE}<title>{title}</title>'
        f"<style>{STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )


WRITERS: dict[str, Callable[[Exported], str]] = {
    "md": as_markdown,
    "json": as_json,
    "jsonl": as_json_line,
    "html": as_html,
}
"""By the name of the format, which is also the ending of its files."""


ENDINGS = {**{form: form for form in WRITERS}, "markdown": "md", "htm": "html", "ndjson": "jsonl"}
"""Of files, without the dot, and the format that each says."""


def form_of(name: str) -> str:
    """The format of a file name's extension, in any case. Raises UsageError for an unknown one."""
    ending = Path(name).suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        known = ", ".join(f".{form}" for form in WRITERS)
        raise UsageError(f"{name}: this file extension names no format; use one of {known}, or name the format")
    return ENDINGS[ending]


def would_overwrite(path: Path) -> bool:
    """Whether an export would replace a file; pipes and terminals are only written to."""
    try:
        return path.is_file()
    except OSError:
        return False


def write_export(path: Path, chat: Exported, form: str) -> None:
    """Writes a chat to a file, which is replaced whole. Raises UsageError if that fails."""
    content = WRITERS[form](chat).encode("utf-8", "replace")
    try:
        if path.exists() and not path.is_file():  # a pipe, a terminal
            path.write_bytes(content)
        else:
            replace_file(Path(os.path.realpath(path)), (content,))
    except OSError as error:
        folder = "there is no such folder" if isinstance(error, FileNotFoundError) else ""
        said = folder or no_room(error, path, len(content)) or error.strerror or str(error)
        kept = "the file before is as it was, the chat is kept" if would_overwrite(path) else "the chat is kept"
        raise UsageError(f"{path} is not written: {said}; {kept}") from error
