"""A model's chat template: from messages to the text that it was trained on.

Names, filters and whitespace are those of `transformers.PreTrainedTokenizerBase.apply_chat_template`, for which
templates are written. jinja2 is imported when the first template is rendered, because it costs 60 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llamachat.errors import LlamaChatError, ModelFileError
from llamachat.templates.faults import one_line, template_line
from llamachat.templates.named import builtin_template, end_text, known_name
from llamachat.templates.provenance import Parts, split_by_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template

    from llamachat.templates.sandbox import TemplateEnvironment

Message = Mapping[str, Any]


class ChatTemplate:
    """Renders conversations; `source` None is ChatML. `now` is the clock for templates that print the date.

    variables: what this template knows besides (`enable_thinking`), for all its renderings. is_builtin: it is one of
    this package. end_texts: what ends an answer where the model has no token for it, because the template is not its
    own. name: what the template is called, as far as it looks like one that has a name.

    A message is a mapping with "role" and "content" (a text, or a list of {"type": "text", "text": ...}) and whatever
    else the template knows ("tool_calls", "reasoning_content"). Note that most templates print `bos_token`
    themselves: tokenise their text without adding special tokens.
    """

    def __init__(
        self,
        source: str | None,
        bos_token: str = "",
        eos_token: str = "",
        now: Callable[[], datetime] = datetime.now,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        self.source = builtin_template("chatml") if source is None else source
        end = end_text(self.source)
        self.is_builtin = bool(end)
        self.end_texts = (end,) if end else ()
        self.variables = dict(variables or {})
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._now = now

    @property
    def name(self) -> str | None:
        """What the template is called."""
        return known_name(self.source)

    def with_variables(self, **variables: Any) -> ChatTemplate:
        """The same template with these variables besides."""
        tokens = self._tokens["bos_token"], self._tokens["eos_token"]
        return ChatTemplate(self.source, *tokens, self._now, {**self.variables, **variables})

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = True, **kwargs: Any) -> str:
        """The conversation as text. kwargs: `tools`, `documents`, and what this template knows (`enable_thinking`).

        Raises ModelFileError if the template does not compile, LlamaChatError if it refuses this conversation, fails
        on it, or exceeds its budget of steps, size or time.
        """
        _ = self._template  # reading it is not part of what a rendering may use
        self._environment.budget.begin(len(messages))
        return self._render({"messages": messages, **kwargs}, add_generation_prompt, self._now())

    def render_parts(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = True,
        *,
        special_texts: Iterable[str] = (),
        **kwargs: Any,
    ) -> Parts:
        """`render` in parts (text, whether it is the template's own); joined they are `render`'s text.

        Texts of messages, tools and documents are a person's: nothing in them may become a control token. White space
        around them may stand in the template's parts. `special_texts`: the texts of the tokenizer's control tokens, for
        templates whose output cannot be followed character by character (see `provenance`). All the renderings that
        this takes share one budget of steps and time; raises as `render`.
        """
        _ = self._template, self._literals
        self._environment.budget.begin(len(messages))
        moment = self._now()
        settings = {name: value for name, value in kwargs.items() if name not in ("tools", "documents")}
        conversation = {"messages": messages, "tools": kwargs.get("tools"), "documents": kwargs.get("documents")}

        def render(given: Mapping[str, Any]) -> str:
            return self._render({**given, **settings}, add_generation_prompt, moment)

        return split_by_origin(render, conversation, self._literals, special_texts)

    def _render(self, given: Mapping[str, Any], add_generation_prompt: bool, moment: datetime) -> str:
        from llamachat.templates.budget import bounded
        from llamachat.templates.sandbox import clock

        variables = {
            "tools": None,
            "documents": None,
            **self._tokens,
            "add_generation_prompt": add_generation_prompt,
            "strftime_now": clock(moment),
            **self.variables,
            **given,
        }
        template = self._template
        chunks: list[str] = []
        n_chars = 0
        with _translated_errors():
            self._environment.budget.forget()
            for chunk in template.generate(variables):
                chunks.append(chunk)
                n_chars += len(chunk)
                bounded(n_chars)
        return "".join(chunks)

    @cached_property
    def _environment(self) -> TemplateEnvironment:
        from llamachat.templates.sandbox import TemplateEnvironment

        return TemplateEnvironment()

    @cached_property
    def _template(self) -> Template:
        with _valid_jinja():
            return self._environment.from_string(self.source)

    @cached_property
    def _literals(self) -> list[str]:
        """The template's string constants: what it may look for in a text."""
        from jinja2 import nodes

        with _valid_jinja():
            constants = self._environment.parse(self.source).find_all(nodes.Const)
            return [node.value for node in constants if isinstance(node.value, str)]


@contextmanager
def _valid_jinja() -> Iterator[None]:
    """What reading a template raises, as a ModelFileError."""
    from jinja2.exceptions import TemplateSyntaxError

    try:
        yield
    except TemplateSyntaxError as error:
        reason = f"line {error.lineno}: {one_line(error.message or error)}"
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        reason = one_line(error) or type(error).__name__
    else:
        return
    raise ModelFileError(f"The chat template is not valid Jinja ({reason}); give another one, or none for ChatML")


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Whatever a template raises, as one sentence; it is a program of someone else's, so that can be anything."""
    from jinja2.exceptions import TemplateError, TemplateRuntimeError

    try:
        yield
    except LlamaChatError:
        raise
    except RecursionError as error:
        raise LlamaChatError("The chat template was stopped: it calls itself too deeply") from error
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        if isinstance(error, TemplateError) and not isinstance(error, TemplateRuntimeError):
            raise LlamaChatError(f"The chat template refuses this conversation: {reason}") from error
        line = template_line(error)
        raise LlamaChatError(f"The chat template fails on this conversation in line {line}: {reason}") from error
