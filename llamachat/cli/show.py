"""`llamachat show`: what is in a model file."""

import json
from dataclasses import asdict
from typing import Annotated, Literal

from typer import Argument, Option

from llamachat.errors import UsageError
from llamachat.terminal.schema import versioned


def show(
    model: Annotated[str | None, Argument(metavar="[MODEL]", help="A GGUF file, or a name from `llamachat models`. "
                                          "[default: the default model]")] = None,
    output: Annotated[Literal["text", "json"], Option("--output", "-o", help="Output format.")] = "text",
    architectures: Annotated[bool, Option("--architectures", help="List the architectures that are supported, with "
                                          "their models and features, instead.")] = False,
) -> None:  # fmt: skip
    """Show a model file: size, type, parameters, context, tensors by type, metadata and chat template.

    Long arrays are abbreviated. Only the header is read.
    """
    if architectures:
        if model is not None:
            raise UsageError("--architectures lists what the program knows, not what is in a file: leave MODEL out")
        _show_architectures(output)
        return
    from llamachat.catalog import resolve  # here and below: what --help does without
    from llamachat.catalog.details import read_details
    from llamachat.terminal.model_page import page_lines, record
    from llamachat.terminal.table import output_width, print_text

    details = read_details(resolve(model))
    if output == "json":
        print(json.dumps(versioned(record(details)), indent=2))
    else:
        print_text("\n".join(page_lines(details, output_width())))


def _show_architectures(output: str) -> None:
    from llamachat.engine.models.features import supported  # every family
    from llamachat.terminal.table import Column, print_table

    found = supported()
    if output == "json":
        print(json.dumps(versioned({"architectures": [asdict(one) for one in found]}), indent=2))
        return
    rows = [(one.name, one.models, ", ".join(one.features)) for one in found]
    print_table([Column(title) for title in ("architecture", "models", "features")], rows)
