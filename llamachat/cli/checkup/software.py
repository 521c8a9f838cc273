"""The program, the packages below it, its settings and its terminal."""

import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from llamachat import __version__
from llamachat.cli.checkup.facts import Fact
from llamachat.cli.settings.survey import survey
from llamachat.errors import LlamaChatError
from llamachat.terminal.colour import wants_colour
from llamachat.terminal.columns import terminal_size


def program() -> Iterator[Fact]:
    """Versions of the program, of Python and of the system."""
    yield Fact("llamachat", __version__, __version__)
    python = platform.python_version()
    yield Fact("python", python, f"{python}, {sys.executable}")
    yield Fact("system", platform.platform(), platform.platform())


def packages() -> Iterator[Fact]:
    """The packages that the program needs, with the versions that are installed."""
    try:
        needed = sorted({re.split(r"[^\w-]", one)[0] for one in requires("llamachat") or [] if "extra ==" not in one})
    except PackageNotFoundError:
        yield Fact("llamachat", None, "not installed as a package: what it needs is not known", problem=True)
        return
    for name in needed:
        try:
            yield Fact(name, version(name), version(name))
        except PackageNotFoundError:
            yield Fact(name, None, "not installed", problem=True)


def settings(context: Any) -> Iterator[Fact]:
    """What is set, or what is wrong there."""
    try:
        found = [one for one in survey(context) if one.setting is not None]
    except LlamaChatError as error:
        yield Fact("settings", None, str(error), problem=True)
        return
    names = {one.setting.name: one.setting.level for one in found if one.setting is not None}
    yield Fact("set", names, ", ".join(f"{name} ({level})" for name, level in names.items()) or "nothing")


def terminal() -> Iterator[Fact]:
    """What standard output is."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    kind = os.environ.get("TERM", "")
    yield Fact("terminal", kind if is_terminal else None, f"{kind or 'no TERM'}" if is_terminal else "none")
    colour = wants_colour(is_terminal)
    yield Fact("colour", colour, "yes" if colour else "no")
    columns = terminal_size()[0]
    yield Fact("columns", columns, str(columns))
    encoding = sys.stdout.encoding if sys.stdout is not None else None
    yield Fact("encoding", encoding, str(encoding))
