"""`llamachat templates`: the chat templates that come with this package."""

from typing import Annotated

from typer import Argument

from llamachat.errors import UsageError


def templates(
    name: Annotated[str | None, Argument(metavar="[NAME]", help="Print this one instead.")] = None,
) -> None:
    """List the names that --chat-template knows, or print one template."""
    from llamachat.templates.named import builtin_names, builtin_template

    if name is None:
        print("\n".join(builtin_names()))
    elif name in builtin_names():
        print(builtin_template(name), end="")
    else:
        raise UsageError(f"there is no template {name!r}; `llamachat templates` lists the names")
