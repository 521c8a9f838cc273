"""/copy: an answer, or code in it, goes to the clipboard through the terminal (OSC 52), also over ssh."""

import base64
from typing import TYPE_CHECKING

from llamachat.dialogue.thoughts import without_thoughts
from llamachat.errors import UsageError
from llamachat.terminal.commands.base import Command, doing, number_of
from llamachat.terminal.output import write
from llamachat.terminal.sanitize import clean

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

LARGEST_COPY = 100_000
"""Bytes that terminals take into the clipboard."""

CODE, ANSWER = "code", "the answer"


def _copy(chat: "Chat", words: str) -> None:
    """Without words the last answer, with N the one to message N; of it the last code block, or the Nth."""
    what, *rest = words.split() or [""]
    code = what.lower() == CODE
    number = "".join(rest) if code else what
    at = number_of(number)
    if (rest and not code) or len(rest) > 1 or (number and not at):
        raise UsageError("/copy takes a number, `code`, or `code` and a number: /copy code 2")
    if not code:
        _put(chat, _answer(chat, at or None), ANSWER)
        return
    blocks = _code(_answer(chat, None))
    if not blocks:
        raise UsageError("the last answer has no code block")
    at = at or len(blocks)
    if at > len(blocks):
        raise UsageError(f"the last answer has the code blocks 1 to {len(blocks)}" if len(blocks) > 1 else
                         "the last answer has one code block")  # fmt: skip
    _put(chat, blocks[at - 1], f"code block {at} of {len(blocks)}")


def _answer(chat: "Chat", number: int | None) -> str:
    """The answer to a message, by its number, without thoughts; None for the last one."""
    path = chat.conversation.path()
    answers = [message.content for message in path if message.role == "assistant"]
    if number is not None:
        asked = [at for at, message in enumerate(path) if message.role == "user"]
        if not 1 <= number <= len(asked):
            raise UsageError(f"your messages have the numbers 1 to {len(asked)} (/history shows them)")
        ends = [*asked[number:], len(path)][0]
        answers = [message.content for message in path[asked[number - 1] : ends] if message.role == "assistant"]
    if not answers:
        raise UsageError("there is no answer to copy")
    return without_thoughts(answers[-1], chat.conversation.template.source) or answers[-1]


def _code(answer: str) -> list[str]:
    """The code blocks of an answer, in order."""
    from markdown_it import MarkdownIt  # 30 ms

    return [token.content for token in MarkdownIt("commonmark").parse(answer) if token.type in ("fence", "code_block")]


def _put(chat: "Chat", text: str, what: str) -> None:
    content = clean(text).encode()
    if len(content) > LARGEST_COPY:
        raise UsageError(f"{what} has {len(content)} bytes; terminals take {LARGEST_COPY}")
    if chat.console.output.is_terminal:
        write(f"\x1b]52;c;{base64.b64encode(content).decode()}\x07")
    chat.say(f"Copied{f' {what}' if what != ANSWER else ''}, {len(content)} bytes (where the terminal allows it).")


COMMANDS = (
    Command("/copy", "[N|code [N]]", "the last answer to the clipboard, the one to message N, or code of the last",
            doing(_copy), lambda _chat, text: [(CODE, "the last code block")] if CODE.startswith(text) else []),
)  # fmt: skip
