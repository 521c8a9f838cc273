"""Options for what is told besides the text."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from typer import Option

from llamachat.cli.options import Verbose

if TYPE_CHECKING:
    from llamachat.engine.sampling.options import SamplingOptions
    from llamachat.terminal.output import Output
    from llamachat.terminal.speaker import Speaker


class Format(StrEnum):
    """How answers are printed."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True)
class ReportChoice:
    """How the answer is printed, and which figures come with it."""

    output: Annotated[
        Format,
        Option("--output", "-o", help="text; json: one object with text, end and figures; jsonl: a line for each "
               "token."),
    ] = Format.TEXT  # fmt: skip
    logprobs: Annotated[
        int | None,
        Option("--logprobs", min=0, max=100, metavar="N", help="With json and jsonl: log-probabilities, and N "
               "alternatives of each token."),
    ] = None  # fmt: skip
    timings: Annotated[bool, Option("--timings", help="Say on standard error what took how long.")] = False
    verbose: Verbose = False

    def sampling(self, sampling: "SamplingOptions") -> "SamplingOptions":
        """The samplers' settings with what is to be told of each token."""
        return replace(sampling, logprobs=self.logprobs)

    def printer(self, speaker: "Speaker") -> "Output":
        """Where answers go."""
        from llamachat.terminal.records import JsonLines, JsonObject, records

        if self.output is Format.TEXT:
            return speaker.output
        made = records(speaker.model.tokenizer, speaker.load_s, speaker.context.n_ctx)
        return JsonLines(made) if self.output is Format.JSONL else JsonObject(made)
