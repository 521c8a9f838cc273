"""`llamachat merge-lora`: a model with an adapter in its weights."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from llamachat.cli.options import Threads
from llamachat.errors import UsageError
from llamachat.terminal.output import write


def merge_lora(
    model: Annotated[Path, Argument(metavar="MODEL.gguf", help="The model.")],
    adapter: Annotated[Path, Argument(metavar="ADAPTER.gguf", help="The LoRA adapter, a GGUF file.")],
    target: Annotated[Path, Argument(metavar="OUT.gguf", help="The file to write.")],
    scale: Annotated[float, Option("--scale", metavar="N", help="How much of the adapter is added.")] = 1.0,
    threads: Threads = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> None:
    """Add a LoRA adapter to a model's weights, for good.

    Matrices keep their types: those that the adapter changes are quantised again, all others are copied. The result
    is best from an F16 or BF16 model.
    """
    from llamachat.engine.memory import size_text  # here and below: what --help does without
    from llamachat.prepare.merge_lora import Adapter
    from llamachat.prepare.merge_lora import merge_lora as merged
    from llamachat.terminal.bars import work_bars

    if not abs(scale) < 1e9:
        raise UsageError(f"the scale must be a number below 1e9, not {scale}")
    with work_bars() as report:
        count = merged(model, [Adapter(adapter, scale)], target, n_threads=threads, overwrite=overwrite, report=report)
    write(f"{target}: {count} matrices changed, {size_text(target.stat().st_size)}\n")
