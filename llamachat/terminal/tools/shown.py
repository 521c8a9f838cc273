"""Calls of tools and their results as a person sees them: while they are made, and when a chat is shown again."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llamachat.terminal.sanitize import clean_line
from llamachat.terminal.tools.agreement import visible

if TYPE_CHECKING:
    from llamachat.session.chats import StoredMessage

SHOWN_RESULT = 200
"""Characters of a result that are shown; the model reads more."""

NO_TOOLS = "(tools were called in this chat, and it has none now: begin with --tools FILE to give them again)"


def shown_call(name: str, arguments: Mapping[str, Any]) -> str:
    """A call on one line."""
    return visible(
        f"-> {name}({', '.join(f'{key}={json.dumps(value, ensure_ascii=False)}' for key, value in arguments.items())})"
    )


def shown_result(result: str) -> str:
    """The beginning of a result, on one line."""
    shown = clean_line(result)
    more = f" ... ({len(result)} characters)" if len(shown) > SHOWN_RESULT else ""
    return f"<- {shown[:SHOWN_RESULT]}{more}"


def used_tools(path: Sequence["StoredMessage"]) -> bool:
    """Whether a chat has calls of tools, or their results."""
    return any(message.role == "tool" or message.extra.get("tool_calls") for message in path)
