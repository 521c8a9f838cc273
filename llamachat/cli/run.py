"""`llamachat run`: completions, for scripts and pipes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from typer import Context

from llamachat.cli import loading
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.manner import Manner
from llamachat.cli.options import LengthChoice, ModelChoice
from llamachat.cli.preview import Wanted, show_previews
from llamachat.cli.prompt_cache import PromptCacheChoice
from llamachat.cli.report import Format, ReportChoice
from llamachat.cli.run_many import answer_many, many_lines
from llamachat.cli.run_prompt import RunPrompt
from llamachat.cli.speculation import SpeculationChoice
from llamachat.cli.template_choice import TemplateChoice
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import EndedByLength, ExitCode, UsageError

if TYPE_CHECKING:
    from llamachat.terminal.speaker import Answer, Speaker


def run(
    context: Context,
    model: ModelChoice,
    prompt: RunPrompt,
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
    lines between; or a prompt of the library (--prompt), with these as its input. It is continued as it stands,
    whatever the model; one that was trained to answer wants --chat, as in
    `cat notes.txt | llamachat run --chat -p "Summarise:"`.
    """
    report.silence()
    options, keeper = prompt.length(length).options(report.sampling(sampling), constraint), kept.keeper()
    if not manner.answers:
        _check_raw(context)
    if manner.many:
        _check_many(model, speculation, template if manner.answers else TemplateChoice(), kept)
        data = prompt.data() if manner.prompts is None else None
        lines, system = many_lines(prompt, manner, options, data), prompt.system(manner.system, data)
        if manner.dry_run:
            return show_previews(model, lines, Wanted(template, system, manner.answers), report)
        return answer_many(model, lines, system, manner, report)
    data = prompt.data()
    worded, system = prompt.whole(data), prompt.system(manner.system, data)
    if manner.dry_run:
        return show_previews(model, [(worded, options)], Wanted(template, system, manner.answers), report)
    with loading.open_speaker(model, options, speculation) as opened:
        speaker = replace(opened, template=template.chosen(opened.model)).answering() if manner.answers else opened
        ids = speaker.prompt(worded.text, system) if manner.answers else speaker.raw_prompt(worded)
        ids = keeper.take_over(speaker, ids) if keeper is not None else ids
        speaker = replace(speaker, output=report.printer(speaker))
        answer = _spoken(speaker, ids, report.echoed(worded.text, manner.answers))
        if keeper is not None:
            keeper.keep(speaker, len(ids))
        _tell(speaker, answer, report)
    return _code(answer, manner)


def _check_raw(context: Context) -> None:
    """Raises UsageError for an option of chats on the command line; as a setting it waits for one."""
    sources = [context.get_parameter_source(name) for name in ("chat_template", "template_kwargs")]
    if any(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise UsageError("--chat-template and --template-kwargs are part of a chat: give --chat too")


def _check_many(
    model: ModelChoice, speculation: SpeculationChoice, template: TemplateChoice, kept: PromptCacheChoice
) -> None:
    """Raises UsageError for what several answers cannot be combined with."""
    if kept.prompt_cache is not None or template.given:
        raise UsageError("--parallel and --prompts cannot be combined with --prompt-cache or --chat-template")
    if speculation.lookup or speculation.model_draft or model.self_extend:
        raise UsageError("--parallel and --prompts cannot be combined with --lookup, --model-draft or --grp-attn-n")


def _spoken(speaker: "Speaker", ids: Sequence[int], echoed: str) -> "Answer":
    """The answer; whatever ends it, what was said of it is written."""
    output = speaker.output
    try:
        if echoed:
            output.prompt(echoed)
        answer = speaker.speak(ids)
        output.end_line()
    finally:
        output.finish()
    return answer


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
