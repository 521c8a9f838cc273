"""Groups of options: a dataclass whose fields are options is one parameter of a command.

A command says `def run(model: ModelChoice, sampling: SamplingChoice, ...)`; Typer sees every field of the groups as
an option of its own. So an option that several commands share is declared once, and no command has thirty parameters.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_origin

from typer import Option

METAVARS: dict[Any, str] = {int: "N", float: "X"}
"""What a number is called in --help."""


def flattened(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with each group of options replaced by the group's fields, as keyword parameters for Typer."""
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: p.annotation for name, p in signature.parameters.items() if is_dataclass(p.annotation)
    }

    @wraps(command)
    def call(**values: Any) -> Any:
        for name, group in groups.items():
            values[name] = _made(group, {item.name: values.pop(item.name) for item in _options(group)})
        return command(**values)

    parameters = [made for p in signature.parameters.values() for made in _parameters(p)]
    parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    call.__annotations__ = {}
    vars(call)["__signature__"] = inspect.Signature(parameters)
    return call


def _made(group: Any, values: dict[str, Any]) -> Any:
    """The group from what was given. One with a field `given` learns which of its options were; None is not given."""
    names = {item.name for item in fields(group)}
    if "given" not in names:
        return group(**values)
    given = {name: value for name, value in values.items() if value is not None}
    return group(**given, given=frozenset(given))


def _parameters(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    """The parameter itself, or one per option where it is a group."""
    if not is_dataclass(parameter.annotation):
        yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        return
    for item in _options(parameter.annotation):
        yield inspect.Parameter(
            item.name, inspect.Parameter.KEYWORD_ONLY, default=_default(item), annotation=_annotation(item)
        )


def _options(group: Any) -> list[Field[Any]]:
    """The fields of a group that are options: they carry a Typer option, or their explanation as metadata "help"."""
    return [item for item in fields(group) if "help" in item.metadata or get_origin(item.type) is Annotated]


def _annotation(item: Field[Any]) -> Any:
    if "help" not in item.metadata:
        return item.type
    # None where nothing was given, so that this can be told from a value that equals the default.
    data = item.metadata
    names = [f"--{item.name.replace('_', '-')}", *data.get("also", ())]
    metavar = data.get("metavar") or METAVARS.get(item.type)
    several = not (item.type in (int, float, bool) or data.get("single"))
    single: Any = str if data.get("single") else item.type
    kind: Any = list[str] | None if several else single | None
    more = " May be given several times." if several else ""
    text = _sentence(data["help"]) + more + _default_text(item)
    return Annotated[kind, Option(*names, metavar=metavar, help=text, show_default=False)]


def _default_text(item: Field[Any]) -> str:
    """The default, as it stands in --help."""
    if item.type in (int, float):
        return f" [default: {item.default}]"
    order = item.default if item.metadata.get("single") and isinstance(item.default, tuple) else ()
    return f" [default: {';'.join(order)}]" if order else ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _default(item: Field[Any]) -> object:
    if "help" in item.metadata:
        return None
    return inspect.Parameter.empty if item.default is MISSING else item.default
