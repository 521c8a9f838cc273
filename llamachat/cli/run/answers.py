"""What becomes of the prompts of `run`: previews, one answer, or several; what is said of them, and the exit code."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llamachat.cli import loading
from llamachat.cli.options import ModelChoice
from llamachat.cli.prompt import STDIN, read_file, read_stdin
from llamachat.cli.run.options import Format, ReportChoice, RunMode, RunPrompt
from llamachat.cli.template_choice import Reasoning, TemplateChoice
from llamachat.dialogue.sinks import Echo
from llamachat.errors import EndedByLength, ExitCode, UsageError
from llamachat.templates.text import Worded
from llamachat.terminal.outgrowing import ShiftReporter, report_ending, report_endings

if TYPE_CHECKING:
    from llamachat.dialogue.kept_prompt import PromptKeeper
    from llamachat.dialogue.prompts import Templated
    from llamachat.dialogue.responder import Answer, Responder
    from llamachat.dialogue.sinks import Sink
    from llamachat.engine.generate import GenerationOptions
    from llamachat.engine.header import Header
    from llamachat.engine.tokenizers.filling import Gap
    from llamachat.templates.renderer import ChatTemplate
    from llamachat.terminal.batch import Line
    from llamachat.terminal.console import Console
    from llamachat.terminal.preview import Preview

SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Asked:
    """What is wanted of every prompt. system: the system prompt, for a model that answers."""

    template: TemplateChoice
    system: str | None
    mode: RunMode
    report: ReportChoice

    @property
    def hides(self) -> bool:
        """Whether answers are put out without the thoughts before them."""
        return self.template.reasoning is Reasoning.HIDE

    def worded(self, prompt: RunPrompt, data: str) -> Worded:
        """The prompt with this input. Raises UsageError where there is none."""
        return prompt.whole(data)

    def template_of(self, model: "Templated") -> "ChatTemplate | None":
        """What a prompt goes through for this model; None where it is continued as it stands."""
        from llamachat.dialogue.prompts import chat_template

        return self.template.chosen(model) or chat_template(model) if self.mode.answers else None


def show_previews(model: ModelChoice, lines: "Sequence[tuple[Worded | Gap, GenerationOptions]]", asked: Asked) -> int:
    """Prints what the model would see of each prompt; its weights are not read. Raises ModelFileError."""
    from llamachat.terminal.preview import print_previews

    opened = loading.open_header(model)
    loading.note_all(opened.tokenizer.notes)
    previews = [_preview(opened, *line, asked) for line in lines]
    print_previews(previews, as_json=asked.report.output is not Format.TEXT)
    return ExitCode.DONE


def _preview(opened: "Header", prompt: "Worded | Gap", options: "GenerationOptions", asked: Asked) -> "Preview":
    from llamachat.dialogue.prompts import Prompt
    from llamachat.terminal.preview import Preview

    options, template = loading.with_defaults(opened, options), asked.template_of(opened)
    whole = Prompt(prompt, template, asked.system)
    name = "raw" if template is None else f"chat ({template.name or 'one of its own'})"
    ids = whole.tokens(opened.tokenizer)
    return Preview(str(opened.file.path), name, ids, whole.options(options), opened.tokenizer)


def answered(
    opened: "Responder", console: "Console", prompt: "Worded | Gap", asked: Asked, keeper: "PromptKeeper | None"
) -> "Answer":
    """The answer to a prompt, written in the form that was asked for. keeper: what has and gets evaluated prompts.

    Raises UsageError for an encoder-decoder whose prompt would have to be kept.
    """
    from llamachat.engine.tokenizers.filling import Gap
    from llamachat.terminal.console import for_chats

    responder, mode, report = opened, asked.mode, asked.report
    if keeper is not None and opened.model.reads_texts:
        raise UsageError("the prompt of an encoder-decoder cannot be kept (--prompt-cache)")
    if mode.answers:
        responder = for_chats(replace(opened, template=asked.template.chosen(opened.model)))
    if isinstance(prompt, Gap):
        responder = responder.stopping_at(prompt.stop)
    ids = _tokens(responder, prompt, asked.system)
    ids = keeper.take_over(responder, ids) if keeper is not None else ids
    sink = _sink(responder, console, ids, asked)
    try:
        if report.echo:
            sink.event(Echo(report.echoed(prompt.text, mode.answers)))
        answer = responder.answer(ids, sink)
    finally:
        sink.close()
    if keeper is not None:
        keeper.keep(responder, len(ids))
    _report_on(responder, console, answer, report)
    return answer


def _tokens(responder: "Responder", prompt: "Worded | Gap", system: str | None) -> list[int]:
    """The tokens of a prompt; what of a gap's surroundings has no room is said."""
    from llamachat.dialogue.prompts import Prompt
    from llamachat.engine.tokenizers.filling import Gap, fill_in
    from llamachat.terminal.output import note

    if not isinstance(prompt, Gap):
        return responder.tokens(Prompt(prompt, responder.template, system))
    filled = fill_in(responder.model.tokenizer, prompt, responder.context.n_ctx)
    if filled.n_left_out:
        note(f"{filled.n_left_out} tokens far from the gap are left out: the context holds {responder.context.n_ctx}")
    return filled.ids


