"""Commands about the chats that are kept: list, open another, name, fork, write to a file."""

from typing import TYPE_CHECKING

from llamachat.errors import UsageError
from llamachat.session.dates import date_of
from llamachat.session.exports import WRITERS, exported, form_of, would_overwrite, write_export
from llamachat.terminal.asking import agreed, may_ask
from llamachat.terminal.commands.base import Command, doing, saying
from llamachat.terminal.commands.switching import switch_chat
from llamachat.terminal.echo import forget_typed
from llamachat.terminal.paths import path_of, paths
from llamachat.terminal.sanitize import clean_line

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

FEW = 15
SURE = ("--yes", "--force")
"""Behind the file of an export that may be overwritten."""


def _sessions(chat: "Chat", words: str) -> str:
    """The last chats, or those with these words."""
    store = chat.conversation.store
    if words:
        hits = store.search(words)
        return "\n".join(f"{hit.chat.id:5}  {clean_line(hit.excerpt)}" for hit in hits) or "Nothing was found."
    rows = []
    for one in store.latest(FEW):
        day = date_of(one.updated, "%Y-%m-%d") or " " * 10
        here = "*" if one.id == chat.conversation.chat else " "
        rows.append(f"{here}{one.id:4}  {day}  {clean_line(one.name or one.title) or '(empty)'}")
    return "\n".join(rows)


def _load(chat: "Chat", words: str) -> None:
    """Continues another chat."""
    if not words:
        raise UsageError("/load needs a chat; /sessions lists them")
    switch_chat(chat, chat.conversation.store.find(words, "/sessions"))
    chat.recall()


def _save(chat: "Chat", words: str) -> str:
    """Gives the chat a name; it is kept in any case."""
    if not words:
        raise UsageError("/save needs a name")
    chat.conversation.store.rename(chat.conversation.chat, words)
    return f"The chat is called {words}."


def _fork(chat: "Chat", words: str) -> str:
    conversation, files = chat.conversation, chat.attached
    made = conversation.store.fork(conversation.chat, words or None)
    conversation.change(chat.keeper.take(made) if chat.keeper is not None else made)
    chat.attached = list(files)
    return f"This is chat {conversation.chat} from here on; the other one stays as it was."


def _export(chat: "Chat", words: str) -> str:
    name, form, sure = _export_words(words)
    if not name:
        raise UsageError(f"/export needs a file, as notes.{', notes.'.join(WRITERS)}; - shows the chat here")
    whole = exported(chat.conversation.store, chat.conversation.chat)
    if name == "-":
        return WRITERS[form or "md"](whole).rstrip("\n")
    path = path_of(name)
    try:
        form = form or form_of(str(path))
    except UsageError as error:
        raise UsageError(f"{error} after the file") from error
    if not sure and would_overwrite(path):
        if not may_ask():
            raise UsageError(f"{path} exists already: give another name, or --yes to overwrite it")
        forget_typed()  # it answers no question that is only asked now
        if not agreed(f"{path} exists already. Overwrite it?"):
            return f"{path} is as it was."
    write_export(path, whole, form)
    return f"{path} is written."


def _export_words(words: str) -> tuple[str, str, bool]:
    """The file, the format if one is named, and whether a file may be overwritten."""
    sure, form = False, ""
    while True:
        named, _, last = words.strip().rpartition(" ")
        if named and last in SURE:
            sure = True
        elif named and last.lower() in WRITERS and not form:
            form = last.lower()
        else:
            return words.strip(), form, sure
        words = named


def _chats(chat: "Chat", text: str) -> list[tuple[str, str]]:
    found = chat.conversation.store.latest(100)
    return [(one.name or str(one.id), one.title) for one in found if (one.name or str(one.id)).startswith(text)]


def _exports(_chat: "Chat", text: str) -> list[tuple[str, str]]:
    named, _, last = text.rpartition(" ")
    return paths(text) + [(f"{named} {form}", "") for form in WRITERS if named and form.startswith(last)]


COMMANDS = (
    Command("/sessions", "[WORDS]", "the last chats, or those with these words", saying(_sessions)),
    Command("/load", "CHAT", "open another chat", doing(_load), _chats),
    Command("/save", "NAME", "give this chat a name", saying(_save)),
    Command("/fork", "[NAME]", "continue in a copy of this chat", saying(_fork)),
    Command(
        "/export",
        "FILE [FORMAT] [--yes]",
        "write the chat as .md, .json, .jsonl or .html; - shows it",
        saying(_export),
        _exports,
    ),
)
