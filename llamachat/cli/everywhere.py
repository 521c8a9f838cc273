"""The options of every command."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated, get_args

from typer import Option

from llamachat.terminal.colour import When, choose_colour

Profile = Annotated[
    str | None,
    Option("--profile", metavar="NAME", is_eager=True, help="Use the settings of [profile.NAME] in the configuration "
           "file (`llamachat config`)."),
]  # fmt: skip
Color = Annotated[
    When,
    Option("--color", metavar="WHEN", help="auto, always or never; auto obeys NO_COLOR, CLICOLOR_FORCE and TERM. "
           "--no-color is never."),
]  # fmt: skip


@dataclass(frozen=True)
class Everywhere:
    """Which profile counts, and whether there is colour."""

    profile: Profile = None
    color: Color = "auto"

    def apply(self) -> None:
        """Lets the rest of the program know."""
        choose_colour(self.color)


def with_colour(words: Sequence[str]) -> Iterator[str]:
    """The words with a value for every --color: alone it means auto, and --no-color is `--color=never`."""
    ended = False
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        ended = ended or word == "--"
        if word == "--no-color" and not ended:
            yield "--color=never"
        elif word == "--color" and not ended and following not in get_args(When):
            yield "--color=auto"
        else:
            yield word
