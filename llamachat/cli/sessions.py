"""`llamachat sessions`: the saved chats."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from typer import Argument, Option

from llamachat.errors import UsageError
from llamachat.terminal.asking import agreed, may_ask
from llamachat.terminal.schema import versioned

if TYPE_CHECKING:
    from llamachat.session.chats import ChatStore, ChatSummary
    from llamachat.session.locks import ChatLock

Action = Literal["list", "show", "search", "rename", "fork", "export", "import", "delete", "gc", "path"]
Output = Literal["text", "json"]
Form = Literal["md", "json", "jsonl", "html"]
FEW = 30


def sessions(
    action: Annotated[
        Action,
        Argument(
            help="list; show CHAT; search WORDS; rename CHAT NAME; fork CHAT [NAME]; export CHAT [FILE]; import "
            "FILE; delete CHAT; gc: rewrite the database without deleted data; path: print its path. FILE may be -."
        ),
    ] = "list",
    words: Annotated[list[str] | None, Argument(metavar="[CHAT] [WORDS]", help="Arguments of the action.")] = None,
    everything: Annotated[bool, Option("--all", help="List all chats instead of the last 30.")] = False,
    yes: Annotated[
        bool,
        Option(
            "--yes",
            "-y",
            "--force",
            help="Do not ask before a chat is deleted (CHAT must be a full name or number) or a file overwritten.",
        ),
    ] = False,
    output: Annotated[Output, Option("--output", "-o", help="Output format.")] = "text",
    form: Annotated[
        Form | None, Option("--format", help="Format of an export; by default from the ending of FILE, else md.")
    ] = None,
) -> None:
    """List, read, search and delete the saved chats.

    CHAT is a name, a number, or the beginning of a title. A search finds messages with all words, the newest first;
    `word*` matches words with this prefix.
    """
    from llamachat.session.places import database_path

    if action == "path":
        _print(str(database_path()))
        return
    wanted = list(words or ())
    most = MOST_WORDS.get(action)
    if most is not None and len(wanted) > most:
        raise UsageError(f"sessions {action} takes {most} words at most, not {len(wanted)}")
    if action not in ("list", "gc") and not wanted:
        raise UsageError(_missing(action))
    from llamachat.session.chats import ChatStore
    from llamachat.terminal.output import note

    with ChatStore(database_path(), note) as store:
        if action == "list":
            _list(store, everything, output)
        elif action == "delete":
            _delete(store, wanted[0], yes)
        elif action == "export":
            _export(store, wanted, form, yes)
        else:
            ACTIONS[action](store, wanted, output)


NEEDS = {
    "export": "CHAT",
    "import": "FILE",
    "show": "CHAT",
    "search": "WORDS",
    "rename": "CHAT NAME",
    "fork": "CHAT",
    "delete": "CHAT",
}
MOST_WORDS = {"export": 2, "import": 1, "list": 0, "gc": 0, "show": 1, "rename": 2, "fork": 2, "delete": 1}


def _missing(action: str, missing: str = "") -> str:
    """The sentence for a missing argument. missing: its name, if it is not the first one."""
    return f"missing {missing or NEEDS[action].split()[0]}: llamachat sessions {action} {NEEDS[action]}"


def _list(store: "ChatStore", everything: bool, output: Output) -> None:
    from llamachat.terminal.output import note
    from llamachat.terminal.table import Column, print_table

    found = store.latest(-1 if everything else FEW)
    if output == "json":
        _print(json.dumps([versioned(asdict(one)) for one in found], indent=2))
    elif found:
        columns = [Column("number", right=True), Column("name"), Column("title"), Column("messages", right=True)]
        columns += [Column("changed"), Column("model")]
        print_table(columns, [_row(one) for one in found])
    else:
        note("there are no saved chats yet: `llamachat chat` starts one")


def _row(chat: "ChatSummary") -> list[str]:
    from llamachat.session.dates import date_of

    return [str(chat.id), chat.name or "", chat.title, str(chat.n_messages), date_of(chat.updated), chat.model]


def _found(store: "ChatStore", wanted: str) -> int:
    """The chat that was named; what of it is damaged is said."""
    from llamachat.terminal.output import note

    chat = store.find(wanted)
    for damage in store.damage_of(chat):
        note(f"chat {chat} is damaged: {damage}")
    return chat


def _show(store: "ChatStore", wanted: list[str], output: Output) -> None:
    from llamachat.terminal.sanitize import clean

    chat = _found(store, wanted[0])
    messages = store.path_of(chat)
    if output == "json":
        _print(
            json.dumps(
                versioned({**asdict(store.summary(chat)), "messages": [asdict(one) for one in messages]}), indent=2
            )
        )
        return
    for message in messages:
        state = "" if message.state == "done" else f" ({message.state})"
        _print(clean(f"{message.role}{state}:\n{message.content}\n"))


def _search(store: "ChatStore", wanted: list[str], output: Output) -> None:
    from llamachat.terminal.output import note
    from llamachat.terminal.table import Column, print_table

    hits = store.search(" ".join(wanted))
    if output == "json":
        _print(json.dumps([versioned(asdict(hit)) for hit in hits], indent=2))
    elif hits:
        columns = [Column("number", right=True), Column("title"), Column("who"), Column("words")]
        rows = [[str(hit.chat.id), hit.chat.name or hit.chat.title, hit.role, hit.excerpt] for hit in hits]
        print_table(columns, rows)
    else:
        note("nothing was found")


def _rename(store: "ChatStore", wanted: list[str], _output: Output) -> None:
    if len(wanted) < 2:
        raise UsageError(_missing("rename", "NAME"))
    store.rename(store.find(wanted[0]), wanted[1])


def _fork(store: "ChatStore", wanted: list[str], output: Output) -> None:
    made = store.fork(_found(store, wanted[0]), wanted[1] if len(wanted) > 1 else None)
    _tell_of_new(store, [made], "forked", output)


def _export(store: "ChatStore", wanted: list[str], form: "Form | None", yes: bool) -> None:
    """Writes a chat to a file, or to standard output."""
    from llamachat.session.exports import WRITERS, exported, form_of, would_overwrite, write_export

    target = wanted[1] if len(wanted) > 1 else "-"
    if form is None:
        try:
            form = "md" if target == "-" else cast("Form", form_of(target))
        except UsageError as error:
            raise UsageError(f"{error} with --format") from error
    chat = exported(store, _found(store, wanted[0]))
    if target == "-":
        _print(WRITERS[form](chat).removesuffix("\n"))
        return
    path = Path(target)
    if not yes and would_overwrite(path):
        if not may_ask():
            raise UsageError(f"{path} exists already: give another name, or --yes to overwrite it")
        if not agreed(f"{path} exists already. Overwrite it?"):
            return
    write_export(path, chat, form)


def _import(store: "ChatStore", wanted: list[str], output: Output) -> None:
    """Keeps the chats of a file, all or none."""
    from llamachat.session.imports import read_chats

    path = None if wanted[0] == "-" else Path(wanted[0])
    chats = list(read_chats(path))
    if not chats:
        raise UsageError(f"{path or 'standard input'}: there is no chat in it")
    _tell_of_new(store, store.keep_all(chats), "imported", output)


def _tell_of_new(store: "ChatStore", numbers: list[int], how: str, output: Output) -> None:
    """Which chats came to be."""
    from llamachat.terminal.sanitize import clean_line

    made = [store.summary(number) for number in numbers]
    if output == "json":
        _print(json.dumps([versioned(asdict(one)) for one in made], indent=2))
        return
    for one in made:
        said = clean_line(one.name or one.title)
        _print(f"{how} as chat {one.id}" + (f' "{said}"' if said else ""))


def _delete(store: "ChatStore", wanted: str, yes: bool) -> None:
    named = store.named(wanted) if yes else store.find(wanted)
    if named is None:
        raise UsageError(f"--yes needs the whole name or the number of a chat: {wanted!r} is neither")
    chat = store.summary(named)
    if not yes:
        if not may_ask():
            raise UsageError("sessions delete asks before it deletes; where nobody can answer, give --yes")
        from llamachat.terminal.sanitize import clean_line

        title = clean_line(chat.name or chat.title)
        called = repr(title) if title else "(untitled)"
        if not agreed(f"Delete chat {chat.id}, {called}, with {chat.n_messages} messages?"):
            return
    from llamachat.session.history import InputHistory
    from llamachat.session.locks import ChatLock
    from llamachat.session.places import locks_folder, snapshots_folder
    from llamachat.session.snapshots import Snapshots
    from llamachat.terminal.input.message import said_in

    with ChatLock(locks_folder(), chat.id) as lock:
        if not _taken(lock):
            raise UsageError(f"another llamachat (process {lock.holder}) is in this chat: quit it there first")
        _make_room(store)
        Snapshots(snapshots_folder(), 0).drop(chat.id)
        said = [message.content for message in store.tree_of(chat.id) if message.role == "user"]
        _tell_of_remains(store, store.delete(chat.id))
        InputHistory().forget(lambda typed: said_in(typed, said))
    _tidy_files(store)


def _make_room(store: "ChatStore") -> None:
    """On a full disk what was computed of chats makes room for the change: it can be computed again."""
    from llamachat.session.database import NEEDED
    from llamachat.session.places import snapshots_folder
    from llamachat.session.room import free_at
    from llamachat.session.snapshots import Snapshots

    free = free_at(store.path)
    if free is not None and free < NEEDED:
        Snapshots(snapshots_folder(), 0).tidy([])


def _taken(lock: "ChatLock") -> bool:
    try:
        return lock.take()
    except OSError:  # a folder that cannot be written: the database will say so
        return True


def _tell_of_remains(store: "ChatStore", emptied: bool) -> None:
    """Says where text of deleted chats may still be."""
    from llamachat.session.database import copies_of
    from llamachat.terminal.output import note

    if not emptied:
        note("another llamachat is reading the database, so its log still contains the deleted text: run gc later")
    if copies := copies_of(store.path):
        note(f"{copies[0]}, a copy from before an update, may still contain the deleted text: gc deletes it")


def _tidy(store: "ChatStore", _wanted: list[str], _output: Output) -> None:
    from llamachat.session.database import copies_of

    _make_room(store)
    for copy in copies_of(store.path):
        copy.unlink(missing_ok=True)
    _tell_of_remains(store, store.tidy())
    _tidy_files(store)


def _tidy_files(store: "ChatStore") -> None:
    """What was computed of chats that are gone is gone, too, and so are locks that nobody holds."""
    from llamachat.session.locks import tidy_locks
    from llamachat.session.places import locks_folder, snapshots_folder
    from llamachat.session.snapshots import Snapshots

    Snapshots(snapshots_folder(), 0).tidy([one.id for one in store.latest()])
    tidy_locks(locks_folder())


ACTIONS: dict[str, "Callable[[ChatStore, list[str], Output], None]"] = {
    "show": _show,
    "search": _search,
    "rename": _rename,
    "fork": _fork,
    "gc": _tidy,
    "import": _import,
}


def _print(text: str) -> None:
    from llamachat.terminal.output import Output

    Output().write(f"{text}\n")
