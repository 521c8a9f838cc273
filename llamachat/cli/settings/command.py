"""A command whose options may be set elsewhere than on the command line, and whose help stands in panels."""

import sys
from typing import Any

from typer.core import TyperCommand

from llamachat.cli.adapters import joined
from llamachat.cli.help import HELP_ALL, page, short_page, with_bold_headings
from llamachat.cli.peers import translated
from llamachat.cli.settings.defaults import Defaults
from llamachat.cli.words import asks_for, check_given_once, spelled_out
from llamachat.errors import UsageError

REMARKS = "llamachat.remarks"
"""The entry of a context's `meta` with what a person should know of the words of the command line."""

PROMPTS = ("message", "positional")
"""Arguments that are a text."""


def shown(text: str) -> str:
    """The help as standard output gets it: headings are bold on a terminal with colours."""
    from llamachat.terminal.colour import wants_colour

    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return with_bold_headings(text) if wants_colour(is_terminal) else text


def print_help(text: str) -> None:
    """Writes it."""
    from llamachat.terminal.output import write

    write(shown(text))


class SettingsCommand(TyperCommand):
    """A command that asks the settings for what its command line does not say."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command line, with the settings as defaults. Raises UsageError for an argument too many."""
        ctx.default_map, ctx.allow_extra_args = Defaults(ctx), True
        words, ctx.meta[REMARKS] = translated(joined(args, self), self)
        words = list(spelled_out(words, self))
        if asks_for(HELP_ALL, words, self):
            print_help(page(self, ctx.command_path))
            ctx.exit()
        check_given_once(words, self)
        rest = super().parse_args(ctx, words)
        if rest and not ctx.resilient_parsing:
            raise UsageError(f"unexpected argument {rest[0]}{self._meant_by(ctx, rest[0])}")
        return rest

    def _meant_by(self, ctx: Any, extra: str) -> str:
        """What was meant by an argument too many: a model, or a prompt without quotes."""
        from llamachat.cli.model_words import is_model  # what a right command line does without

        arguments = [one for one in self.params if one.param_type_name == "argument"]
        first = [str(ctx.params[one.name]) for one in arguments if ctx.params.get(one.name)]
        if any(parameter.name == "model" for parameter in self.params):
            for word in (*first, extra):
                if is_model(word):
                    return f": a model is given as -m {word}"
        if any(one.name in PROMPTS for one in arguments):
            return ": put a text of several words in quotes"
        return " (--help lists what there is)"

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help, with the defaults that are built in."""
        formatter.write(shown(short_page(self, ctx.command_path)))
