"""Prompts: the tokens of a conversation or of a text that is continued, and the chat template that makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from llamachat.engine.tokenizers import Tokenizer
from llamachat.engine.tokenizers.filling import Gap, fill_in
from llamachat.errors import ContextFull, UsageError
from llamachat.templates.encode import encode_parts
from llamachat.templates.renderer import ChatTemplate
from llamachat.templates.text import Worded

if TYPE_CHECKING:
    from llamachat.engine.answering import GenerationOptions

Message = Mapping[str, Any]

LONG_TEXT = 100_000
"""A text of more characters is measured before it is tokenized."""


class Templated(Protocol):
    """What a model must have for the choice of its chat template."""

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


@dataclass(frozen=True)
class Prompt:
    """A prompt that belongs to no conversation: a text that is continued as it stands, or one message.

    worded: or a gap that is filled in. template: what the message goes through, None for a text that is continued;
    system: what stands before it.
    """

    worded: Worded | Gap
    template: ChatTemplate | None = None
    system: str | None = None

    def tokens(self, tokenizer: Tokenizer, n_ctx: int | None = None) -> list[int]:
        """The tokens, up to where the answer begins. n_ctx: the tokens that the context holds. Raises ContextFull."""
        if isinstance(self.worded, Gap):
            return fill_in(tokenizer, self.worded, n_ctx).ids
        if self.template is None:
            if n_ctx is not None:
                check_length(tokenizer, self.worded.text, n_ctx)
            return raw_tokens(tokenizer, self.worded)
        first: list[Message] = [] if self.system is None else [{"role": "system", "content": self.system}]
        messages = [*first, {"role": "user", "content": self.worded.text}]
        return conversation_tokens(tokenizer, self.template, messages, n_ctx)

    def options(self, options: GenerationOptions) -> GenerationOptions:
        """The options, which also stop where the template ends an answer, or the filling of a gap is at its end."""
        if isinstance(self.worded, Gap):
            return replace(options, stop=(*options.stop, *self.worded.stop))
        if self.template is None:
            return options
        return replace(options, stop=(*options.stop, *self.template.end_texts))


def text_prompt(text: str, template: ChatTemplate | None = None, system: str | None = None) -> Prompt:
    """The prompt of a text that a person wrote, all of it."""
    return Prompt(Worded([(text, False)]), template, system)


def chat_template(
    model: Templated, source: str | None = None, variables: Mapping[str, Any] | None = None
) -> ChatTemplate:
    """The chat template of a model's file, or `source` instead; ChatML where there is none.

    variables: what the template gets besides the conversation. Raises UsageError for an encoder-decoder.
    """
    if getattr(model, "reads_texts", False):
        raise UsageError("the model is an encoder-decoder: it answers a text and does not chat")
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


def conversation_tokens(
    tokenizer: Tokenizer, template: ChatTemplate, messages: Sequence[Message], n_ctx: int | None = None
) -> list[int]:
    """The tokens as `chat_tokens`. n_ctx: the tokens that the context holds.

    Raises ContextFull for a last message that is too long for it, before the message is tokenized.
    """
    content = messages[-1].get("content") if messages else None
    if n_ctx is not None and isinstance(content, str):
        check_length(tokenizer, content, n_ctx)
    return chat_tokens(tokenizer, template, messages)


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
    """The tokens after the beginning-of-text token, where the model wants one.

    Most templates print it themselves; a second one makes answers worse.
    """
    bos = tokenizer.bos
    return [bos, *ids] if tokenizer.add_bos and bos is not None and ids[:1] != [bos] else ids
