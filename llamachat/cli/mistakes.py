"""Typer's errors in the words of this program: the option, what to give, and what was given instead."""

import difflib
import re
from typing import Any

from llamachat.cli.peers import ACTIONS, COMMANDS
from llamachat.cli.settings.values import Parameter, choices, kind, limits

_GIVEN = re.compile(r"^(?P<value>.*?) is not (?:in the range|a valid|one of)\b", re.DOTALL)
_NO_COMMAND = re.compile(r"^No such command '(?P<name>[^']*)'")


def sentence(error: Any) -> str:
    """What is wrong with a command line and what to type, from what Typer raised about it."""
    option = getattr(error, "param", None)
    message = error.format_message()
    if possible := getattr(error, "possibilities", None):
        close = difflib.get_close_matches(error.option_name, possible, 1) or possible
        return f"no such option: {error.option_name}; did you mean {close[0]}?"
    if type(error).__name__ == "MissingParameter" and option is not None:
        return _missing(option, error.ctx)
    if option is not None and (found := _GIVEN.match(error.message)):
        action = (error.ctx.command.name if error.ctx is not None else "", found["value"].strip("'"))
        if name_of(option) == "ACTION" and action in ACTIONS:
            return f"there is no `llamachat {' '.join(action)}`: type `llamachat {ACTIONS[action]}`"
        return f"{name_of(option)}: give {wanted(option, found['value'])}"
    if (found := _NO_COMMAND.match(message)) and found["name"] in COMMANDS:
        return f"no such command '{found['name']}': type `llamachat {COMMANDS[found['name']]}`"
    if hasattr(error, "possibilities") and getattr(error.ctx, "parent", None) is None and error.ctx is not None:
        return f"no such option: {error.option_name}; options stand behind a command, as in `llamachat run ...`"
    if "requires an argument" in message and hasattr(error, "option_name"):
        return f"{error.option_name} needs a value behind it (--help lists what there is)"
    return f"{message[:1].lower()}{message[1:].rstrip('.')} (--help lists what there is)"


def name_of(parameter: Parameter) -> str:
    """What a message calls an option or an argument."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper()).strip("[]")
    return str(next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0]))


def wanted(parameter: Parameter, given: str) -> str:
    """What a parameter takes, in words, and what it was given."""
    shown = given if re.fullmatch(r"-?[\d.]+|'.*'", given, re.DOTALL) else repr(given)
    shown = re.sub(r"^(-?\d+)\.0$", r"\1", shown)
    if several := choices(parameter):
        listed = f"{', '.join(several[:-1])} or {several[-1]}" if len(several) > 1 else several[0]
        close = difflib.get_close_matches(shown.strip("'"), several, 1)
        return f"{listed}, not {shown}{f'; did you mean {close[0]}?' if close else ''}"
    bounds = limits(parameter)
    number = kind(parameter) if kind(parameter) in ("whole number", "number") else "value"
    if not bounds:
        return f"a {number}, not {shown}"
    if number == "whole number" and re.fullmatch(r"-?[\d.]+", shown) and not bounds.startswith("from"):
        return f"{bounds}, not {shown}"
    return f"a {number}{' ' if bounds.startswith('from') else ', '}{bounds}, not {shown}"


def _missing(parameter: Parameter, context: Any) -> str:
    name = name_of(parameter)
    path = context.command_path if context is not None else "llamachat"
    several = choices(parameter)
    listed = f" ({', '.join(several)})" if several else ""
    parameters = [] if context is None else context.command.params
    needed = [name_of(one) for one in parameters if one.required and one.param_type_name == "argument"]
    return f"missing {name}{listed}: {' '.join([path, *needed, *([] if name in needed else [name])])}"
