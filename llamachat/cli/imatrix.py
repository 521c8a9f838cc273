"""`llamachat imatrix`: how large the inputs of a model's matrices are on a text, for better quantisation."""

from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from llamachat.cli import loading
from llamachat.cli.options import ModelChoice, ModelFile, Overwrite, PromptChoice, Threads
from llamachat.cli.prompt import prompt_text
from llamachat.terminal.output import note

if TYPE_CHECKING:
    from llamachat.prepare.imatrix import Collected


class Form(StrEnum):
    """The form of the file."""

    GGUF = "gguf"
    DAT = "dat"


@dataclass(frozen=True)
class Measuring:
    """What is read, and how."""

    window: Annotated[
        int, Option("--window", "--ctx-size", "-c", min=4, metavar="N", help="Tokens of a window of the text.")
    ] = 512
    chunks: Annotated[
        int, Option("--chunks", min=0, metavar="N", help="Read at most this many windows of the text; 0: all.")
    ] = 0
    process_output: Annotated[
        bool, Option("--process-output", help="Measure the inputs of the output matrix, too.")
    ] = False
    ppl: Annotated[bool, Option("--ppl/--no-ppl", help="Compute the text's perplexity on the way.")] = True
    parse_special: Annotated[
        bool, Option("--parse-special", help="Parse names of control tokens in the text as these tokens.")
    ] = False


@dataclass(frozen=True)
class Result:
    """What is written."""

    output_file: Annotated[Path, Option("--output-file", "-o", metavar="FILE", help="The file to write.")] = Path(
        "imatrix.gguf"
    )
    output_format: Annotated[
        Form, Option("--output-format", help="Form of the file: GGUF, or the dat of older tools.")
    ] = Form.GGUF
    save_frequency: Annotated[
        int,
        Option("--save-frequency", "--output-frequency", "-ofreq", min=0, metavar="N",
               help="Keep what is done every N windows, in FILE.partial; 0: only when interrupted."),
    ] = 10  # fmt: skip
    overwrite: Overwrite = False


def imatrix(
    model: ModelFile,
    prompt: PromptChoice,
    measuring: Measuring,
    result: Result,
    in_file: Annotated[
        list[Path] | None,
        Option("--in-file", metavar="FILE", help="An importance matrix to add to the result. May be given several "
               "times; without -f and -p files are only added up."),
    ] = None,
    show_statistics: Annotated[
        bool, Option("--show-statistics", help="Print statistics of every tensor and layer; of --in-file alone, "
                     "nothing is written.")
    ] = False,
    threads: Threads = None,
) -> None:  # fmt: skip
    """Measure how large the inputs of a model's matrices are on a text (-f FILE), for better quantisation.

    The file has the sums of squares of every column, experts counted apart, as llama.cpp's tools read and write it. A
    text of the kind that the model is for, of some hundred thousand tokens, is enough. If it is interrupted, the same
    command goes on where it was.
    """
    measures = bool(prompt.file or prompt.prompt is not None or not in_file)
    if show_statistics and not measures:
        from llamachat.prepare.importance import read_importance

        for path in in_file or ():
            _show(path)
        return
    from llamachat.prepare.imatrix import Collected
    from llamachat.prepare.imatrix_file import write_imatrix
    from llamachat.prepare.imatrix_making import Unfinished
    from llamachat.prepare.importance import read_importance
    from llamachat.prepare.result import check_result
    from llamachat.prepare.result import result as growing

    sources = [*(in_file or ()), *(prompt.file or ()), *(loading.model_files(model) if measures else ())]
    check_result(result.output_file, sources, overwrite=result.overwrite)
    others = [read_importance(path) for path in in_file or ()]
    if measures:
        found = _measured(model, prompt, measuring, result, threads)
    else:
        found = Collected(next((one.chunk_size for one in others if one.chunk_size), measuring.window))
    for one in others:
        found.merge(one)
    with growing(result.output_file) as part:
        write_imatrix(part, found, result.output_format.value)
    if measures:
        Unfinished.beside(result.output_file, "").remove()
    _say(found, result.output_file)
    if show_statistics:
        _show(result.output_file)


def _measured(
    model: ModelFile, prompt: PromptChoice, measuring: Measuring, result: Result, threads: int | None
) -> "Collected":
    """What the text gives, from where it was interrupted on."""
    from llamachat.prepare.imatrix import Collector, fingerprint
    from llamachat.prepare.imatrix_making import Unfinished, collect
    from llamachat.prepare.windows import Windows
    from llamachat.terminal.bars import work_bars
    from llamachat.terminal.status import Status

    n_ctx = measuring.window
    text = prompt_text(prompt)
    choice = ModelChoice(model=model.model, yes=model.yes, places=model.places, ctx_size=n_ctx, threads=threads)
    with ExitStack() as stack:
        tokenizer = loading.open_tokenizer(choice)
        windows = Windows.of(
            tokenizer.encode(text, parse_special=measuring.parse_special), tokenizer, n_ctx, measuring.chunks
        )
        loaded = stack.enter_context(loading.load_model(choice, Status(), in_windows=True))
        collector = Collector(loaded, n_ctx, process_output=measuring.process_output, scores=measuring.ppl)
        of = f"{fingerprint(loaded, windows)} {measuring.process_output}"
        kept = Unfinished.beside(result.output_file, of)
        found = kept.load(n_ctx)
        if found.n_chunks:
            note(f"going on behind {found.n_chunks} of {len(windows)} windows, which {kept.path} has")
        report = stack.enter_context(work_bars("tokens"))
        try:
            collect(collector, windows, found, kept, result.save_frequency, report)
        except KeyboardInterrupt:
            if found.n_chunks:
                note(f"{found.n_chunks} of {len(windows)} windows are kept: the same command goes on behind them")
            raise
    found.datasets = [str(path) for path in prompt.file or ()] or ["text"]
    if (loss := collector.loss) is not None:
        import math

        note(f"perplexity {math.exp(loss.mean):.4f} +/- {math.exp(loss.mean) * loss.error:.4f}")
    return found


def _say(found: "Collected", path: Path) -> None:
    """What was written, and experts that no token came to."""
    windows = "1 window" if found.n_chunks == 1 else f"{found.n_chunks} windows"
    note(f"{path}: {len(found.sums)} tensors, {windows} of {found.chunk_size} tokens")
    for name, sums in found.sums.items():
        unused = int((sums.counts == 0).sum())
        if unused:
            note(f"{name}: no token of the text came to {unused} of {len(sums.counts)} experts")


def _show(path: Path) -> None:
    from llamachat.prepare.imatrix_statistics import layer_statistics, tensor_statistics
    from llamachat.prepare.importance import read_importance
    from llamachat.terminal.imatrix_table import print_statistics

    found = read_importance(path)
    print_statistics(tensor_statistics(found), layer_statistics(found))
