"""Messages in an order that every template takes, also where a turn was interrupted.

A person's messages that were not answered become one message. A call without a result gets one that says so.
"""

from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]
UNKNOWN = "error: the program ended before this call did"


def alternating(messages: Sequence[Message]) -> list[Message]:
    """The messages, no two of a person in a row, no call without its result."""
    mended: list[Message] = []
    waiting: list[Message] = []
    for message in messages:
        role = message["role"]
        if role != "tool":
            mended += waiting
            waiting = _results_of(message)
        elif waiting:
            number = message.get("tool_call_id")
            waiting = [one for one in waiting if one["tool_call_id"] != number] if number else waiting[1:]
        if role == "user" and mended and mended[-1]["role"] == "user":
            mended[-1] = {**mended[-1], "content": f"{mended[-1]['content']}\n\n{message['content']}"}
        else:
            mended.append(message)
    return mended


def _results_of(message: Message) -> list[Message]:
    """Messages in place of the missing results of the calls of an answer."""
    calls = message.get("tool_calls")
    return [
        {"role": "tool", "content": UNKNOWN, "name": _name(call), "tool_call_id": call.get("id")}
        for call in (calls if isinstance(calls, list) else [])
        if isinstance(call, dict)
    ]


def _name(call: Message) -> str:
    function = call.get("function")
    return str(function.get("name", "")) if isinstance(function, dict) else ""
