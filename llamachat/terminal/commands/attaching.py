"""Texts that go before the next message: files by /file, /read or @ in a message, and what a shell command wrote."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.dialogue.messages import with_files
from llamachat.errors import UsageError
from llamachat.files import reason
from llamachat.terminal.commands.base import Command, saying
from llamachat.terminal.paths import MENTION, mentioned, path_of, paths, replaced
from llamachat.terminal.typed import read_until_dot

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

LARGEST_FILE = 4_000_000


def attach(chat: "Chat", name: str, content: str) -> str:
    """A text that goes before the next message, if the context has room for it. Raises UsageError where it has not."""
    wanted = [*chat.attached, (name, content)]
    n_tokens, n_left = len(chat.tokenizer.encode(content, add_special=False)), _room(chat, chat.attached)
    if _room(chat, wanted) <= 0:
        raise UsageError(f"{name} has {n_tokens} tokens, but the context has room for {n_left}")
    if (name, content) not in chat.attached:
        chat.attached = wanted
    return f"{name}, {n_tokens} tokens, goes before your next message."


def message_with_files(chat: "Chat", text: str) -> str:
    """The message, whose @files are attached; one that is nothing but @FILE is what the file holds.

    Raises UsageError for files that cannot be attached; then none of them is.
    """
    found = list(mentioned(text))
    only = MENTION.fullmatch(text.strip())
    if only is not None and len(found) == 1:
        content = text_of(found[0][1])
        if not content.strip():
            raise UsageError(f"{found[0][1]} is empty: there is no message in it")
        return content
    before = list(chat.attached)
    try:
        for _, path in found:
            attach(chat, path.name, text_of(path))
    except BaseException:
        chat.attached = before
        raise
    return replaced(text, {word: str(path) for word, path in found})


def _file(chat: "Chat", words: str) -> str:
    if not words:
        raise UsageError("/file needs a path; - takes the attached ones back")
    if words == "-":
        count, chat.attached = len(chat.attached), []
        return f"{count} files taken back." if count != 1 else "1 file taken back."
    path = path_of(words)
    return attach(chat, path.name, text_of(path))


def text_of(path: Path) -> str:
    """What a file holds. Raises UsageError where it cannot be read, is too large, or is no text."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UsageError(f"{path} is not a file")
        if size > LARGEST_FILE:
            raise UsageError(f"{path} has {size} bytes; at most {LARGEST_FILE} can be attached")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {reason(error)}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error
    except ValueError as error:  # a zero byte in the name
        raise UsageError(f"{str(path)!r} is no path") from error
    if "\0" in text:
        raise UsageError(f"{path} is a binary file (it has a zero byte); text can be attached")
    return text


def _room(chat: "Chat", files: Sequence[tuple[str, str]]) -> int:
    """How many tokens a message with these files leaves in the context; beside the whole chat where it has to stay."""
    alone = chat.settings.on_full != "stop"
    return chat.responder.context.n_ctx - 1 - chat.conversation.size(with_files(files, ""), alone)


def _read(chat: "Chat", words: str) -> None:
    if words:
        chat.say(_file(chat, words))
        return
    chat.say("Type your message; a line with only a dot ends it.")
    text = read_until_dot()
    if text.strip():
        chat.ask(text)


def _run_read(chat: "Chat", words: str) -> bool:
    _read(chat, words)
    return True


COMMANDS = (
    Command("/read", "[PATH]", "a message of many lines, until a line with only a dot; with PATH as /file", _run_read,
            lambda _chat, text: paths(text)),
    Command("/file", "PATH|-", "a text that goes before your next message; - takes it back", saying(_file),
            lambda _chat, text: paths(text)),
)  # fmt: skip
