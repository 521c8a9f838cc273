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

SHORT = {"seed": ("-s",)}
"""Short names for fields that the engine declares."""

METAVARS: dict[Any, str] = {int: "N", float: "X"}


def flattened(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with each group of options replaced by the group's fields, as keyword parameters for Typer."""
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: p.annotation for name, p in signature.parameters.items() if is_dataclass(p.annotation)
    }

    @wraps(command)
    def call(**values: Any) -> Any:
        for name, group in groups.items():
            values[name] = group(**{item.name: values.pop(item.name) for item in _options(group)})
        return command(**values)

    parameters = [made for p in signature.parameters.values() for made in _parameters(p)]
    parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    call.__annotations__ = {}
    vars(call)["__signature__"] = inspect.Signature(parameters)
    return call


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
    names = [f"--{item.name.replace('_', '-')}", *SHORT.get(item.name, ())]
    return Annotated[item.type, Option(*names, metavar=METAVARS.get(item.type), help=_sentence(item.metadata["help"]))]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _default(item: Field[Any]) -> object:
    return inspect.Parameter.empty if item.default is MISSING else item.default
