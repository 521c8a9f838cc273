"""`llamachat bench`: how fast a model runs on this machine, and how near to the machine's limits."""

from enum import StrEnum
from typing import Annotated, Any

from typer import Option

from llamachat.cli import loading
from llamachat.cli.options import ModelFileAndMore, Threads


class Format(StrEnum):
    """How the rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def bench(
    model: ModelFileAndMore,
    n_prompt: Annotated[
        int, Option("--n-prompt", "-p", min=0, metavar="N", help="Prompt tokens to evaluate; 0 skips this test.")
    ] = 512,
    n_gen: Annotated[
        int, Option("--n-gen", "-n", min=0, metavar="N", help="Tokens to generate; 0 skips this test.")
    ] = 128,
    threads: Threads = None,
    repetitions: Annotated[
        int, Option("--repetitions", "-r", min=1, metavar="N", help="Repetitions of each test.")
    ] = 3,
    output: Annotated[Format, Option("--output", "-o", help="Output format.")] = Format.TABLE,
) -> None:
    """Measure how fast a model runs here.

    Results are in tokens per second and as a share of this machine's limit, which is measured in the same run: memory
    bandwidth for generation, the rate of integer dot products for prefill. JSON and CSV use llama-bench's field names.
    """
    path = loading.model_path(model)
    from llamachat.engine.measure import measure  # the engine, which --help does without
    from llamachat.terminal.rows import FORMATS
    from llamachat.terminal.status import Status

    status = Status()
    with status.during(f"measuring {path.name} ..."):
        changes: dict[str, Any] = {"overrides": model.overrides, "adapters": model.adapters, "threads": threads}
        rows = measure(path, n_prompt, n_gen, repetitions, status.show, **changes)
    print(FORMATS[output](rows))
