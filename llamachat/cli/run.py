"""`llamachat run`: completions, for scripts and pipes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from llamachat.cli import loading
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.options import LengthChoice, ModelChoice, PromptChoice, System
from llamachat.cli.prompt import prompt_text
from llamachat.cli.prompt_cache import PromptCacheChoice
from llamachat.cli.report import Format, ReportChoice
from llamachat.cli.speculation import SpeculationChoice
from llamachat.cli.template_choice import TemplateChoice
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import EndedByLength, ExitCode, UsageError

if TYPE_CHECKING:
    from llamachat.engine.generate import GenerationOptions
    from llamachat.terminal.speaker import Answer, Speaker


SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Manner:
    """Whether the prompt is continued or answered, how often, and what a cut answer means."""

    chat: Annotated[bool, Option("--chat", help="Answer the prompt, through the model's chat template.")] = False
    system: System = None
    parallel: Annotated[
        int | None,
        Option("--parallel", "-np", min=1, max=64, metavar="N", help="N answers side by side: that many of one prompt, "
               "or of --prompts at a time."),
    ] = None  # fmt: skip
    prompts: Annotated[
        Path | None,
        Option("--prompts", metavar="FILE", help='Prompts from a file: on each line a JSON string, or an object with '
               '"prompt" and maybe "seed", "n_predict".'),
    ] = None  # fmt: skip
    fail_on_length: Annotated[bool, Option("--fail-on-length", help="Exit with 5 if the text was cut short.")] = False

    def __post_init__(self) -> None:
        if self.system is not None and not self.chat:
            raise UsageError("--system is part of a chat: give --chat too, or put the text into the prompt")

    @property
    def many(self) -> bool:
        """Whether there are several answers."""
        return self.parallel is not None or self.prompts is not None


def run(
    model: ModelChoice,
    prompt: PromptChoice,
    length: LengthChoice,
    sampling: SamplingOptions,
    constraint: ConstraintChoice,
    speculation: SpeculationChoice,
    manner: Manner,
    report: ReportChoice,
    template: TemplateChoice,
    kept: PromptCacheChoice,
) -> int:
    """Complete a prompt, for scripts and pipes.

    Standard output gets the text and nothing else. The prompt is -p, then each -f, then standard input, with blank
    lines between. It is continued as it stands; a model that was trained to answer wants --chat, as in
    `cat notes.txt | llamachat run --chat -p "Summarise:"`.
    """
    options, keeper = length.options(report.sampling(sampling), constraint), kept.keeper()
    if manner.many:
        if keeper is not None or template.given:
            raise UsageError("--parallel and --prompts cannot be combined with --prompt-cache or --chat-template")
        return _run_many(model, prompt, options, speculation, manner, report)
    if template.given and not manner.chat:
        raise UsageError("--chat-template and --template-kwargs are part of a chat: give --chat too")
    text = prompt_text(prompt)
    with loading.open_speaker(model, options, speculation) as opened:
        speaker = replace(opened, template=template.chosen(opened.model)).answering() if manner.chat else opened
        ids = speaker.prompt(text, manner.system) if manner.chat else speaker.model.tokenize(text)
        ids = keeper.take_over(speaker, ids) if keeper is not None else ids
        speaker = replace(speaker, output=report.printer(speaker))
        answer = speaker.speak(ids)
        speaker.output.end_line()
        if keeper is not None:
            keeper.keep(speaker, len(ids))
        _tell(speaker, answer, report)
    return _code(answer, manner)


def _run_many(
    model: ModelChoice,
    prompt: PromptChoice,
    options: "GenerationOptions",
    speculation: SpeculationChoice,
    manner: Manner,
    report: ReportChoice,
) -> int:
    """Several answers at once; the exit code is that of the worst of them."""
    from llamachat.terminal.batch import read_prompts, repeated, requests, run_batch

    if speculation.lookup or speculation.model_draft or model.self_extend:
        raise UsageError("--parallel and --prompts cannot be combined with --lookup, --model-draft or --grp-attn-n")
    if manner.prompts is not None:
        lines = read_prompts(manner.prompts, options)
    else:
        lines = repeated(prompt_text(prompt), options, manner.parallel or 1)
    with loading.open_batch(model, min(manner.parallel or SIDE_BY_SIDE, len(lines)), report) as job:
        lines = [(text, loading.with_defaults(job.model, one)) for text, one in lines]
        stops = run_batch(job, requests(job, lines, manner.chat, manner.system))
    for stop in stops:
        if stop.error is not None:
            raise stop.error
    reasons = {stop.reason for stop in stops}
    if "cancelled" in reasons:
        return ExitCode.INTERRUPT
    if manner.fail_on_length and reasons & {"length", "context"}:
        raise EndedByLength("a text was cut short (--fail-on-length)")
    return ExitCode.DONE


def _tell(speaker: "Speaker", answer: "Answer", report: ReportChoice) -> None:
    """The figures, on standard error."""
    wanted = report.verbose or report.timings
    if wanted or (speaker.status.enabled and report.output is Format.TEXT):
        speaker.report(answer, wanted)


def _code(answer: "Answer", manner: Manner) -> int:
    """The exit code. Raises what the grammar or --fail-on-length have to say."""
    if answer.error is not None:
        raise answer.error
    if answer.reason == "cancelled":
        return ExitCode.INTERRUPT
    if manner.fail_on_length and answer.reason in ("length", "context"):
        raise EndedByLength(f"the text was cut short after {len(answer.ids)} tokens (--fail-on-length)")
    return ExitCode.DONE
