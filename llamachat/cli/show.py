"""`llamachat show`: what is in a model file."""

import json
from typing import Annotated, Literal

from typer import Argument, Option

from llamachat.terminal.schema import versioned


def show(
    model: Annotated[str | None, Argument(metavar="[MODEL]", help="A GGUF file, or a name from `llamachat models`. "
                                          "[default: the default model]")] = None,
    output: Annotated[Literal["text", "json"], Option("--output", "-o", help="Output format.")] = "text",
) -> None:  # fmt: skip
    """Show a model file: size, type, parameters, context, tensors by type, metadata and chat template.

    Long arrays are abbreviated. Only the header is read.
    """
    from llamachat.catalog import resolve  # here and below: what --help does without
    from llamachat.catalog.details import read_details
    from llamachat.terminal.model_page import page_lines, record
    from llamachat.terminal.table import output_width, print_text

    details = read_details(resolve(model))
    if output == "json":
        print(json.dumps(versioned(record(details)), indent=2))
    else:
        print_text("\n".join(page_lines(details, output_width())))
