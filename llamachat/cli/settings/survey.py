"""All settings at once: what each is, and where that comes from."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.cli.guide import GUIDE
from llamachat.cli.help import entry
from llamachat.cli.settings.defaults import CHECK, profile_of
from llamachat.cli.settings.sources import Setting, checked, gather, known_settings, setting_name
from llamachat.cli.settings.values import Parameter, kind
from llamachat.terminal.columns import padded


@dataclass(frozen=True)
class Surveyed:
    """A setting: its option, the heading of that, where it is set (None: nowhere), and the value in effect.

    value: None where nothing is set and the default is found out later.
    """

    option: Parameter
    heading: str
    setting: Setting | None
    value: Any


def survey(context: Any) -> list[Surveyed]:
    """Every setting of every command. Raises UsageError with the place of what is wrong, for any command."""
    program = context.parent
    commands, profile = program.command.commands, profile_of(context)
    settings = gather(commands.values(), profile)
    arguments = [] if profile is None else ["--profile", profile]
    for name, command in commands.items():
        if not any(parameter.required for parameter in command.params):
            trial = command.make_context(name, arguments, parent=program)
            trial.meta[CHECK] = True
            command.invoke(trial)
    return _surveyed(commands, settings)


def built_in(context: Any) -> list[Surveyed]:
    """Every setting as it is where nothing is set."""
    return _surveyed(context.parent.command.commands, [])


def records(found: Sequence[Surveyed]) -> list[dict[str, Any]]:
    """The settings for programs: name, value, origin (default, config, profile or environment) and place."""
    return [
        {
            "name": setting_name(one.option),
            "value": one.value,
            "origin": one.setting.level if one.setting is not None else "default",
            "place": one.setting.place if one.setting is not None else None,
        }
        for one in found
    ]


def toml_lines(found: Sequence[Surveyed], origin: bool) -> Iterator[str]:
    """The settings as a configuration file; what is built in is a comment. origin: with the place behind each."""
    heading = None
    for one in found:
        if one.heading != heading:
            heading = one.heading
            yield from ["", f"# {heading}"]
        line = _toml(one)
        if origin:
            line = f"{padded(line, 32)}  # {one.setting.place if one.setting is not None else 'built in'}"
        yield line


def _toml(one: Surveyed) -> str:
    name, value = setting_name(one.option), one.value
    if value is None or value == ():
        otherwise = entry(one.option).default
        return f"# {name} is not set" + (f": {otherwise}" if otherwise else "")
    line = f"{name} = {json.dumps(value, ensure_ascii=False)}"
    return line if one.setting is not None else f"# {line}"


def _surveyed(commands: Any, settings: Sequence[Setting]) -> list[Surveyed]:
    """Every option once, in the order of their headings."""
    nearest = {setting.name: setting for setting in reversed(settings)}
    known = known_settings(commands.values())
    found: dict[str, Surveyed] = {}
    for command_name in [*(name for name in GUIDE if name in commands), *commands]:
        for option in commands[command_name].params:
            name = setting_name(option)
            if name in found or option not in known.get(name, ()):
                continue
            heading = option.rich_help_panel or f"llamachat {command_name}"
            setting = nearest.get(name)
            value = _built_in(option) if setting is None else checked(setting, known)
            found[name] = Surveyed(option, heading, setting, value)
    headings = list(dict.fromkeys(one.heading for one in found.values()))
    return sorted(found.values(), key=lambda one: headings.index(one.heading))


def _built_in(option: Parameter) -> Any:
    """The default; a number that only the help knows is read there."""
    default = getattr(option.default, "value", option.default)
    sort, said = kind(option), entry(option).default
    if sort == "switch":
        return bool(default)
    if default is None and sort in ("whole number", "number") and re.fullmatch(r"-?\d+(\.\d+)?", said):
        return int(said) if sort == "whole number" else float(said)
    return default
