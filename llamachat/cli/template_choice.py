"""Options for the chat template, its variables, and the thoughts of a model."""

import json
import os
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from llamachat.errors import UsageError
from llamachat.files import read_again

if TYPE_CHECKING:
    from llamachat.dialogue.prompts import Templated
    from llamachat.templates.renderer import ChatTemplate

LARGEST_FILE = 4_000_000
RESERVED = ("messages", "tools", "documents", "add_generation_prompt")


class Reasoning(StrEnum):
    """What is done with a model's thoughts."""

    SHOW = "show"
    HIDE = "hide"
    OFF = "off"


@dataclass(frozen=True)
class TemplateChoice:
    """The chat template and its variables."""

    chat_template: Annotated[
        str | None,
        Option("--chat-template", metavar="NAME|FILE|TEXT", help="Use this chat template instead of the model's "
               "own: a name from `llamachat templates`, a Jinja file, or Jinja source."),
    ] = None  # fmt: skip
    template_kwargs: Annotated[
        str | None,
        Option("--template-kwargs", "--chat-template-kwargs", metavar="JSON", help="Variables for the chat "
               'template, such as {"enable_thinking": false}.'),
    ] = None  # fmt: skip
    reasoning: Annotated[
        Reasoning,
        Option("--reasoning", help="The model's thoughts before its answer: show them dimmed and then folded, "
               "hide them, or switch them off if the template can."),
    ] = Reasoning.SHOW  # fmt: skip

    def __post_init__(self) -> None:
        self.variables()
        self.source()

    @property
    def given(self) -> bool:
        """Whether another template, or something for it, was asked for."""
        return self.chat_template is not None or self.template_kwargs is not None

    @property
    def called(self) -> str:
        """What messages call the template."""
        if self.chat_template is None:
            return "this model's chat template"
        given = self.chat_template
        return "the chat template given" if "{{" in given or "{%" in given else f"the chat template {given}"

    def variables(self) -> dict[str, Any]:
        """The template's variables. Raises UsageError for what is no JSON object, and for reserved names."""
        usual: dict[str, Any] = {"enable_thinking": False} if self.reasoning is Reasoning.OFF else {}
        if self.template_kwargs is None:
            return usual
        try:
            given = json.loads(self.template_kwargs)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--template-kwargs is not JSON: {error}") from error
        if not isinstance(given, dict):
            raise UsageError('--template-kwargs must be a JSON object, as {"enable_thinking": false}')
        for name in RESERVED:
            if name in given:
                raise UsageError(f"--template-kwargs: {name} is part of every conversation and cannot be given")
        return {**usual, **given}

    def source(self) -> str | None:
        """The template's text; None for the model's own. Raises UsageError for what is no name, file or Jinja."""
        if self.chat_template is None:
            return None
        from llamachat.templates.named import builtin_names, builtin_template

        given = self.chat_template
        if given in builtin_names():
            return builtin_template(given)
        if "{{" in given or "{%" in given:
            return given
        if os.sep in given or _is_there(Path(given)):
            return _text_of(Path(given))
        close = get_close_matches(given, builtin_names(), 1)
        hint = f"did you mean {close[0]}?" if close else "`llamachat templates` lists the names"
        raise UsageError(f"--chat-template {given!r} is neither a known name, nor a file, nor Jinja; {hint}")

    def chosen(self, model: "Templated", tools: bool = False) -> "ChatTemplate | None":
        """The template for this model, if anything was chosen. tools: for a chat that has some."""
        source, variables = self.source(), self.variables()
        if source is None and tools:
            source = model.tool_template
        if source is None and not variables:
            return None
        from llamachat.dialogue.prompts import chat_template

        return chat_template(model, source, variables)


def _is_there(path: Path) -> bool:
    """Whether there is a file of this name, or a pipe."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # a text that is too long for a name
        return False


def _text_of(path: Path) -> str:
    try:
        content = read_again(path, LARGEST_FILE, f"--chat-template {path}").decode("utf-8")
        return content.replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"--chat-template {path} is not UTF-8 text (offset {error.start})") from error
