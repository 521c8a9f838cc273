"""`llamachat run`: one completion, for scripts and pipes."""

from dataclasses import dataclass
from typing import Annotated

from typer import Option

from llamachat.cli import loading
from llamachat.cli.options import LengthChoice, ModelChoice, PromptChoice, System, Verbose
from llamachat.cli.prompt import prompt_text
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import EndedByLength, ExitCode, UsageError


@dataclass(frozen=True)
class Manner:
    """Whether the prompt is continued or answered, and what a cut answer means."""

    chat: Annotated[bool, Option("--chat", help="Answer the prompt, through the model's chat template.")] = False
    system: System = None
    fail_on_length: Annotated[bool, Option("--fail-on-length", help="Exit with 5 if the text was cut short.")] = False

    def __post_init__(self) -> None:
        if self.system is not None and not self.chat:
            raise UsageError("--system is part of a chat: give --chat too, or put the text into the prompt")


def run(
    model: ModelChoice,
    prompt: PromptChoice,
    length: LengthChoice,
    sampling: SamplingOptions,
    manner: Manner,
    verbose: Verbose = False,
) -> int:
    """Complete a prompt, for scripts and pipes.

    Standard output gets the text and nothing else. The prompt is -p, then each -f, then standard input, with blank
    lines between. It is continued as it stands; a model that was trained to answer wants --chat, as in
    `cat notes.txt | llamachat run --chat -p "Summarise:"`.
    """
    text, options = prompt_text(prompt), length.options(sampling)
    with loading.open_speaker(model, options) as speaker:
        ids = speaker.conversation(manner.system).tokens(text) if manner.chat else speaker.model.tokenize(text)
        answer = speaker.speak(ids)
        speaker.output.end_line()
        if verbose or speaker.status.enabled:
            speaker.report(answer)
    if answer.reason == "cancelled":
        return ExitCode.INTERRUPT
    if manner.fail_on_length and answer.reason in ("length", "context"):
        raise EndedByLength(f"the text was cut short after {len(answer.ids)} tokens (--fail-on-length)")
    return ExitCode.DONE
