"""Groups of options: a dataclass whose fields are options is one parameter of a command.

A command says `def run(model: ModelChoice, sampling: SamplingChoice, ...)`; Typer sees every field of the groups as
an option of its own. So an option that several commands share is declared once, and no command has thirty parameters.
"""

import copy
import inspect
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import wraps
from typing import Annotated, Any, Protocol, get_args, get_origin, runtime_checkable

from typer import Context, Option
from typer.models import OptionInfo

from llamachat.cli.guide import panel
from llamachat.cli.settings.command import REMARKS
from llamachat.cli.settings.defaults import CHECK, Defaults
from llamachat.cli.settings.sources import LEVELS, Found, setting_name
from llamachat.errors import UsageError
from llamachat.relations import RELATIONS, Origin, Relation, agreed, option_of

METAVARS: dict[Any, str] = {int: "N", float: "X"}
"""What a number is called in --help."""

CONTEXT = "context"
Values = Mapping[str, Any]

_SWITCH = re.compile(r"^--(?!no-)([^/]+)$")


@runtime_checkable
class ChecksTyped(Protocol):
    """A group with words that may be meant otherwise when they are typed."""

    def check_typed(self, names: Collection[str]) -> None:
        """Raises UsageError for what is meant otherwise; `names` are the parameters that the command line gives."""
        ...


def typed(context: Context) -> frozenset[str]:
    """The parameters that the command line itself gives."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")


def options_by_name(context: Context) -> dict[str, str]:
    """The long name of each option of a command by all of its names, without hyphens before and with `_` within."""
    found: dict[str, str] = {}
    for option in context.command.params:
        names = [name for name in (*option.opts, *option.secondary_opts) if name.startswith("-")]
        own = next((name for name in names if name.startswith("--")), "".join(names[:1]))
        found |= {name.lstrip("-").replace("-", "_"): own for name in names}
    return found


def flattened(
    command: Callable[..., Any], also: Any = None, relations: Sequence[Relation] = RELATIONS
) -> Callable[..., Any]:
    """The command with each group of options replaced by the group's fields, as keyword parameters for Typer.

    also: a group of more options, whose `apply` is called before the command. Where the command has a switch of the
    same name as one of them, the option of `also` is taken, and the switch is on if it was given. relations: which
    options exclude or need one another.
    """
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: p.annotation for name, p in signature.parameters.items() if is_dataclass(p.annotation)
    }

    @wraps(command)
    def call(**values: Any) -> Any:
        context = values.get(CONTEXT)
        found = _settings_of(context)
        if context is not None:
            values |= _agreed(context, (values, usual), found, relations)
        with _with_places(context, found):
            if also is not None:
                _built(also, values, found).apply()
                values |= {name: context is not None and _is_on(context, name) for name in shared}
            for name, group in groups.items():
                values[name] = _built(group, values, found)
                if context is not None and isinstance(values[name], ChecksTyped):
                    values[name].check_typed(typed(context))
            if context is not None and context.meta.get(CHECK):
                return None
            if context is not None and not values.get("quiet"):
                _tell(context.meta.get(REMARKS, ()))
            return command(**{name: values[name] for name in signature.parameters})

    more = {item.name: item for item in _options(also)} if also is not None else {}
    parameters = {made.name: made for p in signature.parameters.values() for made in _parameters(p)}
    shared = parameters.keys() & more.keys()
    parameters |= {name: _parameter(also, item) for name, item in more.items()}
    usual = {name: one.default for name, one in parameters.items()}
    ordered = sorted(parameters.values(), key=lambda p: p.default is not inspect.Parameter.empty)
    if also is not None and CONTEXT not in signature.parameters:
        ordered.insert(0, inspect.Parameter(CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=Context))
    call.__annotations__ = {}
    vars(call)["__signature__"] = inspect.Signature(ordered)
    return call


def _settings_of(context: Context | None) -> list[Found]:
    """The settings that count where the command line says nothing."""
    defaults: Any = context.default_map if context is not None else None
    if context is None or not isinstance(defaults, Defaults):
        return []
    given = typed(context)
    return [one for one in defaults.found if one.parameter not in given]


def _agreed(
    context: Context, given: tuple[Values, Values], found: list[Found], relations: Sequence[Relation]
) -> dict[str, Any]:
    """The defaults of the settings that do not go with the rest, which are taken out of `found`.

    given: all values of parameters, and their defaults.
    """
    values, usual = given
    names = {str(one.name): _setting_name(one) for one in context.command.params if one.name in values}
    settings = {setting: values[name] for name, setting in names.items()}
    defaults = {setting: usual[name] for name, setting in names.items()}
    origins = {
        names[one.parameter]: Origin(1 + LEVELS.index(one.setting.level), one.setting.place)
        for one in found
        if one.parameter in names
    }
    kept = agreed(settings, defaults, origins, {names[name] for name in typed(context) if name in names}, relations)
    dropped = {name for name, setting in names.items() if kept[setting] is not settings[setting]}
    found[:] = [one for one in found if one.parameter not in dropped]
    return {name: kept[names[name]] for name in dropped}


def _setting_name(parameter: Any) -> str:
    return setting_name(parameter) if parameter.param_type_name == "option" else str(parameter.name)


@contextmanager
def _with_places(context: Context | None, found: Sequence[Found]) -> Iterator[None]:
    """An error that begins with an option, or knows its setting, is said with the setting's place."""
    try:
        yield
    except UsageError as error:
        first = re.split(r"[\s:]", str(error), maxsplit=1)[0]
        names = {one.name: (*one.opts, _setting_name(one)) for one in context.command.params} if context else {}
        about = {first, *error.settings}
        place = next((one.setting.place for one in found if about & {*names.get(one.parameter, ())}), "")
        if place and not str(error).startswith(place):
            error.args = (f"{place}: {error}", *error.args[1:])
        raise


