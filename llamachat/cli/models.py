"""`llamachat models`: the models on this machine."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from llamachat.terminal.output import note
from llamachat.terminal.table import Column, print_table

if TYPE_CHECKING:
    from llamachat.catalog import FoundModel

COLUMNS = (
    Column("name"),
    Column("size", right=True),
    Column("type"),
    Column("context", right=True),
    Column("fits"),
    Column("source"),
    Column("note"),
)


def models(
    output: Annotated[Literal["table", "json"], Option("--output", "-o", help="How to print them.")] = "table",
) -> None:
    """List the models on this machine: ours, and those of Hugging Face, Ollama, LM Studio and llama.cpp, in place.

    `fits` is whether weights and a small context fit in the memory that is free now. A file that is broken is listed
    with the reason.
    """
    from llamachat.catalog import discover  # here and below: what --help does without

    found = discover()
    if output == "json":
        print(json.dumps([{**asdict(model), "path": str(model.path)} for model in found], indent=2))
    elif found:
        print_table(COLUMNS, [_row(model) for model in found])
    else:
        note("no models on this machine yet: `llamachat pull smollm2` fetches a small one")


def _row(model: "FoundModel") -> list[str]:
    from llamachat.engine.memory import size_text

    fits = {True: "yes", False: "no", None: ""}[model.fits]
    context = str(model.n_ctx) if model.n_ctx else ""
    return [model.name, size_text(model.n_bytes), model.type, context, fits, model.source, model.problem]
