"""`llamachat run`: completions, for scripts and pipes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llamachat.cli import loading
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.manner import RunMode
from llamachat.cli.options import LengthChoice, ModelChoice
from llamachat.cli.preview import Wanted, show_previews
from llamachat.cli.prompt_cache import PromptCacheChoice
from llamachat.cli.report import Format, ReportChoice
from llamachat.cli.run_many import answer_many, many_lines
from llamachat.cli.run_prompt import RunPrompt
from llamachat.cli.speculation import SpeculationChoice
from llamachat.cli.template_choice import Reasoning, TemplateChoice
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import EndedByLength, ExitCode
from llamachat.terminal.outgrowing import tell_ending

if TYPE_CHECKING:
    from llamachat.terminal.output import Output
    from llamachat.terminal.responder import Answer, Responder


def run(
    model: ModelChoice,
    prompt: RunPrompt,
    length: LengthChoice,
    sampling: SamplingOptions,
    constraint: ConstraintChoice,
    speculation: SpeculationChoice,
    manner: RunMode,
    report: ReportChoice,
    template: TemplateChoice,
    kept: PromptCacheChoice,
) -> int:
    """Complete a prompt, for scripts and pipes.

    Standard output gets the text and nothing else. The prompt is PROMPT or -p, then each -f, then standard input, with
    blank lines between; or a prompt of the library (--prompt), with these as its input. It is continued as it stands,
    whatever the model; one that was trained to answer wants --chat, as in
    `cat notes.txt | llamachat run --chat "Summarise:"`. The text ends where the context is full; -n -1 continues
    without end.
    """
    report.silence()
    keeper = kept.keeper()
    options = prompt.length(length).options(report.sampling(sampling), constraint)
    data = prompt.data() if manner.prompts is None else None
    wanted = Wanted(template, prompt.system(manner.told(), data), manner.answers)
    if manner.many:
        lines = many_lines(prompt, manner, options, data)
        if manner.dry_run:
            return show_previews(model, lines, wanted, report)
        return answer_many(model, lines, wanted, manner, report)
    worded = prompt.whole(data or "")
    if manner.dry_run:
        return show_previews(model, [(worded, options)], wanted, report)
    with loading.open_responder(model, options, speculation) as opened:
        responder = replace(opened, template=template.chosen(opened.model)).answering() if manner.answers else opened
        ids = responder.prompt(worded.text, wanted.system) if manner.answers else responder.raw_prompt(worded)
        ids = keeper.take_over(responder, ids) if keeper is not None else ids
        responder = replace(responder, output=_output(responder, ids, wanted, report), tells_shift=True)
        answer = _spoken(responder, ids, report.echoed(worded.text, manner.answers))
        if keeper is not None:
            keeper.keep(responder, len(ids))
        _tell(responder, answer, report)
    return _code(answer, manner)


def _output(responder: "Responder", ids: Sequence[int], wanted: Wanted, report: ReportChoice) -> "Output":
    """Where the answer goes, without the thoughts before it if they are to be hidden."""
    printer, template = report.printer(responder), wanted.template_of(responder.model)
    if template is None or wanted.template.reasoning is not Reasoning.HIDE:
        return printer
    from llamachat.terminal.answer_only import AnswerOutput, answer_only

    return AnswerOutput(printer, answer_only(template, responder.model.tokenizer, ids))


def _spoken(responder: "Responder", ids: Sequence[int], echoed: str) -> "Answer":
    """The answer; whatever ends it, what was said of it is written."""
    output = responder.output
    try:
        if echoed:
            output.prompt(echoed)
        answer = responder.speak(ids)
        output.end_line()
    except Exception:
        if output.is_terminal:
            output.end_line()  # what is said of the error begins a line
        raise
    finally:
        output.finish()
    return answer


def _tell(responder: "Responder", answer: "Answer", report: ReportChoice) -> None:
    """The figures, on standard error."""
    wanted = report.verbose or report.timings
    if wanted or (responder.status.enabled and report.output is Format.TEXT):
        responder.report(answer, wanted)
    tell_ending(answer.reason, responder.context.n_ctx)


def _code(answer: "Answer", manner: RunMode) -> int:
    """The exit code. Raises what the grammar or --fail-on-length have to say."""
    if answer.error is not None:
        raise answer.error
    if answer.reason == "cancelled":
        return ExitCode.INTERRUPT
    if manner.fail_on_length and answer.reason in ("length", "context"):
        raise EndedByLength(f"the text was cut short after {len(answer.ids)} tokens (--fail-on-length)")
    return ExitCode.DONE
