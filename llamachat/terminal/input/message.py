r"""What of a typed text is a message. A `\` at a line's end and a block of triple quotes go on in the next line."""

from collections.abc import Iterable

BLOCK = '"""'
"""Opens and closes a message of many lines."""


def going_on(text: str) -> str | None:
    r"""The text as it goes on in the next line: its last line ends with `\`, or a block is open; None where it ends."""
    if text.lstrip().startswith(BLOCK) and text.count(BLOCK) % 2:
        return text + "\n"
    return text[:-1] + "\n" if text.endswith("\\") else None


def unquoted(text: str) -> str:
    """The message: what stands in a block of triple quotes, else the text as it is.

    What stands in a block is said to the model, so a slash at its beginning is doubled like one of a person's.
    """
    block = text.strip()
    if len(block) < 2 * len(BLOCK) or not (block.startswith(BLOCK) and block.endswith(BLOCK)) or going_on(text):
        return text
    said = block[len(BLOCK) : -len(BLOCK)].strip("\n")
    return f"/{said}" if said.startswith("/") else said


def message_of(line: str) -> str:
    """The message that a line is: a doubled slash at its beginning is one."""
    return line[1:] if line.startswith("//") else line


def said_in(typed: str, messages: Iterable[str]) -> bool:
    """Whether a typed text is one of the messages, attached files aside."""
    said = message_of(unquoted(typed))
    return bool(said.strip()) and any(message.endswith(said) for message in messages)
