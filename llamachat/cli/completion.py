"""`llamachat completion`: scripts with which a shell completes command lines."""

from typing import Annotated, Any, Literal

from typer import Argument, Context


def completion(
    context: Context,
    shell: Annotated[Literal["bash", "zsh", "fish", "powershell"], Argument(help="Whose script to print.")],
) -> None:
    """Print the completion script for a shell.

    Its first lines say how to install it. The script contains commands and options, so install it again after an
    update; models, profiles and other names are looked up while you type.
    """
    from llamachat.cli.shells import SHELLS
    from llamachat.cli.shells.known import known_commands, program_options

    program: Any = context.find_root().command
    print(SHELLS[shell](known_commands(program.commands), program_options(program)))
