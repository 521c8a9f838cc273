"""`llamachat run`: completions, for scripts and pipes."""

from llamachat.cli import loading
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.options import LengthChoice, ModelChoice
from llamachat.cli.prompt_cache import PromptCacheChoice
from llamachat.cli.run.answers import Asked, answer_many, answered, code_of, many_lines, show_previews
from llamachat.cli.run.gap import GapChoice
from llamachat.cli.run.options import ReportChoice, RunMode, RunPrompt
from llamachat.cli.speculation import SpeculationChoice
from llamachat.cli.template_choice import TemplateChoice
from llamachat.engine.sampling.options import SamplingOptions


def run(
    model: ModelChoice,
    prompt: RunPrompt,
    gap: GapChoice,
    length: LengthChoice,
    sampling: SamplingOptions,
    constraint: ConstraintChoice,
    speculation: SpeculationChoice,
    mode: RunMode,
    report: ReportChoice,
    template: TemplateChoice,
    kept: PromptCacheChoice,
) -> int:
    """Complete a prompt, for scripts and pipes.

    Standard output gets the generated text and nothing else. The prompt is PROMPT or -p, each -f, and standard input,
    in this order, separated by blank lines; or a prompt of the library (--prompt) with these as its input. The model
    continues the prompt as it stands. For an instruction-tuned model use --chat, as in
    `cat notes.txt | llamachat run --chat "Summarise:"`. Generation stops when the context is full; with -n -1 it
    continues with context shifts. --infill and --infill-at fill in the middle of a text instead, for editors.
    """
    report.silence()
    options = prompt.length(length).options(report.sampling(sampling), constraint)
    data = prompt.data() if mode.prompts is None and not gap.given else None
    asked = Asked(template, prompt.system(mode.system_text(), data), mode, report)
    if mode.many:
        lines = many_lines(prompt, mode, options, data)
        return show_previews(model, lines, asked) if mode.dry_run else answer_many(model, lines, asked)
    worded = gap.gap(list(prompt.file or ())) if gap.given else asked.worded(prompt, data or "")
    if mode.dry_run:
        return show_previews(model, [(worded, options)], asked)
    from llamachat.terminal.console import Console  # the engine, which --help does without

    console = Console()
    with loading.open_responder(model, options, speculation, console) as opened:
        answer = answered(opened, console, worded, asked, kept.keeper(console.status.enabled))
    return code_of(answer, mode)
