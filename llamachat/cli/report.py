"""Options for how the text is printed, and what is said on standard error."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from typer import Option

from llamachat.cli.options import Verbose

if TYPE_CHECKING:
    from llamachat.engine.sampling.options import SamplingOptions
    from llamachat.terminal.output import Output
    from llamachat.terminal.responder import Responder


class Format(StrEnum):
    """How answers are printed."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True)
class ReportChoice:
    """How the answer is printed, and what is said on standard error."""

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
    quiet: Annotated[bool, Option("--quiet", "-q", help="Nothing on standard error but errors.")] = False
    echo: Annotated[
        bool, Option("--echo", help="Put out the prompt, too, before the text; with json and jsonl as `prompt`.")
    ] = False

    def sampling(self, sampling: "SamplingOptions") -> "SamplingOptions":
        """The samplers' settings with what is to be told of each token."""
        return replace(sampling, logprobs=self.logprobs)

    def silence(self) -> None:
        """Keeps standard error for errors, where that is wanted."""
        from llamachat.terminal.output import be_quiet

        if self.quiet:
            be_quiet()

    def echoed(self, text: str, answers: bool) -> str:
        """What of the prompt is put out before the text, "" for nothing; an answer begins a new paragraph."""
        if not self.echo:
            return ""
        return f"{text}\n\n" if answers and self.output is Format.TEXT else text

    def printer(self, responder: "Responder") -> "Output":
        """Where answers go."""
        from llamachat.terminal.records import JsonLines, JsonObject, records
        from llamachat.terminal.words import WordOutput

        if self.output is Format.TEXT:
            return responder.output if responder.output.is_terminal else WordOutput()
        made = records(responder.model.tokenizer, responder.load_s, responder.context.n_ctx)
        return JsonLines(made) if self.output is Format.JSONL else JsonObject(made)
