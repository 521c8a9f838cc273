"""`llamachat bench`: how fast a model runs on this machine, and how near to the machine's limits."""

from enum import StrEnum
from typing import Annotated

from typer import Option

from llamachat.cli import loading
from llamachat.cli.options import ModelFile, Threads


class Format(StrEnum):
    """How the rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def bench(
    model: ModelFile,
    n_prompt: Annotated[
        int, Option("--n-prompt", "-p", min=0, metavar="N", help="Tokens of a prompt; 0 = skip.")
    ] = 512,
    n_gen: Annotated[int, Option("--n-gen", "-n", min=0, metavar="N", help="Tokens to generate; 0 = skip.")] = 128,
    threads: Threads = None,
    repetitions: Annotated[int, Option("--repetitions", "-r", min=1, metavar="N", help="Times each is measured.")] = 3,
    output: Annotated[Format, Option("--output", "-o", help="How to print the rows.")] = Format.TABLE,
) -> None:
    """Measure how fast a model runs here.

    In tokens per second, and as a share of this machine's limit, which is measured in the same run: read bandwidth for
    generation, the rate of integer dot products for prompts. JSON and CSV have llama-bench's field names.
    """
    path = loading.model_path(model)
    from llamachat.engine.measure import measure  # the engine, which --help does without
    from llamachat.terminal.rows import FORMATS
    from llamachat.terminal.status import Status

    status = Status()
    with status.during(f"measuring {path.name} ..."):
        rows = measure(path, n_prompt, n_gen, threads, repetitions, status.show)
    print(FORMATS[output](rows))
