"""What the environment, the chosen profile and the configuration file set, nearest first, each with its place."""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.cli.settings.file import ConfigFile, config_path, read_config
from llamachat.cli.settings.values import Parameter, from_file, from_text
from llamachat.cli.settings.variables import PREFIX, VARIABLES, variable
from llamachat.errors import UsageError

ENVIRONMENT, PROMPT, PROFILE, CONFIG = "environment", "prompt", "profile", "config"
LEVELS = (ENVIRONMENT, PROMPT, PROFILE, CONFIG)
"""Where a setting may come from, the nearest first; the command line is nearer than all."""

UNSETTABLE = frozenset({"base", "debug", "help", "profile", "var", "version", "yes"})
"""Options of the moment, which no file can set; whoever agrees to something, agrees to it on the command line.

base: of `convert-lora`; in a profile the word names another profile (`BASE`).
"""

OUTSIDE_PROMPTS = frozenset({"dry_run", "file", "prompt", "prompts", "text"})
"""Settings that the head of a prompt cannot make: they say which prompt it is, and what is done with it."""

BASE = "base"
"""The key of a profile that names the one it builds on."""

LISTED = " (`llamachat config show` lists all)"

Known = Mapping[str, Sequence[Parameter]]
"""The options that can be set, by their settings' names; several commands may have one each."""


@dataclass(frozen=True)
class Setting:
    """A value that was found. `keys`: where in the file; it has none in the environment."""

    name: str
    raw: Any
    level: str
    file: ConfigFile | None = None
    keys: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The variable, or the file and the line."""
        return variable(self.name) if self.file is None else self.file.place(*self.keys)

    def value_for(self, option: Parameter) -> Any:
        """The value for a command's option. Raises UsageError with the place where it is none."""
        try:
            if self.file is None:
                return from_text(option, self.raw)
            return from_file(option, self.raw, self.file.path.parent)
        except UsageError as error:
            raise UsageError(f"{self.place}: {self.name} {error}") from error


@dataclass(frozen=True)
class Found:
    """A setting that counts for a command, and its parameter there."""

    parameter: str
    setting: Setting


def setting_name(option: Parameter) -> str:
    """The name of an option as a setting: its first long name, with underscores."""
    long = [spelled for spelled in option.opts if spelled.startswith("--")]
    return long[0].lstrip("-").replace("-", "_") if long else str(option.name)


def known_settings(commands: Iterable[Any]) -> dict[str, list[Parameter]]:
    """Every option of the commands by its setting's name."""
    known: dict[str, list[Parameter]] = {}
    for command in commands:
        for option in command.params:
            if option.param_type_name == "option" and option.name not in UNSETTABLE:
                known.setdefault(setting_name(option), []).append(option)
    return known


def gather(commands: Iterable[Any], profile: str | None) -> list[Setting]:
    """Everything that is set for commands, the nearest level first. Raises UsageError with file and line, or variable.

    Unknown names and values that no command takes are refused, in profiles that were not chosen, too.
    """
    names = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in VARIABLES)
    file = read_config()
    chosen = profile or os.environ.get(f"{PREFIX}PROFILE") or None
    if file is None and chosen is not None:
        raise UsageError(f"there is no profile {chosen}: {config_path()} does not exist (`llamachat config edit`)")
    if file is None and not names:
        return []  # and the commands need not be looked at
    known = known_settings(commands)
    variables = list(_of_environment(known, names))
    if file is None:
        return variables
    own = {name: list(_of_table(known, file, PROFILE, "profile", name)) for name in file.profiles}
    profiles = {name: [one for base in based_on(file, name) for one in own[base]] for name in own}
    if chosen is not None and chosen not in profiles:
        raise UsageError(f"there is no [profile.{chosen}] in {file.path}{_nearest(chosen, profiles)}")
    return [*variables, *(profiles[chosen] if chosen is not None else ()), *_of_table(known, file, CONFIG)]


def based_on(file: ConfigFile, profile: str) -> list[str]:
    """A profile and those that it builds on, the nearest first. Raises UsageError with the line of a wrong `base`."""
    found, profiles = [profile], file.profiles
    while BASE in profiles[found[-1]]:
        base, place = profiles[found[-1]][BASE], file.place("profile", found[-1], BASE)
        if not isinstance(base, str):
            raise UsageError(f"{place}: {BASE} must be the name of a profile, in quotes")
        if base not in profiles:
            raise UsageError(f"{place}: there is no [profile.{base}] to build on{_nearest(base, profiles)}")
        if base in found:
            raise UsageError(f"{place}: the profile {base} builds on itself ({', '.join([*found, base])})")
        found.append(base)
    return found


def _misplaced(key: str, table: Mapping[str, Any], above: Sequence[str]) -> str:
    """What is said of a table that is no profile."""
    if above:
        return f'a profile has settings and no tables: write [profile.{key}] by itself, and {BASE} = "{key}" here'
    inner = next((name for name, value in table.items() if isinstance(value, Mapping)), None)
    written, meant = (f"{key}.{inner}", inner) if inner is not None else (key, key)
    return f"[{written}] is no table of settings; did you mean [profile.{meant}]?"


def gather_of_prompt(command: Any, head: ConfigFile) -> list[Setting]:
    """What the head of a prompt sets for a command. Raises UsageError with file and line."""
    known = {name: options for name, options in known_settings([command]).items() if name not in OUTSIDE_PROMPTS}
    if "profile" in head.table:
        raise UsageError(f"{head.place('profile')}: a prompt cannot choose a profile")
    return list(_of_table(known, head, PROMPT))


def _of_environment(known: Known, names: Iterable[str]) -> Iterator[Setting]:
    for name in names:
        setting = Setting(name.removeprefix(PREFIX).lower(), os.environ[name], ENVIRONMENT)
        if setting.name not in known or name != variable(setting.name):
            near = _nearest(name.upper(), [*VARIABLES, *map(variable, known)]) or LISTED
            raise UsageError(f"{name}: no option has this variable{near}")
        if setting.raw:
            checked(setting, known)
            yield setting


def _of_table(known: Known, file: ConfigFile, level: str, *above: str) -> Iterator[Setting]:
    """The settings of a table of the file, which lies below the keys `above`."""
    table: Mapping[str, Any] = file.table
    for key in above:
        table = table[key]
    seen: dict[str, str] = {}
    for key, value in table.items():
        if key == (BASE if above else "profile"):
            continue
        name = key.replace("-", "_")
        setting = Setting(name, value, level, file, (*above, key))
        if isinstance(value, Mapping) and name not in known:
            raise UsageError(f"{setting.place}: {_misplaced(key, value, above)}")
        if name not in known:
            near = _nearest(name, known) or LISTED
            raise UsageError(f"{setting.place}: no setting is called {key}{near}")
        if name in seen:
            raise UsageError(f"{setting.place}: {key} is {seen[name]}, which is set already")
        seen[name] = key
        checked(setting, known)
        yield setting


def checked(setting: Setting, known: Known) -> Any:
    """The value, for the first option that takes it. Raises UsageError with the place where there is none."""
    wrong: UsageError | None = None
    for option in known[setting.name]:
        try:
            return setting.value_for(option)
        except UsageError as error:
            wrong = wrong or error
    assert wrong is not None
    raise wrong


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {close[0]}?" if close else ""
