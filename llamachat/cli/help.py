"""What --help prints: plain text in panels, in two columns where the terminal is wide, else in one."""

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.cli.guide import COMMAND_PANELS, GUIDE, Example
from llamachat.cli.settings.sources import UNSETTABLE, setting_name
from llamachat.cli.settings.values import Parameter, choices, kind, limits

WIDEST, NARROWEST = 100, 20
TWO_COLUMNS = 70
FIRST_COLUMN = 28
GENERAL, EVERYWHERE = "Options", "Everywhere"

_DEFAULT = re.compile(r"\s*\[default: (.*)\]\s*$", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """An option or argument: `names` as it is spelled, with what follows them; `setting`: its name as one, or ""."""

    names: str
    text: str
    default: str
    limits: str
    setting: str

    @property
    def said(self) -> str:
        """The text with default and limits, in brackets behind it."""
        notes = "; ".join(part for part in (self.default and f"default: {self.default}", self.limits) if part)
        return f"{self.text} [{notes}]" if notes else self.text


def panels(command: Any) -> dict[str, list[Entry]]:
    """A command's options and arguments under their headings."""
    found: dict[str, list[Entry]] = {}
    for parameter in command.params:
        if not parameter.hidden:
            argument = parameter.param_type_name == "argument"
            heading = "Arguments" if argument else parameter.rich_help_panel or GENERAL
            found.setdefault(heading, []).append(entry(parameter))
    last = EVERYWHERE if EVERYWHERE in found else GENERAL
    entries = found.pop(last, [])
    return {**found, last: [*entries, Entry("-h, --help", "Show this and leave.", "", "", "")]}


def entry(parameter: Parameter) -> Entry:
    """What is said of an option or argument."""
    text, default = inspect.cleandoc(parameter.help or ""), ""
    if said := _DEFAULT.search(text):
        text, default = text[: said.start()], said[1]
    elif parameter.show_default:
        default = _default(parameter)
    if parameter.param_type_name == "argument":
        return Entry(_argument(parameter), text, default, _limits(parameter), "")
    setting = "" if parameter.name in UNSETTABLE else setting_name(parameter)
    return Entry(_names(parameter), text, default, _limits(parameter), setting)


def _names(option: Parameter) -> str:
    """The spellings, short ones first; the --no- form of a switch that is on by itself."""
    names = sorted(option.opts, key=lambda name: name.startswith("--"))
    if kind(option) == "switch":
        return ", ".join([*names, *(option.secondary_opts if option.default else ())])
    return f"{', '.join(names)} {option.metavar or '|'.join(choices(option)) or kind(option).upper().split()[-1]}"


def _default(parameter: Parameter) -> str:
    value = getattr(parameter.default, "value", parameter.default)
    if isinstance(value, bool):
        return "on" if value else ""
    return "" if value in (None, "") or callable(value) else str(value)


def _limits(parameter: Parameter) -> str:
    """The bounds of a number, or the values that neither the name nor the text lists."""
    unsaid = [choice for choice in choices(parameter) if choice not in (parameter.help or "")]
    return limits(parameter) or (", ".join(choices(parameter)) if parameter.metavar and unsaid else "")


def page(command: Any, path: str, width: int | None = None) -> str:
    """The help of a command; `path` is how it is called."""
    return "\n".join(_lines(command, path, width or columns())) + "\n"


def columns() -> int:
    """The width of running text: the terminal's, or $COLUMNS, within reason."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))


def _lines(command: Any, path: str, width: int) -> Iterator[str]:
    yield from _wrapped(f"Usage: {' '.join([path, '[OPTIONS]', *arguments(command)])}", width, "", "    ")
    yield ""
    yield from paragraphs(command.help, width)
    guide = GUIDE.get(command.name)
    if guide is not None and guide.examples:
        yield from ["", "Examples:"]
        yield from _examples(guide.examples, width)
    for heading, entries in panels(command).items():
        yield from ["", *_wrapped(f"{heading}:", width)]
        yield from definitions([(one.names, one.said) for one in entries], width)
    yield ""
    yield from paragraphs("Options are also settings: `llamachat config --help` says where.", width)


def arguments(command: Any) -> list[str]:
    """The command's arguments, as they stand in its usage: in brackets where they may be left out."""
    found = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    names = [(_argument(parameter), parameter.required) for parameter in found]
    return [name if required else f"[{name.strip('[]')}]" for name, required in names]


def _argument(parameter: Parameter) -> str:
    return parameter.metavar or "|".join(choices(parameter)) or str(parameter.name).upper()


def paragraphs(text: str | None, width: int) -> Iterator[str]:
    """Running text, wrapped; a paragraph that begins with \\b keeps its lines."""
    for number, paragraph in enumerate(inspect.cleandoc(text or "").split("\n\n")):
        if number:
            yield ""
        first, _, rest = paragraph.partition("\n")
        if first.strip() == "\b":
            yield from rest.splitlines()
        else:
            yield from _wrapped(" ".join(paragraph.split()), width)


def definitions(rows: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """Terms and their meanings: side by side where there is room, else the meaning below."""
    longest = max((len(term) for term, _ in rows), default=0)
    wide = width >= TWO_COLUMNS or longest + 4 <= width // 2
    column = min(FIRST_COLUMN, longest + 4) if wide else 0
    for term, meaning in rows:
        indent = " " * (column or 6)
        lines = _wrapped(meaning, width, indent) if meaning else []
        if column and len(term) + 4 <= column and lines:
            yield f"  {term}".ljust(column) + lines[0][column:]
            yield from lines[1:]
        else:
            yield from _wrapped(term, width, "  ", "      ")
            yield from lines


def _examples(examples: Iterable[Example], width: int) -> Iterator[str]:
    for example in examples:
        yield from _wrapped(f"# {example.meaning}", width, "  ", "  # ")
        yield from shell_lines(example.line, width)


def shell_lines(line: str, width: int) -> Iterator[str]:
    """A command line, continued with \\ where it is too long; nothing in quotes is broken."""
    words = re.findall(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", line)
    shown = "  " + words[0]
    for word in words[1:]:
        if len(shown) + len(word) + 3 > width:
            yield f"{shown} \\"
            shown = "      " + word
        else:
            shown += f" {word}"
    yield shown


def _wrapped(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    rest = indent if hanging is None else hanging
    return textwrap.wrap(
        text, max(width, len(rest) + 10), initial_indent=indent, subsequent_indent=rest, break_on_hyphens=False
    )


def program_page(program: Any, width: int | None = None) -> str:
    """The help of the program: what it is, its commands under headings, the options, the exit codes."""
    return "\n".join(_program_lines(program, width or columns())) + "\n"


def _program_lines(program: Any, width: int) -> Iterator[str]:
    yield from ["Usage: llamachat COMMAND [OPTIONS]", ""]
    yield from paragraphs(program.help, width)
    for heading in COMMAND_PANELS:
        names = [name for name in program.commands if command_panel(name) == heading]
        rows = [(name, summary(program.commands[name])) for name in names]
        if rows:
            yield from ["", f"{heading}:"]
            yield from definitions(rows, width)
    for heading, entries in panels(program).items():
        yield from ["", f"{heading}:"]
        yield from definitions([(one.names, one.said) for one in entries], width)
    yield ""
    yield from paragraphs(program.epilog, width)


def summary(command: Any) -> str:
    """The first sentence of a command's help."""
    return " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())


def command_panel(name: str) -> str:
    """The heading under which a command stands."""
    return GUIDE[name].panel if name in GUIDE else COMMAND_PANELS[-1]
