"""What the shell's completion asks for while a person types: names that only this machine knows.

`llamachat __complete KIND BEGINNING` prints a name on each line, with a tab and an explanation behind it where there is
one. It imports neither typer nor the engine, because a person waits for it; __main__ comes here first.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from llamachat.errors import LlamaChatError

Candidate = tuple[str, str]

MOST_SESSIONS = 50
"""Chats that are offered, the latest first."""


def print_candidates(arguments: list[str]) -> None:
    """Answers one command line, silently where there is nothing to answer."""
    kind, beginning = (*arguments, "", "")[:2]
    with suppress(LlamaChatError, OSError):
        for name, meaning in offered(kind, beginning):
            print(f"{name}\t{meaning}" if meaning else name)


def offered(kind: str, beginning: str) -> Iterator[Candidate]:
    """The names of a kind that begin so, each with its explanation or ""; unknown kinds have none.

    A name that would not stay on its line, or could do something to a terminal, is left out.
    """
    from llamachat.terminal.sanitize import clean_line

    for name, meaning in KINDS[kind]() if kind in KINDS else ():
        if name.startswith(beginning) and name == clean_line(name):
            yield name, clean_line(meaning)


def _models() -> Iterable[Candidate]:
    from llamachat.catalog.places import locate
    from llamachat.engine.memory import size_text

    for model in locate():
        if not model.problem:
            yield model.name, f"{size_text(model.n_bytes)}, {model.source}"


def _prompts() -> Iterable[Candidate]:
    from llamachat.cli.prompt_library.listing import records

    return [(one["name"], one["description"]) for one in records() if not one["problem"]]


def _sources() -> Iterable[Candidate]:
    from llamachat.catalog.known import KNOWN

    return [(name, "") for name in KNOWN]


def _profiles() -> Iterable[Candidate]:
    from llamachat.cli.settings.file import read_config

    file = read_config()
    return [(name, "") for name in file.profiles] if file is not None else ()


def _sessions() -> Iterable[Candidate]:
    from llamachat.session.chats import ChatStore
    from llamachat.session.places import database_path

    path = database_path()
    if not path.exists():  # opening would make it
        return []
    with ChatStore(path) as store:
        return [(chat.name or str(chat.id), chat.title) for chat in store.latest(MOST_SESSIONS)]


def _templates() -> Iterable[Candidate]:
    from llamachat.templates.named import builtin_names

    return [(name, "") for name in builtin_names()]


KINDS: Mapping[str, Callable[[], Iterable[Candidate]]] = {
    "models": _models,
    "profiles": _profiles,
    "prompts": _prompts,
    "sessions": _sessions,
    "sources": _sources,
    "templates": _templates,
}
"""What can be asked for."""
