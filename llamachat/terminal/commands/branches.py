"""The tree of a chat: /branches draws it, /switch goes to a branch, /history shows the current one."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamachat.dialogue.messages import parted
from llamachat.dialogue.thoughts import without_thoughts
from llamachat.errors import UsageError
from llamachat.session.chats import DONE, StoredMessage
from llamachat.session.dates import date_of
from llamachat.terminal.columns import columns_of, cut, terminal_size
from llamachat.terminal.commands.base import Command, doing, number_of
from llamachat.terminal.pager import paged
from llamachat.terminal.sanitize import clean, clean_line

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

RUN = 6
"""Messages in a row without a branch that are drawn; of a longer row only the first and the last two."""

DEEPEST = 8
"""Levels of indentation of branches of branches, at most."""

DAY = "%Y-%m-%d"

WIDTH = 100
"""Columns of the tree where no terminal has any."""


@dataclass(frozen=True)
class Row:
    """A message of the drawing. branch: the number of the only branch that it is in; None where there are several.

    n_left_out: the number of messages after it that are not drawn.
    """

    message: StoredMessage
    lines: str
    branch: int | None
    n_left_out: int = 0


def branches_of(tree: Sequence[StoredMessage]) -> list[StoredMessage]:
    """The last message of each branch, in the order of the drawing."""
    parents = {message.parent for message in tree}
    return [message for message, _ in _walk(tree) if message.id not in parents]


def drawing(tree: Sequence[StoredMessage]) -> list[Row]:
    """The rows of the tree, from the first message on."""
    numbers = {message.id: number for number, message in enumerate(branches_of(tree), 1)}
    rows: list[Row] = []
    run: list[tuple[StoredMessage, str]] = []
    n_after = Counter(message.parent for message in tree)
    for message, lines in _walk(tree):
        run.append((message, lines))
        if n_after[message.id] != 1:
            rows += _run(run, numbers.get(message.id))
            run = []
    return rows


def _run(run: list[tuple[StoredMessage, str]], branch: int | None) -> Iterator[Row]:
    """Messages after one another, to the end of a branch or to where it parts."""
    n_left_out = len(run) - 4 if len(run) > RUN else 0
    for number, (message, lines) in enumerate(run):
        if not n_left_out or number < 2 or number >= len(run) - 2:
            yield Row(message, lines, branch, n_left_out if n_left_out and number == 1 else 0)


def _walk(tree: Sequence[StoredMessage]) -> Iterator[tuple[StoredMessage, str]]:
    """The messages, each with the lines before it: parents first, then one branch after the other."""
    known = {message.id for message in tree}
    following: dict[int | None, list[StoredMessage]] = {}
    for message in tree:
        following.setdefault(message.parent if message.parent in known else None, []).append(message)
    waiting = _parted(following.get(None, []), "")
    while waiting:
        message, lines, below = waiting.pop()
        yield message, lines
        waiting += _parted(following.get(message.id, []), below)


def _parted(messages: list[StoredMessage], lines: str) -> list[tuple[StoredMessage, str, str]]:
    """What follows a message, the last one first, with the lines before it and before what is below it."""
    if len(messages) < 2 or len(lines) >= 2 * DEEPEST:
        return [(message, lines, lines) for message in reversed(messages)]
    last = messages[-1]
    return [
        (message, lines + ("└ " if message is last else "├ "), lines + ("  " if message is last else "│ "))
        for message in reversed(messages)
    ]


def _branches(chat: "Chat", _words: str) -> None:
    tree = chat.conversation.store.tree_of(chat.conversation.chat)
    if not tree:
        chat.say("(an empty chat)")
        return
    here = {message.id for message in chat.conversation.path()}
    columns = terminal_size()[0] if chat.console.output.is_terminal else WIDTH
    for row in drawing(tree):
        mark = "*" if row.message.id in here else " "
        before = f"{'' if row.branch is None else row.branch:>3}{mark} {row.lines}"
        chat.say(
            _fitted(before + f"{_who(row.message)}: {_first_words(row.message, chat)}", _when(row.message), columns)
        )
        if row.n_left_out:
            chat.say(f"{'':4} {row.lines}... {row.n_left_out} more messages")
    n_branches = len(branches_of(tree))
    chat.say("")
    chat.say(f"{n_branches} branches; * is this one. /switch N goes to another one." if n_branches > 1 else "1 branch.")


def _fitted(text: str, when: str, columns: int) -> str:
    """The text, shortened where it has to be, and the time at the end of the row."""
    room = max(8, columns - columns_of(when) - 2)
    if columns_of(text) > room:
        text = f"{cut(text, room - 1)[0]}…"
    return f"{text}  {when}".rstrip()


def _who(message: StoredMessage) -> str:
    if message.role == "tool":
        return f"tool {clean_line(str(message.extra.get('name') or ''))}".rstrip()
    return {"user": "you", "assistant": "model"}.get(message.role, clean_line(message.role))


def _first_words(message: StoredMessage, chat: "Chat") -> str:
    said = (
        parted(message)[1]
        if message.role == "user"
        else without_thoughts(message.content, chat.conversation.template.source)
    )
    first = next((line.strip() for line in (said or message.content).splitlines() if line.strip()), "")
    return clean_line(first[:200]) + ("" if message.state == DONE else " (interrupted)")


def _when(message: StoredMessage) -> str:
    """The time of today's messages, the day of others; "" for an unknown one."""
    if not message.created:
        return ""
    day = date_of(message.created, DAY)
    return date_of(message.created, "%H:%M") if day == date_of(time.time(), DAY) else day


def _switch(chat: "Chat", words: str) -> None:
    """Another branch is the chat from here on."""
    tree = chat.conversation.store.tree_of(chat.conversation.chat)
    found = branches_of(tree)
    number = number_of(words)
    if not 1 <= number <= len(found):
        there = f"the branches 1 to {len(found)}" if len(found) > 1 else "one branch"
        raise UsageError(f"/switch needs the number of a branch; this chat has {there} (/branches draws them)")
    wanted = found[number - 1]
    if wanted.id == chat.conversation.head:
        raise UsageError(f"this is branch {number} already")
    chat.conversation.go_to(wanted.id)
    chat.recall()


def _ends(chat: "Chat", text: str) -> list[tuple[str, str]]:
    found = branches_of(chat.conversation.store.tree_of(chat.conversation.chat))
    numbered = [(str(number), _first_words(message, chat)[:60]) for number, message in enumerate(found, 1)]
    return [one for one in numbered if one[0].startswith(text)]


def _history(chat: "Chat", _words: str) -> None:
    """The whole chat, each message with the number by which /edit knows it."""
    path = chat.conversation.path()
    if not path:
        chat.say("(an empty chat)")
        return
    parts, n_asked = [], 0
    for message in path:
        n_asked += message.role == "user"
        number = f"[{n_asked}] " if message.role == "user" else ""
        said = message.content
        if message.role == "assistant":
            said = without_thoughts(said, chat.conversation.template.source) or said
        state = "" if message.state == DONE else " (interrupted)"
        parts.append(f"{number}{_who(message)}{state}  {_when(message)}".rstrip() + f"\n{clean(said).strip()}\n")
    text = "\n".join(parts)
    if not chat.console.output.is_terminal or not paged(text):
        chat.say(text)


COMMANDS = (
    Command(
        "/branches", "", "the tree of this chat: what was answered otherwise, edited or taken back", doing(_branches)
    ),
    Command("/switch", "N", "go to another branch", doing(_switch), _ends),
    Command("/history", "", "the whole chat in your pager ($PAGER)", doing(_history)),
)
