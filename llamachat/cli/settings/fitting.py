"""A group of options out of the command line and the settings.

A setting that is wrong is refused with its place. One that is right, but does not go with the command line (the file
says `json = true`, the command line --grammar), gives way to it, as it does to settings that are nearer.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from llamachat.cli.settings.sources import LEVELS, Setting
from llamachat.errors import UsageError

Values = Mapping[str, Any]
Make = Callable[[Values], Any]

DEPENDENT = frozenset(
    {
        "logprobs",
        "lookup_cache_static",
        "prompt_cache_all",
        "prompt_cache_ro",
        "prompt_cache_type",
        "system",
        "system_file",
    }
)
"""Settings that mean nothing without another option, and wait for it."""


@dataclass(frozen=True)
class Found:
    """A setting that counts for a command, and its parameter there."""

    parameter: str
    setting: Setting


def fitting(make: Make, values: Values, defaults: Values, found: Sequence[Found]) -> Any:
    """What `make` makes of the values, less the settings that do not go with nearer ones.

    values, defaults: by parameter; `found`: which of the values are settings, the nearest first. Raises UsageError,
    with the place where a setting is wrong.
    """
    try:
        return make(values)
    except UsageError:
        if not found:
            raise
    independent = [(one, values[one.parameter]) for one in found if one.setting.name not in DEPENDENT]
    for level in LEVELS:
        _check(make, defaults, independent, level)
    kept = {**values, **{one.parameter: defaults[one.parameter] for one in found}}
    made = make(kept)
    for one in sorted(found, key=lambda one: one.setting.name in DEPENDENT):
        tried = {**kept, one.parameter: values[one.parameter]}
        with suppress(UsageError):
            made = make(tried)
            kept = tried
    return made


def _check(make: Make, defaults: Values, settings: Sequence[tuple[Found, Any]], level: str) -> None:
    """Raises UsageError where the settings of a level are wrong, by themselves and with those farther away."""
    farther = LEVELS[LEVELS.index(level) :]
    here = {one.parameter: value for one, value in settings if one.setting.level == level}
    if not here or _makes(make, {**defaults, **here}):
        return
    if _makes(make, {**defaults, **{one.parameter: v for one, v in settings if one.setting.level in farther}}):
        return
    own = [one for one, _ in settings if one.parameter in here]
    for one in own:
        _refuse(make, {**defaults, one.parameter: here[one.parameter]}, one.setting.place)
    _refuse(make, {**defaults, **here}, " and ".join(one.setting.place for one in own))


def _makes(make: Make, values: Values) -> bool:
    try:
        make(values)
    except UsageError:
        return False
    return True


def _refuse(make: Make, values: Values, place: str) -> None:
    try:
        make(values)
    except UsageError as error:
        raise error.at(place) from error
