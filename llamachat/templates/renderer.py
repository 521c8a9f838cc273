"""A model's chat template: from messages to the text that it was trained on.

Names, filters and whitespace are those of `transformers.PreTrainedTokenizerBase.apply_chat_template`, for which
templates are written. Where the template runs, and what it may use: `program`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

from llamachat.errors import LlamaChatError, ModelFileError
from llamachat.templates.faults import TemplateFault
from llamachat.templates.given import given
from llamachat.templates.named import builtin_template, end_text, known_name
from llamachat.templates.program import program_of
from llamachat.templates.provenance import Parts, Source, split_by_origin

Message = Mapping[str, Any]
NAME = re.compile(r"[\w$.-]+")


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
        self._program = program_of(self.source)

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
        on it, or exceeds its budget of steps, size or time; or if the conversation is none of JSON's types.
        """
        self._program.begin(len(messages))
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
        self._program.begin(len(messages))
        moment = self._now()
        settings = {name: value for name, value in kwargs.items() if name not in ("tools", "documents")}
        conversation = {"messages": messages, "tools": kwargs.get("tools"), "documents": kwargs.get("documents")}

        def render(part: Mapping[str, Any]) -> str:
            return self._render({**part, **settings}, add_generation_prompt, moment)

        source = Source(render, self._literals, self._keys, special_texts)
        return split_by_origin(source, conversation)

    def _render(self, conversation: Mapping[str, Any], add_generation_prompt: bool, moment: datetime) -> str:
        variables = {
            "tools": None,
            "documents": None,
            **self._tokens,
            "add_generation_prompt": add_generation_prompt,
            **self.variables,
            **conversation,
        }
        with _in_words():
            return self._program.render(given(variables), moment)

    @cached_property
    def _literals(self) -> list[str]:
        """The template's string constants: what it may look for in a text."""
        with _in_words():
            return self._program.literals()

    @cached_property
    def _keys(self) -> frozenset[str]:
        """What the template looks up by name in what it is given; control tokens are no names."""
        with _in_words():
            return frozenset(filter(NAME.fullmatch, [*self._program.keys(), *self._literals]))


@contextmanager
def _in_words() -> Iterator[None]:
    """A template's fault as one sentence."""
    try:
        yield
    except TemplateFault as fault:
        raise _worded(fault) from fault


def _worded(fault: TemplateFault) -> LlamaChatError:
    match fault.kind:
        case "syntax" | "invalid":
            place = f"line {fault.line}: " if fault.line else ""
            return ModelFileError(
                f"The chat template is not valid Jinja ({place}{fault}); give another one, or none for ChatML"
            )
        case "refuses":
            return LlamaChatError(f"The chat template refuses this conversation: {fault}")
        case "fails":
            return LlamaChatError(f"The chat template fails on this conversation in line {fault.line}: {fault}")
        case _:
            return LlamaChatError(str(fault))
