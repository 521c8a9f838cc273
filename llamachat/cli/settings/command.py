"""A command whose options may be set elsewhere than on the command line, and whose help stands in panels."""

from typing import Any

from typer.core import TyperCommand

from llamachat.cli.help import page
from llamachat.cli.settings.defaults import Defaults
from llamachat.cli.words import spelled_out
from llamachat.errors import LlamaChatError, UsageError


class SettingsCommand(TyperCommand):
    """A command that asks the settings for what its command line does not say."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command line, with the settings as defaults. Raises UsageError for an argument too many."""
        ctx.default_map, ctx.allow_extra_args = Defaults(ctx), True
        rest = super().parse_args(ctx, list(spelled_out(args, self)))
        if rest and not ctx.resilient_parsing:
            raise UsageError(f"unexpected argument {rest[0]}{self._meant_by(rest[0])} (--help lists what there is)")
        return rest

    def _meant_by(self, argument: str) -> str:
        """What was meant by an argument too many, where that is a model."""
        if not any(parameter.name == "model" for parameter in self.params):
            return ""
        from llamachat.catalog import resolve  # what a right command line does without

        try:
            resolve(argument)
        except LlamaChatError:
            return ""
        return f": a model is given as -m {argument}"

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help, with the defaults that are built in."""
        formatter.write(page(self, ctx.command_path))