def _sink(responder: "Responder", console: "Console", ids: Sequence[int], asked: Asked) -> "Sink":
    """Where the answer goes, without the thoughts before it if they are to be hidden."""
    from llamachat.dialogue.answer_only import AnswerSink
    from llamachat.dialogue.thinking import thinking_of

    sink: Sink = asked.report.printer(responder, console.output)
    if responder.template is not None and asked.hides:
        sink = AnswerSink(sink, thinking_of(responder.template.source, responder.model.tokenizer, ids))
    return ShiftReporter(sink, responder.context.n_ctx, len(ids), console.output.is_terminal)


def _report_on(responder: "Responder", console: "Console", answer: "Answer", choice: ReportChoice) -> None:
    """The figures, on standard error."""
    from llamachat.terminal.console import report

    wanted = choice.verbose or choice.timings
    if wanted or (console.status.enabled and choice.output is Format.TEXT):
        report(answer, responder, wanted)
    report_ending(answer.reason, responder.context.n_ctx)


def code_of(answer: "Answer", mode: RunMode) -> int:
    """The exit code. Raises what the grammar or --fail-on-length have to say."""
    if answer.error is not None:
        raise answer.error
    if answer.reason == "cancelled":
        return ExitCode.INTERRUPT
    if mode.fail_on_length and answer.reason in ("length", "context"):
        raise EndedByLength(f"the text was cut short after {len(answer.ids)} tokens (--fail-on-length)")
    return ExitCode.DONE


def many_lines(prompt: RunPrompt, mode: RunMode, options: "GenerationOptions", data: str | None) -> "list[Line]":
    """The prompts with their options; data: the input of all of them, None for the lines of --prompts.

    Raises UsageError with the number of a faulty line.
    """
    from llamachat.terminal.batch import read_prompts, repeated

    if mode.prompts is None:
        return repeated(prompt.whole(data or ""), options, mode.parallel or 1)
    if mode.prompts == STDIN:
        text, name = read_stdin(), "--prompts, standard input"
    else:
        name = f"--prompts {mode.prompts}"
        text = read_file(mode.prompts, name)
    return [(prompt.whole(text), own) for text, own in read_prompts(text, name, options)]


def answer_many(model: ModelChoice, lines: "Sequence[Line]", asked: Asked) -> int:
    """Writes the answers; the exit code is that of the worst of them. Raises EndedByLength if that was asked for."""
    from llamachat.terminal.batch import requests, run_batch

    mode, report = asked.mode, asked.report
    form, verbose = report.output.value, report.verbose or report.timings
    with loading.open_batch(model, min(mode.parallel or SIDE_BY_SIDE, len(lines)), form, verbose) as job:
        lines = [(prompt, loading.with_defaults(job.model, one)) for prompt, one in lines]
        echoed = [report.echoed(prompt.text, mode.answers) for prompt, _ in lines]
        job = replace(job, echoed=echoed, template=asked.template_of(job.model), hides=asked.hides)
        stops = run_batch(job, requests(job, lines, asked.system))
    for stop in stops:
        if stop.error is not None:
            raise stop.error
    report_endings(stops, job.n_ctx)
    reasons = {stop.reason for stop in stops}
    if "cancelled" in reasons:
        return ExitCode.INTERRUPT
    if mode.fail_on_length and reasons & {"length", "context"}:
        raise EndedByLength("a text was cut short (--fail-on-length)")
    return ExitCode.DONE
