"""A value of a file or of the environment as an option's value, or the reason why it is none."""

import difflib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer

from llamachat.errors import UsageError

WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

MAYBE_FILES = frozenset({"chat_template", "model", "model_draft", "prompt_name"})
"""Options that take a name or a file."""

Parameter = Any
"""An option of a command, as Typer makes it."""


def from_file(option: Parameter, value: object, folder: Path) -> Any:
    """The option's value from TOML. A path is relative to the file's folder. Raises UsageError: what it must be."""
    accepted, what = _KINDS[kind(option)]
    several = option.multiple and isinstance(value, list)
    items = value if several and isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, str) and "\0" in item:
            raise UsageError("must be a text without zero bytes")
        if not accepted(item):
            raise UsageError(f"must be {what}{' or a list of them' if option.multiple else ''}, not {_shown(value)}")
    if kind(option) == "path":
        items = [_path(str(item), folder) for item in items]
    if option.name in MAYBE_FILES:
        items = [_file_or_text(str(item), folder) for item in items]
    return _admitted(option, items if option.multiple else items[0])


def from_text(option: Parameter, text: str) -> Any:
    """The option's value from a variable of the environment. Raises UsageError: what it must be."""
    if kind(option) == "switch":
        if text.strip().lower() not in WORDS:
            raise UsageError(f"must be 1 or 0 (or true, yes, on, false, no, off), not {_shown(text)}")
        return WORDS[text.strip().lower()]
    if kind(option) == "text" and not (text.isascii() or _is_utf8(text) or os.path.exists(text)):
        raise UsageError("must be UTF-8 text")
    if option.multiple:
        return _admitted(option, _several(text))
    number = {"whole number": int, "number": float}.get(kind(option))
    return _admitted(option, text) if number is None else number(_admitted(option, text.strip()))


def kind(option: Parameter) -> str:
    """What sort of value the option has: switch, whole number, number, path or text."""
    return "switch" if getattr(option, "is_flag", False) else _NAMES.get(option.type.name, "text")


def choices(option: Parameter) -> tuple[str, ...]:
    """The values that the option admits, where they are few."""
    if option.type.name != "choice":
        return ()
    return tuple(str(getattr(choice, "value", choice)) for choice in option.type.choices)


def limits(option: Parameter) -> str:
    """The bounds of a number, in words; "" where there are none."""
    if not option.type.name.endswith(" range"):
        return ""
    least, most = option.type.min, option.type.max
    if most is None:
        return f"{least} or more"
    return f"from {least} to {most}" if least is not None else f"{most} or less"


_NAMES = {
    "int": "whole number",
    "int range": "whole number",
    "float": "number",
    "float range": "number",
    "path": "path",
    "file": "path",
    "directory": "path",
}


def _is_utf8(text: str) -> bool:
    """Whether no byte is hidden in it as a lone surrogate, as Python does with what is not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or isinstance(value, float)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_KINDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "switch": (lambda value: isinstance(value, bool), "true or false"),
    "whole number": (_is_whole, "a whole number"),
    "number": (_is_number, "a number"),
    "path": (_is_text, "the name of a file, in quotes"),
    "text": (_is_text, "a text in quotes"),
}


def _admitted(option: Parameter, value: Any) -> Any:
    """The value, if the option's own conversion takes it: ranges and choices are checked there."""
    try:
        option.type_cast_value(None, value)
    except typer.BadParameter as error:
        raise UsageError(f"must be {_wanted(option)}, not {_shown(value)}{_nearest(option, value)}") from error
    return value


def _wanted(option: Parameter) -> str:
    if several := choices(option):
        return f"one of {', '.join(several)}"
    return " ".join(part for part in (_KINDS[kind(option)][1], limits(option)) if part)


def _nearest(option: Parameter, value: Any) -> str:
    close = difflib.get_close_matches(str(value), choices(option), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _several(text: str) -> list[str]:
    """One text, or those of a JSON list."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return [text]
        if all(isinstance(item, str) for item in found):
            return list(found)
    return [text]


def _path(name: str, folder: Path) -> str:
    return name if name == "-" else str(folder / os.path.expanduser(name))


def _file_or_text(text: str, folder: Path) -> str:
    """The path of a file beside the one that names it, where there is one that is called so; else the text."""
    path = folder / os.path.expanduser(text)
    try:
        is_file = ("." in text or os.sep in text) and path.is_file()
    except OSError:  # Jinja, too long for a name
        is_file = False
    return str(path) if is_file else text


def _shown(value: object) -> str:
    """The value as TOML writes it, as near as JSON comes."""
    return json.dumps(value, ensure_ascii=False, default=str)
