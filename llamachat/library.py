"""The library's face: a model that generates and chats.

from llamachat import Model
with Model("smollm2.gguf") as model:
    for event in model.chat([{"role": "user", "content": "Hello!"}], max_tokens=64):
        print(event.text, end="")
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from llamachat.catalog.resolve import resolve
from llamachat.engine.context import Context
from llamachat.engine.generate import UNLIMITED, Event, GenerationOptions, Speculation, generate
from llamachat.engine.model import Model as EngineModel
from llamachat.engine.sampling.file_defaults import with_file_defaults
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import ContextFull
from llamachat.templates.encode import encode_parts
from llamachat.templates.renderer import ChatTemplate
from llamachat.templates.text import Worded

if TYPE_CHECKING:
    from llamachat.engine.grammar import GrammarSource

Message = Mapping[str, Any]

LONG_TEXT = 100_000
"""Characters from which it pays to see first whether a text can fit."""


class Model(EngineModel):
    """A GGUF model that generates text. Tokenizing and contexts: see `engine.model.Model`."""

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None, **settings: Any) -> None:
        """Loads a model: a file, or a name as on the command line ("smollm2", a part of one of `llamachat models`).

        Other arguments and errors as of `engine.model.Model`. Nothing is ever downloaded: UsageError for a name that
        is no model's here, with the command that fetches it.
        """
        super().__init__(resolve(os.fspath(path)), threads, **settings)

    def generate(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int = UNLIMITED,
        stop: str | Sequence[str] = (),
        grammar: GrammarSource | None = None,
        n_keep: int | None = None,
        context: Context | None = None,
        speculation: Speculation | None = None,
        **sampling: Any,
    ) -> Iterator[Event]:
        """Continues a text, or token ids: an iterator of `Token` events and one `Stop`.

        grammar, n_keep: see `GenerationOptions`. context: where to evaluate; the default is one context of the model,
        whose common prefix with the prompt is not evaluated again. sampling: fields of `SamplingOptions`, as temp=0 or
        seed=1; for others the file's own defaults hold. Raises UsageError, ContextFull.
        """
        context = context or self._own_context
        if isinstance(prompt, str):
            check_length(self.tokenizer, prompt, context.n_ctx)
        tokens = self.tokenize(prompt) if isinstance(prompt, str) else list(prompt)
        stop = (stop,) if isinstance(stop, str) else stop
        given = SamplingOptions(**sampling, given=frozenset(sampling))
        settings, _ = with_file_defaults(given, self.file.metadata)
        options = GenerationOptions(
            max_tokens=max_tokens, stop=tuple(stop), sampling=settings, grammar=grammar, n_keep=n_keep
        )
        return generate(context, self.tokenizer, tokens, options, speculation=speculation)

    def chat(
        self,
        messages: Sequence[Message],
        *,
        stop: str | Sequence[str] = (),
        **settings: Any,
    ) -> Iterator[Event]:
        """Answers a conversation of {"role", "content"} messages through the model's chat template.

        Earlier turns that the context holds are not evaluated again. A control token that is spelled out in a message
        is text. Arguments and errors as in `generate`; ModelFileError for a template that cannot be used.
        """
        self._check_last(messages, settings.get("context") or self._own_context)
        tokens = chat_tokens(self.tokenizer, self.template, messages)
        stops = (*((stop,) if isinstance(stop, str) else stop), *self.template.end_texts)
        return self.generate(tokens, stop=stops, **settings)

    def _check_last(self, messages: Sequence[Message], context: Context) -> None:
        """Raises ContextFull where the last message alone cannot fit."""
        content = messages[-1].get("content") if messages else None
        if isinstance(content, str):
            check_length(self.tokenizer, content, context.n_ctx)

    @cached_property
    def template(self) -> ChatTemplate:
        """The file's chat template; ChatML where it has none."""
        return chat_template(self)

    @cached_property
    def _own_context(self) -> Context:
        return self.context()


class Templated(Protocol):
    """What choosing a chat template needs of a model."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        ...

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of its file's chat template."""
        ...

    @property
    def tool_template(self) -> str | None:
        """The one for chats with tools, where the file has one of its own."""
        ...


def chat_template(
    model: Templated, source: str | None = None, variables: Mapping[str, Any] | None = None
) -> ChatTemplate:
    """The chat template of a model's file, or `source` instead; ChatML where there is none.

    variables: what it is told besides the conversation.
    """
    tokenizer = model.tokenizer
    bos, eos = (tokenizer.piece(token) if token is not None else "" for token in (tokenizer.bos, tokenizer.eos))
    return ChatTemplate(model.chat_template if source is None else source, bos, eos, variables=variables)


def check_length(tokenizer: Tokenizer, text: str, n_ctx: int) -> None:
    """Raises ContextFull for a prompt that cannot fit, before it is tokenized: that takes 150 times its memory."""
    n_tokens = fewest_tokens(tokenizer, text)
    if n_tokens > n_ctx:
        raise ContextFull(
            f"the prompt has {n_tokens} tokens or more, but the context holds {n_ctx}; shorten the prompt or use a "
            "larger context"
        )


def fewest_tokens(tokenizer: Tokenizer, text: str) -> int:
    """How many tokens a long text has at least, whatever a template takes from its ends; 0 for others."""
    return tokenizer.at_least(text.strip()) if len(text) > LONG_TEXT else 0


def chat_tokens(
    tokenizer: Tokenizer, template: ChatTemplate, messages: Sequence[Message], tools: Sequence[Message] | None = None
) -> list[int]:
    """The tokens of a conversation, up to where the answer begins. Control tokens come from the template only."""
    special_texts = tokenizer.special_texts
    more: dict[str, Any] = {"tools": tools} if tools else {}
    parts = template.render_parts(messages, special_texts=special_texts, **more)
    return _with_bos(tokenizer, encode_parts(parts, tokenizer.encode, special_texts))


def raw_tokens(tokenizer: Tokenizer, prompt: Worded) -> list[int]:
    """The tokens of a text that is continued as it stands. Control tokens come from a template's own parts only."""
    own = [part for part, is_own in prompt.parts if is_own]
    if not any(text in part for part in own for text in tokenizer.special_texts):
        return tokenizer.encode(prompt.text)
    return _with_bos(tokenizer, encode_parts(prompt.parts, tokenizer.encode, tokenizer.special_texts))


def _with_bos(tokenizer: Tokenizer, ids: list[int]) -> list[int]:
    """The tokens behind that which begins a text, where the model wants it.

    Most templates print it themselves; a second one makes answers worse.
    """
    bos = tokenizer.bos
    return [bos, *ids] if tokenizer.add_bos and bos is not None and ids[:1] != [bos] else ids
