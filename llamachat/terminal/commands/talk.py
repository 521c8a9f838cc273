"""Commands that change the talk: another answer, one turn less, a message anew, a text from a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.errors import UsageError
from llamachat.terminal.commands.base import Command, doing, saying
from llamachat.terminal.typed import read_until_dot

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

LARGEST_FILE = 4_000_000


def _again(chat: "Chat", _words: str) -> None:
    if not chat.again():
        raise UsageError("there is no message to answer again")


def _undo(chat: "Chat", words: str) -> str:
    """Takes back the last turns: a message and its answer each."""
    count = _number(words, 1)
    path = chat.conversation.path()
    asked = [index for index, message in enumerate(path) if message.role == "user"]
    if len(asked) < count:
        raise UsageError(f"there are only {len(asked)} messages of yours" if asked else "there is nothing to take back")
    first = asked[-count]
    chat.conversation.store.set_head(chat.conversation.chat, path[first - 1].id if first else None)
    return f"Taken back: {path[first].content.splitlines()[0][:60] if path[first].content else ''}"


def _edit(chat: "Chat", _words: str) -> None:
    """The person's last message in the editor; what comes out is answered, the old one stays a branch."""
    from llamachat.terminal.editor import edited

    path = chat.conversation.path()
    asked = [index for index, message in enumerate(path) if message.role == "user"]
    if not asked:
        raise UsageError("there is no message to edit")
    text = (chat.editor or edited)(path[asked[-1]].content)
    if text is None or not text.strip():
        chat.say("(nothing was changed)")
        return
    head = chat.conversation.head
    chat.conversation.store.set_head(chat.conversation.chat, path[asked[-1] - 1].id if asked[-1] else None)
    try:
        chat.ask(text.rstrip("\n"))
    except BaseException:
        chat.conversation.store.set_head(chat.conversation.chat, head)
        raise


def _clear(chat: "Chat", _words: str) -> str:
    chat.conversation.clear()
    return "The talk starts afresh."


def _read(chat: "Chat", _words: str) -> None:
    chat.say("Type your message; a line with only a dot ends it.")
    text = read_until_dot()
    if text.strip():
        chat.ask(text)


def _file(chat: "Chat", words: str) -> str:
    """A text that goes before the next message, if the context has room for it."""
    if not words:
        raise UsageError("/file needs a path")
    path = Path(words.strip("'\"")).expanduser()
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST_FILE} can be attached")
        content = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error
    n_tokens, n_ctx = len(chat.tokenizer.encode(content, add_special=False)), chat.speaker.context.n_ctx
    if n_tokens >= n_ctx:
        raise UsageError(f"{path} has {n_tokens} tokens, but the context holds {n_ctx}")
    chat.attached.append((path.name, content))
    return f"{path.name}, {n_tokens} tokens, goes before your next message."


def _number(words: str, default: int) -> int:
    if not words:
        return default
    if not words.isdecimal() or int(words) < 1:
        raise UsageError(f"a number from 1 on is wanted, not {words!r}")
    return int(words)


def _paths(_chat: "Chat", text: str) -> list[tuple[str, str]]:
    """Files that begin so."""
    folder, _, start = text.rpartition("/")
    place = Path(folder or ("/" if text.startswith("/") else ".")).expanduser()
    try:
        found = sorted(entry for entry in place.iterdir() if entry.name.startswith(start))
    except OSError:
        return []
    prefix = f"{folder}/" if "/" in text else ""
    return [(f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}", "") for entry in found[:200]]


COMMANDS = (
    Command("/regen", "", "another answer; the one before stays a branch", doing(_again)),
    Command("/undo", "[N]", "take back the last turn, or N of them", saying(_undo)),
    Command("/edit", "", "your last message in the editor, answered again", doing(_edit)),
    Command("/clear", "", "begin anew; what the model was told stays", saying(_clear)),
    Command("/read", "", "a message of many lines, until a line with only a dot", doing(_read)),
    Command("/file", "PATH", "a text that goes before your next message", saying(_file), _paths),
)