def _tell(remarks: Sequence[str]) -> None:
    """Says on standard error what was understood, but changes nothing."""
    from llamachat.terminal.output import note

    for remark in remarks:
        note(remark)


def _is_on(context: Context, name: str) -> bool:
    """Whether a switch is on that --color is, too: a setting that leaves it to the terminal does not ask for it."""
    value = context.params[name]
    return value == "always" or (value != "never" and name in typed(context))


def _built(group: Any, values: Mapping[str, Any], found: list[Found]) -> Any:
    """The group from the values of all options. One with a field `places` learns where its settings were made."""
    own = {item.name: values[item.name] for item in _options(group)}
    made = _made(group, own)
    here = {one.parameter: one.setting.place for one in found if one.parameter in own}
    return replace(made, places=here) if here and "places" in {item.name for item in fields(group)} else made


def _made(group: Any, values: Mapping[str, Any]) -> Any:
    """The group from what was given. One with a field `given` learns which of its options were; None is not given."""
    names = {item.name for item in fields(group)}
    if "given" not in names:
        return group(**values)
    given = {name: value for name, value in values.items() if value is not None}
    return group(**given, given=frozenset(given))


def _parameters(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    """The parameter itself, or one per option where it is a group."""
    group = parameter.annotation
    if is_dataclass(group):
        yield from (_parameter(group, item) for item in _options(group))
        return
    annotation = _declared(group, None) if get_origin(group) is Annotated else group
    yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


def _parameter(group: Any, item: Field[Any]) -> inspect.Parameter:
    """A field of a group as a parameter."""
    annotation = _declared(_annotation(item), panel(group))
    return inspect.Parameter(
        item.name, inspect.Parameter.KEYWORD_ONLY, default=_default(item), annotation=annotation
    )  # fmt: skip


def _declared(annotation: Any, heading: str | None) -> Any:
    """The annotation, its option under a heading of --help; a switch has its --no- form, which undoes a setting."""
    kind, *metadata = get_args(annotation)
    declared = [copy.copy(one) for one in metadata]
    for option in declared:
        if isinstance(option, OptionInfo):
            option.rich_help_panel = option.rich_help_panel or heading
            if kind in (bool, bool | None) and isinstance(option.default, str):
                option.default = _SWITCH.sub(r"--\1/--no-\1", option.default)
    return Annotated[kind, *declared]


def _options(group: Any) -> list[Field[Any]]:
    """The fields of a group that are options: they carry a Typer option, or their explanation as metadata "help"."""
    return [item for item in fields(group) if "help" in item.metadata or get_origin(item.type) is Annotated]


def _annotation(item: Field[Any]) -> Any:
    if "help" not in item.metadata:
        return item.type
    # None where nothing was given, so that this can be distinguished from a value that equals the default.
    data = item.metadata
    names = [option_of(name) for name in (item.name, *data.get("also", ()))]
    metavar = data.get("metavar") or METAVARS.get(item.type)
    several = not (item.type in (int, float, bool) or data.get("single"))
    single: Any = str if data.get("single") else item.type
    kind: Any = list[str] | None if several else single | None
    bounds = data.get("bounds")
    least, most = (bounds.least, bounds.most) if bounds is not None else (None, math.inf)
    more = " May be given several times." if several else ""
    text = _sentence(data["help"]) + more + _default_text(item)
    limits: dict[str, Any] = {"min": least, "max": None if math.isinf(most) else most}
    return Annotated[kind, Option(*names, metavar=metavar, help=text, show_default=False, **limits)]


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
