"""How the parts of a chat look, by role: a sequence of the terminal for each, chosen once.

No meaning hangs on a colour, and none on bright black, which some themes paint like the background: what is quiet is
dim. Bright colours are not used at all, because Solarized has its greys there; light themes do without yellow.
"""

import os
import re
from collections.abc import Mapping
from typing import Literal

from llamachat.errors import UsageError
from llamachat.terminal.colour import wants_colour

ThemeName = Literal["auto", "light", "dark", "none"]

RESET = "\x1b[0m"

PLAIN = {
    "prompt": "1",
    "quiet": "2",
    "strong": "1",
    "emphasis": "3",
    "struck": "9",
    "title": "1;4",
    "heading": "1",
    "subheading": "3",
    "quote": "3",
    "link": "4",
    "comment": "2",
    "keyword": "1",
}
"""What every theme has: attributes, which stay where colours do not."""

COLOURS: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "auto": {
        "prompt": "1;36",
        "code": "36",
        "keyword": "35",
        "name": "36",
        "text": "32",
        "number": "35",
        "wrong": "31",
        "given": "35",
        "typed": "1;32",
    },
    "dark": {
        "prompt": "1;32",
        "code": "36",
        "keyword": "35",
        "name": "36",
        "text": "32",
        "number": "33",
        "wrong": "31",
        "given": "33",
        "typed": "1;32",
    },
    "light": {
        "prompt": "1;34",
        "code": "34",
        "keyword": "35",
        "name": "34",
        "text": "31",
        "number": "35",
        "wrong": "31",
        "given": "35",
        "typed": "1;34",
    },
}
"""SGR parameters (ECMA-48, section 8.3.117) of each theme. given, typed: the two voices of `interactive --color`."""

NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_EXACT = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
_LIGHT_BACKGROUNDS = frozenset({"7", "15"})

_theme: ThemeName = "auto"
_prompt: str | None = None


def choose_theme(theme: ThemeName, prompt_colour: str | None = None) -> None:
    """What --theme and --prompt-color say, for the rest of the process. Raises UsageError as `colour_parameters`."""
    global _theme, _prompt
    _theme, _prompt = theme, None if prompt_colour is None else colour_parameters(prompt_colour)


def look(role: str) -> str:
    """The sequence that begins a role on the terminal; "" where it looks like any other text."""
    parameters = _parameters(role)
    return f"\x1b[{parameters}m" if parameters else ""


def painted(text: str, role: str) -> str:
    """The text in the look of a role."""
    begun = look(role)
    return f"{begun}{text}{RESET}" if begun and text else text


def has_colours() -> bool:
    """Whether anything is in colour; else attributes and signs must do."""
    return _theme != "none" and wants_colour(True)


def theme_name() -> ThemeName:
    """The theme that counts: "none" without colours; auto takes the background that COLORFGBG tells of, if it does."""
    if not has_colours():
        return "none"
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    if _theme != "auto" or not background.isdecimal():
        return _theme
    return "light" if background in _LIGHT_BACKGROUNDS else "dark"


def colour_parameters(name: str) -> str:
    """The SGR parameters of a colour: a name, one with "bright-" before it, #RRGGBB, or none ("").

    Raises UsageError for anything else.
    """
    if name == "none":
        return ""
    if exact := _EXACT.fullmatch(name):
        return "38;2;" + ";".join(str(int(part, 16)) for part in exact.groups())
    plain = name.removeprefix("bright-")
    if plain not in NAMES:
        raise UsageError(
            f"unknown colour {name!r}: give {', '.join(NAMES)}, one of them as in bright-blue, #RRGGBB, or none"
        )
    return str((30 if plain == name else 90) + NAMES.index(plain))


def _parameters(role: str) -> str:
    name = theme_name()
    if role == "prompt" and _prompt is not None and name != "none":
        return f"1;{_prompt}" if _prompt else "1"
    return COLOURS[name].get(role) or PLAIN.get(role, "")
