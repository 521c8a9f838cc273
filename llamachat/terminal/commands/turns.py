"""Commands that change the chat: regenerate, undo, edit, continue, new."""

from typing import TYPE_CHECKING

from llamachat.dialogue.messages import parted
from llamachat.errors import UsageError
from llamachat.terminal.commands.base import Command, doing, number_of, saying
from llamachat.terminal.commands.switching import begin_chat
from llamachat.terminal.messages import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamachat.terminal.chatting import Chat

    Files = Sequence[tuple[str, str]]


def _again(chat: "Chat", _words: str) -> None:
    if not chat.again():
        raise UsageError("there is no message to answer again")


def _undo(chat: "Chat", words: str) -> str:
    """Takes back the last turns, a message and its answer each; the first of the messages can be changed and sent."""
    count = _number(words, 1)
    path = chat.conversation.path()
    asked = [index for index, message in enumerate(path) if message.role == "user"]
    if len(asked) < count:
        there = f"there {'are' if len(asked) > 1 else 'is'} only {len(asked)} message{'s' * (len(asked) > 1)} of yours"
        raise UsageError(there if asked else "there is nothing to take back")
    first = asked[-count]
    files, text = parted(path[first])
    chat.conversation.go_to(path[first - 1].id if first else None)
    chat.attached, chat.draft = [*files, *chat.attached], text
    attached = {0: "", 1: "\nIts file is attached again."}.get(len(files), "\nIts files are attached again.")
    return f"Taken back: {text.splitlines()[0][:60] if text else ''}{attached}"


def _edit(chat: "Chat", words: str) -> None:
    """A message of the person's in the editor, by default the last one; what comes out is answered in its place."""
    from llamachat.terminal.editor import edited

    asked = [message for message in chat.conversation.path() if message.role == "user"]
    if not asked:
        raise UsageError("there is no message to edit")
    number = _number(words, len(asked))
    if number > len(asked):
        raise UsageError(f"your messages have the numbers 1 to {len(asked)} (/history shows them)")
    files, before = parted(asked[number - 1])
    text = (chat.editor or edited)(before)
    if text is None or not text.strip():
        chat.say("(nothing was changed)")
        return
    text = text.rstrip("\n")
    chat.say(quoted(text))
    kept = [(name, content) for name, content in files if name not in before or name in text]
    if said := _of_files(files, kept):
        chat.say(said)
    chat.attached = [*kept, *chat.attached]
    chat.ask_instead(text, asked[number - 1])


def _of_files(files: "Files", kept: "Files") -> str:
    """What becomes of the files of a message that was edited: those whose names were deleted in it are taken away."""
    gone = ", ".join(name for name, _ in files if name not in {one for one, _ in kept})
    stays = ", ".join(name for name, _ in kept)
    parts = [f"no longer attached: {gone}"] if gone else []
    if stays:
        parts.append(f"still attached: {stays}; to remove: /undo, then /file -")
    return f"({'; '.join(parts)})" if parts else ""


def _new(chat: "Chat", _words: str) -> str:
    """Begins a new chat; the one before stays as it is."""
    store, before = chat.conversation.store, chat.conversation.chat
    if not store.tree_of(before):
        return "This chat is empty: it is a new one."
    way = store.summary(before).name or before
    goes = chat.keeper is not None and chat.keeper.is_unused(before, chat.last is not None)
    begin_chat(chat)
    back = (
        "The copy before, in which nothing was asked, is gone." if goes else f"/load {way} goes back to the one before."
    )
    return f"This is a new chat, number {chat.conversation.chat}. {back}"


def _continue(chat: "Chat", _words: str) -> None:
    try:
        chat.continue_answer()
    except UsageError as error:
        raise UsageError(f"{error}: /regen gives another one") from error


def _number(words: str, default: int) -> int:
    if not words:
        return default
    number = number_of(words)
    if not number:
        raise UsageError(f"a number from 1 on is wanted, not {words!r}")
    return number


COMMANDS = (
    Command("/regen", "", "another answer; the one before stays (/branches)", doing(_again)),
    Command("/retry", "", "the same as /regen", doing(_again)),
    Command("/continue", "", "continue an answer that was cut or interrupted", doing(_continue)),
    Command("/undo", "[N]", "take back the last turn, or N; its message is yours to change", saying(_undo)),
    Command("/edit", "[N]", "your last message, or your Nth, in the editor; answered again", doing(_edit)),
    Command("/new", "", "begin a new chat with the same system prompt and settings", saying(_new)),
    Command("/clear", "", "the same as /new; the chat before is kept", saying(_new)),
)
