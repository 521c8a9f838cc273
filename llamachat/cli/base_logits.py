"""`llamachat perplexity` with a file of a base model's log-probabilities: written, or compared with."""

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from llamachat.cli import loading
from llamachat.cli.options import ModelChoice, Overwrite, PromptChoice
from llamachat.cli.prompt import prompt_text
from llamachat.errors import UsageError
from llamachat.terminal.output import write
from llamachat.terminal.schema import versioned

if TYPE_CHECKING:
    from llamachat.engine.model import Model
    from llamachat.prepare.report import Report


@dataclass(frozen=True)
class BaseChoice:
    """A base model's log-probabilities in a file, in the form of llama.cpp."""

    kl_divergence_base: Annotated[
        Path | None,
        Option("--kl-divergence-base", "--save-all-logits", metavar="FILE", help="Write this model's log-probabilities "
               "for the text to a file, in windows that do not overlap (of 512 tokens, or -c N)."),
    ] = None  # fmt: skip
    kl_divergence: Annotated[
        bool,
        Option("--kl-divergence", help="Read that file instead, which has the text, too, and compare this model with "
               "the one that it is of."),
    ] = False  # fmt: skip
    chunks: Annotated[int, Option("--chunks", min=0, metavar="N", help="Of these windows at most N; 0: all.")] = 0
    overwrite: Overwrite = False

    def __post_init__(self) -> None:
        if self.kl_divergence and self.kl_divergence_base is None:
            raise UsageError("--kl-divergence needs the file of the other model: --kl-divergence-base FILE")


@contextmanager
def _opened(choice: ModelChoice, n_ctx: int) -> "Iterator[tuple[Model, Report]]":
    """The model with a context of a window, and a report of its work."""
    from llamachat.terminal.bars import work_bars
    from llamachat.terminal.status import Status

    with ExitStack() as stack:
        model = stack.enter_context(loading.load_model(replace(choice, ctx_size=n_ctx), Status(), in_windows=True))
        yield model, stack.enter_context(work_bars("tokens"))


def write_base(choice: ModelChoice, base: BaseChoice, prompt: PromptChoice, as_json: bool) -> None:
    """Writes the file and prints the perplexity."""
    from llamachat.prepare.divergence import Estimate
    from llamachat.prepare.logits_file import file_bytes, write_logits
    from llamachat.prepare.result import check_result, result
    from llamachat.prepare.windows import N_CTX, Windows

    target, n_ctx = base.kl_divergence_base, choice.ctx_size or N_CTX
    assert target is not None
    sources = [*loading.model_files(choice), *(prompt.file or ())]
    check_result(target, sources, overwrite=base.overwrite)
    tokenizer = loading.open_tokenizer(choice)
    windows = Windows.of(tokenizer.encode(prompt_text(prompt)), tokenizer, n_ctx, base.chunks)
    with _opened(choice, n_ctx) as (model, report):
        check_result(target, sources, overwrite=base.overwrite, n_bytes=file_bytes(windows, model.n_vocab))
        with result(target) as part:
            losses = write_logits(part, model.context(n_ctx), windows, model.n_vocab, report)
    loss = Estimate.of(losses)
    ppl = math.exp(min(loss.mean, 700.0))
    if as_json:
        figures = {"n_scored": len(losses), "mean_nll": loss.mean, "error": loss.error, "ppl": ppl, "n_ctx": n_ctx}
        write(json.dumps(versioned(figures)) + "\n")
        return
    write(f"perplexity {ppl:.6g} +/- {ppl * loss.error:.2g}\n")
    write(f"mean negative log-probability {loss.mean:.5f} over {len(losses)} of {windows.tokens.size} tokens\n")


def compare_with_base(choice: ModelChoice, base: BaseChoice, as_json: bool) -> None:
    """Reads the file and prints how far the model is from it. Raises UsageError for another vocabulary."""
    from llamachat.prepare.logits_file import compare_with, open_logits
    from llamachat.prepare.windows import Windows, begin_token
    from llamachat.terminal import comparison

    source = base.kl_divergence_base
    assert source is not None
    with open_logits(source) as file:
        windows = Windows(file.tokens[: base.chunks or None], begin_token(loading.open_tokenizer(choice)))
        with _opened(choice, windows.n_ctx) as (model, report):
            if model.n_vocab != file.n_vocab:
                said = f"{source}: is of a model with {file.n_vocab} tokens, {model.title} has {model.n_vocab}"
                raise UsageError(said)
            found = compare_with(file, model.context(windows.n_ctx), windows, report)
    name = model.file.path.name
    if as_json:
        about = {"base": str(source), "model": name, "n_ctx": windows.n_ctx}
        write(comparison.as_json(about, found) + "\n")
    else:
        write(comparison.as_text([str(source), name], found) + "\n")
