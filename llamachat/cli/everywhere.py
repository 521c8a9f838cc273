"""The options of every command."""

from dataclasses import dataclass
from typing import Annotated

from typer import Option

from llamachat.terminal.asking import never_ask
from llamachat.terminal.colour import When, choose_colour

Profile = Annotated[
    str | None,
    Option("--profile", metavar="NAME", is_eager=True, help="Use the settings of [profile.NAME] in the "
               "configuration file (`llamachat config`)."),
]  # fmt: skip
Color = Annotated[
    When,
    Option("--color", metavar="WHEN", help="auto, always or never; auto respects NO_COLOR, CLICOLOR_FORCE and "
               "TERM. --no-color is the same as never."),
]  # fmt: skip
Offline = Annotated[bool, Option("--offline", help="Download nothing; a missing model is an error.")]
NoInput = Annotated[
    bool, Option("--no-input", help="Never ask; a question is an error (exit code 2) that names the option to use.")
]


@dataclass(frozen=True)
class Everywhere:
    """Which profile counts, whether there is colour, and whether a person may be asked."""

    profile: Profile = None
    color: Color = "auto"
    no_input: NoInput = False
    offline: Offline = False

    def apply(self) -> None:
        """Lets the rest of the program know."""
        choose_colour(self.color)
        if self.no_input:
            never_ask()
        if self.offline:
            from llamachat.catalog.offline import stay_offline  # what other command lines do without

            stay_offline()
