"""`llamachat compare`: how far a model's predictions are from another one's, on a text."""

from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

from typer import Argument, Option

from llamachat.cli import loading
from llamachat.cli.options import ModelChoice, PromptChoice, Threads, Yes
from llamachat.cli.prompt import prompt_text
from llamachat.terminal.output import write


class Format(StrEnum):
    """How the result is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def compare(
    base: Annotated[str, Argument(metavar="BASE", help="The model to compare with, as the F16 file of a model.")],
    other: Annotated[str, Argument(metavar="MODEL", help="The model that is compared, as a quantised one.")],
    prompt: PromptChoice,
    window: Annotated[
        int,
        Option(
            "--window",
            "--ctx-size",
            "-c",
            min=4,
            metavar="N",
            help="Tokens of a window, of which the second half counts.",
        ),
    ] = 512,
    chunks: Annotated[
        int, Option("--chunks", min=0, metavar="N", help="Read at most this many windows of the text; 0: all.")
    ] = 0,
    threads: Threads = None,
    yes: Yes = False,
    output: Annotated[Format, Option("--output", "-o", help="Output format.")] = Format.TEXT,
) -> None:
    """Compare the predictions of two models for a text (-f FILE), token by token.

    Prints both perplexities, the Kullback-Leibler divergence of the second model from the first (in nats), and how
    often both hold the same token for the likeliest. Both need the same vocabulary. The text is cut into windows that
    do not overlap, as by llama.cpp's perplexity tool, so that figures can be compared with its own.
    """
    text = prompt_text(prompt)
    from llamachat.prepare import divergence  # the engine, which --help does without
    from llamachat.prepare.windows import Windows
    from llamachat.terminal import comparison
    from llamachat.terminal.bars import work_bars
    from llamachat.terminal.status import Status

    with ExitStack() as stack:
        choices = [ModelChoice(model=name, yes=yes, ctx_size=window, threads=threads) for name in (base, other)]
        tokenizers = [loading.open_tokenizer(choice) for choice in choices]
        ids = [tokenizer.encode(text) for tokenizer in tokenizers]
        divergence.check_same_words(*ids)
        windows = Windows.of(ids[0], tokenizers[0], window, chunks)
        models = [stack.enter_context(loading.load_model(choice, Status(), in_windows=True)) for choice in choices]
        report = stack.enter_context(work_bars("tokens"))
        contexts = [model.context(window) for model in models]
        found = divergence.compare(contexts[0], contexts[1], windows, report)
    names = [model.file.path.name for model in models]
    if output is Format.TEXT:
        write(comparison.as_text(names, found) + "\n")
        return
    about = {"base": names[0], "model": names[1], "n_ctx": window}
    write((comparison.as_json if output is Format.JSON else comparison.as_csv)(about, found) + "\n")
