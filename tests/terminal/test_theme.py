"""How the roles of a chat look, in every theme."""

import re

import pytest

from llamachat.errors import UsageError
from llamachat.terminal import colour, theme
from llamachat.terminal.theme import COLOURS, PLAIN, choose_theme, colour_parameters, look, painted, theme_name

COLOUR = re.compile(r"(?<![0-9])(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|38;.*|48;.*)(?![0-9])")


@pytest.fixture(autouse=True)
def own_theme(monkeypatch):
    """A terminal with colours, whose background nobody tells."""
    for name in ("NO_COLOR", "COLORFGBG", "CLICOLOR_FORCE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(theme, "_theme", "auto")
    monkeypatch.setattr(theme, "_prompt", None)
    monkeypatch.setattr(colour, "_chosen", "auto")


ROLES = sorted({*PLAIN, *(role for one in COLOURS.values() for role in one)})


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("role", ROLES)
def test_no_role_is_bright_black_or_any_bright_colour(name, role):
    choose_theme(name)
    assert not re.search(r"\b9[0-7]\b|\b10[0-7]\b", look(role))


@pytest.mark.parametrize("role", ROLES)
def test_no_theme_and_no_color_keep_attributes_and_no_colour(monkeypatch, role):
    choose_theme("none", "red")
    assert not COLOUR.search(look(role).removeprefix("\x1b["))
    choose_theme("dark", "red")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLOUR.search(look(role).removeprefix("\x1b["))
    assert look("quiet") == "\x1b[2m"
    assert look("prompt") == look("strong") == "\x1b[1m"


def test_a_light_theme_has_no_yellow():
    assert not any("33" in parameters for parameters in [*COLOURS["light"].values(), *COLOURS["auto"].values()])


@pytest.mark.parametrize(
    ("told", "name"), [("15;0", "dark"), ("0;15", "light"), ("0;default;15", "light"), ("x", "auto")]
)
def test_auto_takes_the_background_that_the_terminal_tells(monkeypatch, told, name):
    monkeypatch.setenv("COLORFGBG", told)
    assert theme_name() == name
    choose_theme("light")
    assert theme_name() == "light"


@pytest.mark.parametrize(
    ("name", "begun"),
    [("red", "\x1b[1;31m"), ("bright-blue", "\x1b[1;94m"), ("#0a64ff", "\x1b[1;38;2;10;100;255m"), ("none", "\x1b[1m")],
)
def test_the_prompt_takes_the_colour_that_a_setting_gives(name, begun):
    choose_theme("dark", name)
    assert painted("> ", "prompt") == f"{begun}> \x1b[0m"


@pytest.mark.parametrize("name", ["", "purple", "bright-", "#12345", "bright-none", "31"])
def test_an_unknown_colour_is_refused_with_what_there_is(name):
    with pytest.raises(UsageError, match=r"black, red, .*bright-blue, #RRGGBB, or none"):
        colour_parameters(name)
