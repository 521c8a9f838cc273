"""Commands about the chats that are kept: list, go on with another, name, fork, write to a file."""

from typing import TYPE_CHECKING

from llamachat.errors import UsageError
from llamachat.session.dates import date_of
from llamachat.session.exports import WRITERS, exported, write_export
from llamachat.terminal.commands.base import Command, doing, saying
from llamachat.terminal.paths import path_of, paths
from llamachat.terminal.sanitize import clean_line

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

FEW = 15


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
    """Goes on with another chat."""
    if not words:
        raise UsageError("/load needs a chat; /sessions lists them")
    chat.go_on_in(chat.conversation.store.find(words))
    chat.recall()


def _save(chat: "Chat", words: str) -> str:
    """Gives the chat a name; it is kept in any case."""
    if not words:
        raise UsageError("/save needs a name")
    chat.conversation.store.rename(chat.conversation.chat, words)
    return f"The chat is called {words}."


def _fork(chat: "Chat", words: str) -> str:
    conversation = chat.conversation
    made = conversation.store.fork(conversation.chat, words or None)
    conversation.change(chat.keeper.take(made) if chat.keeper is not None else made)
    return f"This is chat {conversation.chat} from here on; the other one stays as it was."


def _export(chat: "Chat", words: str) -> str:
    if not words:
        raise UsageError("/export needs a file, as notes.md, notes.json, notes.jsonl or notes.html")
    named, _, last = words.rpartition(" ")
    path = path_of(named if named and last in WRITERS else words)
    form = last if named and last in WRITERS else path.suffix.removeprefix(".").lower()
    if form not in WRITERS:
        raise UsageError(
            f"/export writes {', '.join(WRITERS)}: give the file one of these endings, or the format after it"
        )
    write_export(path, exported(chat.conversation.store, chat.conversation.chat), form)
    return f"{path} is written."


def _chats(chat: "Chat", text: str) -> list[tuple[str, str]]:
    found = chat.conversation.store.latest(100)
    return [(one.name or str(one.id), one.title) for one in found if (one.name or str(one.id)).startswith(text)]


def _exports(_chat: "Chat", text: str) -> list[tuple[str, str]]:
    named, _, last = text.rpartition(" ")
    return paths(text) + [(f"{named} {form}", "") for form in WRITERS if named and form.startswith(last)]


COMMANDS = (
    Command("/sessions", "[WORDS]", "the last chats, or those with these words", saying(_sessions)),
    Command("/load", "CHAT", "go on with another chat", doing(_load), _chats),
    Command("/save", "NAME", "give this chat a name", saying(_save)),
    Command("/fork", "[NAME]", "go on in a copy of this chat", saying(_fork)),
    Command("/export", "FILE [FORMAT]", "write the chat as .md, .json, .jsonl or .html", saying(_export), _exports),
)
