"""`llamachat templates`: the chat templates that come with this package."""

from difflib import get_close_matches
from typing import Annotated

from typer import Argument

from llamachat.errors import UsageError


def templates(
    name: Annotated[str | None, Argument(metavar="[NAME]", help="Print this template instead.")] = None,
) -> None:
    """List the built-in chat templates, or print one."""
    from llamachat.templates.named import builtin_names, builtin_template
    from llamachat.terminal.output import write

    if name is None:
        write("\n".join(builtin_names()) + "\n")
    elif name in builtin_names():
        write(builtin_template(name))
    else:
        close = get_close_matches(name, builtin_names(), 1)
        hint = f"did you mean {close[0]}?" if close else "`llamachat templates` lists the names"
        raise UsageError(f"there is no template {name!r}; {hint}")
