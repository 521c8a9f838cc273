"""The settings that count for one command, read when the first option asks for its default.

So --help reads no file, and a broken one does not keep it from being shown.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from llamachat.cli.settings.sources import (
    LEVELS,
    UNSETTABLE,
    Found,
    Setting,
    gather,
    gather_of_prompt,
    setting_name,
)
from llamachat.errors import UsageError

LENIENT = frozenset({"completion", "config", "doctor"})
"""Commands that help where the settings are broken, and so do without them then."""

PROMPT_NAME = "prompt_name"
"""The parameter of a prompt of the library, whose head has settings, too."""

CHECK = "llamachat.check"
"""The entry of a context's `meta` that says: make the groups of options, and do not run the command."""


class Defaults:
    """Defaults by parameter, as Typer's `default_map` asks for them."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def get(self, parameter: str, otherwise: Any = None) -> Any:
        """The value that was given before the command's name, or is set."""
        above = self._context.parent
        if above is not None and _was_given(above, parameter):
            return above.params[parameter]
        if parameter in UNSETTABLE or parameter not in self._chosen:
            return otherwise
        return self._chosen[parameter][1]

    @property
    def found(self) -> list[Found]:
        """The settings that count for the command, the nearest first."""
        settings = [(parameter, setting) for parameter, (setting, _) in self._chosen.items()]
        settings.sort(key=lambda one: LEVELS.index(one[1].level))
        return [Found(*one) for one in settings]

    @cached_property
    def _chosen(self) -> dict[str, tuple[Setting, Any]]:
        """The nearest setting that the command takes, by parameter, with the option's value."""
        chosen: dict[str, tuple[Setting, Any]] = {}
        gathered = self._gathered()
        for option in self._context.command.params:
            name = setting_name(option)
            for setting in gathered:
                if setting.name == name and option.name not in chosen:
                    with suppress(UsageError):  # a value for other commands' option of this name
                        chosen[option.name] = setting, setting.value_for(option)
        return chosen

    def _gathered(self) -> list[Setting]:
        above = self._context.parent
        if above is None:
            return []
        try:
            settings = gather(above.command.commands.values(), profile_of(self._context))
            return sorted([*settings, *self._of_prompt(settings)], key=lambda one: LEVELS.index(one.level))
        except UsageError:
            if self._context.command.name in LENIENT:
                return []
            raise

    def _of_prompt(self, settings: Sequence[Setting]) -> list[Setting]:
        """What the head of the chosen prompt sets, where the command can have one."""
        command = self._context.command
        options = [option for option in command.params if option.name == PROMPT_NAME]
        chosen = [one for option in options for one in settings if one.name == setting_name(option)]
        given = self._context.params.get(PROMPT_NAME)
        if not options or (given is None and not chosen):
            return []
        from llamachat.cli.prompt_library.reading import open_prompt  # what other commands do without

        if given is not None:
            return gather_of_prompt(command, open_prompt(given).settings)
        try:
            prompt = open_prompt(chosen[0].value_for(options[0]))
        except UsageError as error:
            raise UsageError(f"{chosen[0].place}: {error}") from error
        return gather_of_prompt(command, prompt.settings)


def _was_given(context: Any, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def profile_of(context: Any) -> str | None:
    """The profile that the command line asks for, before the command's name or behind it."""
    for one in (context, context.parent):
        if (name := one.params.get("profile")) is not None:
            return str(name)
    return None
