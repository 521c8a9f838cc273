"""`llamachat models`: the models on this machine."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Context, Option

from llamachat.errors import LlamaChatError, UsageError
from llamachat.terminal.asking import agreed, may_ask
from llamachat.terminal.output import note
from llamachat.terminal.schema import versioned
from llamachat.terminal.table import Column, print_table

if TYPE_CHECKING:
    from llamachat.catalog import FoundModel

COLUMNS = (
    Column("name"),
    Column("also"),
    Column("size", right=True),
    Column("type"),
    Column("context", right=True),
    Column("fits"),
    Column("source"),
    Column("note"),
)
DEFAULT = "default"


def models(
    context: Context,
    action: Annotated[Literal["list", "rm"], Argument(help="list; rm NAME: delete a downloaded model.")] = "list",
    name: Annotated[str | None, Argument(metavar="[NAME]", help="The full name of a model, or its path.")] = None,
    yes: Annotated[bool, Option("--yes", "-y", help="Delete without asking.")] = False,
    output: Annotated[Literal["table", "json"], Option("--output", "-o", help="Output format.")] = "table",
) -> None:
    """List the models on this machine: ours, and those of Hugging Face, Ollama, LM Studio and llama.cpp, in place.

    The column `also` has a model's short name and marks the default; `fits` says whether weights and a small context
    fit into the memory that is free now. A damaged file is listed with the reason. rm deletes models that `pull` has
    downloaded, here or in the cache of Hugging Face.
    """
    if action == "rm":
        _remove(name, yes)
        return
    if name is not None:
        raise UsageError(f"unexpected argument {name}: `llamachat models` lists all, `llamachat show {name}` shows one")
    from llamachat.catalog import discover  # here and below: what --help does without

    found, default = discover(), _default(context)
    if output == "json":
        print(json.dumps([_record(model, default) for model in found], indent=2))
    elif found:
        print_table(COLUMNS, [_row(model, default) for model in found])
    else:
        note("no models on this machine yet: `llamachat pull smollm2` fetches a small one")


def _default(context: Context) -> Path | None:
    """The file of the model that is used where none is named; None where it is not here."""
    from llamachat.catalog import resolve
    from llamachat.cli.settings.defaults import profile_of
    from llamachat.cli.settings.sources import gather

    program = context.find_root().command
    settings = gather(program.commands.values(), profile_of(context))  # type: ignore[attr-defined]
    chosen = next((setting for setting in settings if setting.name == "model"), None)
    try:
        return resolve(None if chosen is None else str(chosen.raw))
    except LlamaChatError:
        return None


def _also(model: "FoundModel", default: Path | None) -> list[str]:
    """The model's short names, and whether it is the default."""
    from llamachat.catalog.known import KNOWN

    short = [known.name for known in KNOWN.values() if known.file == model.path.name]
    return [*short, *([DEFAULT] if model.path == default else [])]


def _record(model: "FoundModel", default: Path | None) -> dict[str, object]:
    also = _also(model, default)
    aliases = [name for name in also if name != DEFAULT]
    return versioned({**asdict(model), "path": str(model.path), "aliases": aliases, "default": DEFAULT in also})


def _row(model: "FoundModel", default: Path | None) -> list[str]:
    from llamachat.engine.memory import size_text

    fits = {True: "yes", False: "no", None: ""}[model.fits]
    n_ctx = str(model.n_ctx) if model.n_ctx else ""
    size, also = size_text(model.n_bytes), ", ".join(_also(model, default))
    return [model.name, also, size, model.type, n_ctx, fits, model.source, model.problem]


def _remove(name: str | None, yes: bool) -> None:
    """Deletes a model, after a yes."""
    if name is None:
        raise UsageError("missing NAME: llamachat models rm NAME")
    from llamachat.catalog.removal import found_for_removal, remove
    from llamachat.engine.memory import size_text

    model = found_for_removal(name)
    described = f"{model.name} ({size_text(model.n_bytes)}, {model.path})"
    if not yes and not may_ask():
        raise UsageError(f"models rm asks before it deletes; where nobody can answer, give --yes: {described}")
    if yes or agreed(f"Delete {described}?"):
        remove(model)
        note(f"deleted {described}")
