"""`run --dry-run`: what the model would see, and the settings; the weights stay where they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llamachat.cli import loading
from llamachat.cli.options import ModelChoice
from llamachat.cli.report import Format, ReportChoice
from llamachat.cli.template_choice import TemplateChoice
from llamachat.errors import ExitCode
from llamachat.templates.text import Worded

if TYPE_CHECKING:
    from llamachat.dialogue.prompts import Templated
    from llamachat.engine.generate import GenerationOptions
    from llamachat.templates.renderer import ChatTemplate
    from llamachat.terminal.batch import Line
    from llamachat.terminal.preview import Preview


@dataclass(frozen=True)
class Wanted:
    """What becomes of a prompt: `answers` sends it through the chat template, behind what the model is told."""

    template: TemplateChoice
    system: str | None
    answers: bool

    def template_of(self, model: "Templated") -> "ChatTemplate | None":
        """What a prompt goes through for this model; None where it is continued as it stands."""
        from llamachat.dialogue.prompts import chat_template

        return self.template.chosen(model) or chat_template(model) if self.answers else None


def show_previews(model: ModelChoice, lines: "Sequence[Line]", wanted: Wanted, report: ReportChoice) -> int:
    """Prints what the model would see of each prompt. Raises ModelFileError."""
    from llamachat.terminal.preview import print_previews

    opened = loading.open_without_weights(model)
    print_previews([_seen(opened, *line, wanted) for line in lines], as_json=report.output is not Format.TEXT)
    return ExitCode.DONE


def _seen(opened: loading.WithoutWeights, prompt: Worded, options: "GenerationOptions", wanted: Wanted) -> "Preview":
    from llamachat.dialogue.prompts import chat_tokens, raw_tokens
    from llamachat.terminal.preview import Preview

    options, name, tokenizer = loading.with_defaults(opened, options), str(opened.file.path), opened.tokenizer
    template = wanted.template_of(opened)
    if template is None:
        return Preview(name, "raw", raw_tokens(tokenizer, prompt), options, tokenizer)
    told = [] if wanted.system is None else [{"role": "system", "content": wanted.system}]
    ids = chat_tokens(tokenizer, template, [*told, {"role": "user", "content": prompt.text}])
    options = replace(options, stop=(*options.stop, *template.end_texts))
    return Preview(name, f"chat ({template.name or 'one of its own'})", ids, options, tokenizer)
