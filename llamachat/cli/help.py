"""What --help prints: plain text in panels, in two columns where the terminal is wide, else in one."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.cli.guide import COMMAND_PANELS, FIRST, GUIDE, USUAL, Example
from llamachat.cli.settings.sources import UNSETTABLE, setting_name
from llamachat.cli.settings.values import Parameter, choices, kind, limits
from llamachat.terminal.columns import columns_of, filled, padded, terminal_size

WIDEST, NARROWEST = 100, 20
TWO_COLUMNS = 70
FIRST_COLUMN = 28
WIDE_COLUMN = 54
GENERAL, EVERYWHERE = "Options", "Everywhere"
MOST_OPTIONS = 18
"""A command with more options shows the usual ones in --help."""

HELP_ALL = "--help-all"
HELP = (("-h, --help", "Show common options and examples."), (HELP_ALL, "Show all options."))

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
    return {**found, last: [*entries, *(Entry(names, text, "", "", "") for names, text in HELP)]}


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
    """All of the help of a command; `path` is how it is called."""
    return "\n".join(_lines(command, path, width or columns())) + "\n"


def short_page(command: Any, path: str, width: int | None = None) -> str:
    """The help of a command on one screen: what it does, examples, the usual options; all where they are few."""
    options = [one for one in command.params if not one.hidden]
    if len(options) <= MOST_OPTIONS:
        return page(command, path, width)
    width = width or columns()
    lines = [*_beginning(command, path, width, " ".join((command.help or "").partition("\n\n")[0].split()))]
    names = {setting_name(one) if one.param_type_name == "option" else one.name: one for one in options}
    guide = GUIDE.get(command.name or "")
    texts = {**USUAL, **(guide.usual if guide else {})}
    usual = [(_short_names(names[name]), text) for name, text in texts.items() if name in names]
    lines += ["", "Common options:", *definitions([*usual, (HELP_ALL, f"Show all {len(options)} options.")], width)]
    return "\n".join(lines) + "\n"


def _short_names(parameter: Parameter) -> str:
    """One short and one long spelling, with what follows."""
    one = entry(parameter)
    if parameter.param_type_name == "argument":
        return one.names
    short = [name for name in parameter.opts if not name.startswith("--")][:1]
    long = [name for name in parameter.opts if name.startswith("--")][:1]
    metavar = "" if kind(parameter) == "switch" else f" {parameter.metavar or 'WORD'}"
    long = [f"--no-{name[2:]}" for name in long] if kind(parameter) == "switch" and parameter.default else long
    return f"{', '.join([*short, *long])}{metavar}"


def with_bold_headings(text: str) -> str:
    """The help for a terminal with colours."""
    return re.sub(r"^(Usage:|\S[^\n]*:$)", "\x1b[1m\\1\x1b[0m", text, flags=re.MULTILINE)


def columns() -> int:
    """The width of running text: the terminal's, or $COLUMNS, within reason."""
    return max(NARROWEST, min(WIDEST, terminal_size()[0]))


def _beginning(command: Any, path: str, width: int, text: str | None) -> Iterator[str]:
    """How a command is called, what it does, and examples."""
    yield from _wrapped(f"Usage: {' '.join([path, '[OPTIONS]', *arguments(command)])}", width, "", "    ")
    yield ""
    yield from paragraphs(text, width)
    guide = GUIDE.get(command.name)
    if guide is not None and guide.examples:
        yield from ["", "Examples:"]
        yield from _examples(guide.examples, width)


def _lines(command: Any, path: str, width: int) -> Iterator[str]:
    yield from _beginning(command, path, width, command.help)
    for heading, entries in panels(command).items():
        yield from ["", *_wrapped(f"{heading}:", width)]
        yield from definitions([(one.names, one.said) for one in entries], width)
    yield ""
    yield from paragraphs(
        "Options can also be set in a file or in the environment: see `llamachat config --help`.", width
    )


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


def definitions(rows: Sequence[tuple[str, str]], width: int, most: int = FIRST_COLUMN) -> Iterator[str]:
    """Terms and their meanings: side by side where there is room, else the meaning below."""
    longest = max((columns_of(term) for term, _ in rows), default=0)
    wide = width >= TWO_COLUMNS or longest + 4 <= width // 2
    column = min(most, longest + 4) if wide else 0
    for term, meaning in rows:
        indent = " " * (column or 6)
        lines = _wrapped(meaning, width, indent) if meaning else []
        if column and columns_of(term) + 4 <= column and lines:
            yield padded(f"  {term}", column) + lines[0][column:]
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
        if columns_of(shown) + columns_of(word) + 3 > width:
            yield f"{shown} \\"
            shown = "      " + word
        else:
            shown += f" {word}"
    yield shown


def _wrapped(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    rest = indent if hanging is None else hanging
    return filled(text, max(width, columns_of(rest) + 10), indent, rest)


def program_page(program: Any, width: int | None = None) -> str:
    """The help of the program on one screen: examples, the commands under headings."""
    width = width or columns()
    lines = ["Usage: llamachat COMMAND [OPTIONS]", "", *paragraphs(program.help, width), ""]
    lines += definitions([(one.line, one.meaning) for one in FIRST], width, WIDE_COLUMN)
    lines += _command_lines(program, width, lambda command: re.sub(r"[.:;]( .*)?$", "", summary(command)))
    codes = (
        "Exit codes: 0 done, 1 error, 2 wrong usage, 3 model, 4 context full, 5 length, 6 schema, 7 memory, 130 Ctrl+C"
    )
    lines += ["", *_wrapped(f"{HELP_ALL}: every option and exit code; --version: the version.", width)]
    return "\n".join([*lines, *_wrapped(f"{codes}.", width)]) + "\n"


def whole_program_page(program: Any, width: int | None = None) -> str:
    """All of the help of the program itself: its commands, its options, the exit codes."""
    width = width or columns()
    lines = ["Usage: llamachat COMMAND [OPTIONS]", "", *paragraphs(program.help, width)]
    lines += _command_lines(program, width, summary)
    for heading, entries in panels(program).items():
        lines += ["", f"{heading}:", *definitions([(one.names, one.said) for one in entries], width)]
    return "\n".join([*lines, "", *paragraphs(program.epilog, width)]) + "\n"


def _command_lines(program: Any, width: int, meaning: Callable[[Any], str]) -> Iterator[str]:
    for heading in COMMAND_PANELS:
        names = [name for name in program.commands if command_panel(name) == heading]
        rows = [(name, meaning(program.commands[name])) for name in names]
        if rows:
            yield from ["", f"{heading}:"]
            yield from definitions(rows, width)


def summary(command: Any) -> str:
    """The first sentence of a command's help."""
    return " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())


def command_panel(name: str) -> str:
    """The heading under which a command stands."""
    return GUIDE[name].panel if name in GUIDE else COMMAND_PANELS[-1]
