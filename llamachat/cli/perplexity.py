"""`llamachat perplexity`: how well a model predicts a text."""

import json
import math
from enum import StrEnum
from typing import Annotated

from typer import Option

from llamachat.cli import loading
from llamachat.cli.base_logits import BaseChoice, compare_with_base, write_base
from llamachat.cli.options import ModelChoice, PromptChoice
from llamachat.cli.prompt import prompt_text
from llamachat.terminal.schema import versioned


class Format(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


def perplexity(
    model: ModelChoice,
    prompt: PromptChoice,
    base: BaseChoice,
    stride: Annotated[
        int | None,
        Option(min=1, metavar="N", help="Tokens between the windows of a long text. [default: half the context]"),
    ] = None,
    output: Annotated[Format, Option(help="Output format.")] = Format.TEXT,
) -> None:
    """Score how well a model predicts a text.

    The text (-f FILE, -p TEXT or standard input) is scored as a whole if it fits into the context. A longer text is
    scored in windows: each token once, with at least ctx-size - stride tokens before it.
    """
    if base.kl_divergence:
        compare_with_base(model, base, output is Format.JSON)
        return
    if base.kl_divergence_base is not None:
        write_base(model, base, prompt, output is Format.JSON)
        return
    from llamachat.terminal.console import Console  # the engine, which --help does without

    text = prompt_text(prompt)
    console = Console()
    with loading.open_responder(model, console=console) as responder:
        from llamachat.engine.perplexity import score  # numpy, which --help does without

        ids = responder.model.tokenize(text)
        found = score(responder.context, ids, responder.model.tokenizer.bos, stride, console.scoring)
        console.status.clear()
    if output is Format.JSON:
        figures = {"n_tokens": found.n_tokens, "n_scored": found.n_scored, "mean_nll": found.mean_nll}
        figures |= {"error": found.error, "ppl": found.perplexity}
        record = {
            name: value if math.isfinite(value) else None for name, value in figures.items()
        }  # JSON has no infinity
        print(json.dumps(versioned({**record, "n_ctx": responder.context.n_ctx})))
        return
    print(f"perplexity {found.perplexity:.6g} +/- {found.perplexity * found.error:.2g}")
    print(f"mean negative log-probability {found.mean_nll:.5f} over {found.n_scored} of {found.n_tokens} tokens")
