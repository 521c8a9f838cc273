"""A command whose options may be set elsewhere than on the command line, and whose help stands in panels."""

from typing import Any

from typer.core import TyperCommand

from llamachat.cli.help import page
from llamachat.cli.settings.defaults import Defaults


class SettingsCommand(TyperCommand):
    """A command that asks the settings for what its command line does not say."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command line, with the settings as defaults."""
        ctx.default_map = Defaults(ctx)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help, with the defaults that are built in."""
        formatter.write(page(self, ctx.command_path))
