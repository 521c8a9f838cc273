r"""What of a typed text is a message. A `\` at a line's end and a block of triple quotes continue in the next line."""

from collections.abc import Iterable
from dataclasses import dataclass

BLOCK = '"""'
"""Opens and closes a message of many lines."""


@dataclass(frozen=True)
class Typed:
    """What came out of the input line. literal: it is a message, whatever it begins with."""

    text: str
    literal: bool = False


def going_on(text: str) -> str | None:
    r"""The text as it continues in the next line, after a `\` or in an open block; None where it ends."""
    if text.lstrip().startswith(BLOCK) and text.count(BLOCK) % 2:
        return text + "\n"
    return text[:-1] + "\n" if text.endswith("\\") else None


def typed_of(text: str) -> Typed:
    """What a typed text means: a block of triple quotes is a message, as is one line whose first slash is doubled."""
    block = text.strip()
    if len(block) >= 2 * len(BLOCK) and block.startswith(BLOCK) and block.endswith(BLOCK) and going_on(text) is None:
        return Typed(block[len(BLOCK) : -len(BLOCK)].strip("\n"), literal=True)
    if text.startswith("//"):
        return Typed(text if "\n" in text else text[1:], literal=True)
    return Typed(text)


def said_in(typed: str, messages: Iterable[str]) -> bool:
    """Whether a text, typed or pasted, is one of the messages, attached files aside."""
    forms = [text for text in (typed_of(typed).text, typed) if text.strip()]
    return any(message.endswith(text) for text in forms for message in messages)
