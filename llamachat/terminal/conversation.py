"""A conversation in messages, and the tokens that the model reads of it.

Each turn renders the whole conversation; what the context already holds of it is not evaluated again. An answer that
was interrupted stays in the conversation as far as it came.
"""

from typing import TYPE_CHECKING

from llamachat.errors import ContextFull
from llamachat.library import chat_tokens
from llamachat.templates.renderer import ChatTemplate

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer

Message = dict[str, str]


class Conversation:
    """Messages between a person and a model; `system` is what the model was told before, if anything."""

    def __init__(self, tokenizer: "Tokenizer", template: ChatTemplate, system: str | None = None) -> None:
        self._tokenizer, self._template = tokenizer, template
        self._first: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        self.messages: list[Message] = list(self._first)

    def clear(self) -> None:
        """Forgets everything but the system message."""
        self.messages = list(self._first)

    def tokens(self, text: str) -> list[int]:
        """The tokens of the conversation with `text` as the person's next message, up to where the answer begins.

        Control tokens come from the template only: one that a person or the model has spelled out is text. The message
        is not yet part of the conversation: `add` makes it so. Raises what `ChatTemplate.render` raises.
        """
        return chat_tokens(self._tokenizer, self._template, [*self.messages, {"role": "user", "content": text}])

    def fitting(self, text: str, n_ctx: int) -> tuple[list[int], bool]:
        """The tokens as `tokens`, and whether the oldest turns were forgotten so that a quarter of `n_ctx` is free.

        The system message stays. Raises ContextFull, and forgets nothing, where the message alone does not fit.
        """
        kept, tokens = self.messages, self.tokens(text)
        while len(tokens) > n_ctx - n_ctx // 4 and len(self.messages) > len(self._first):
            self.messages = [*self._first, *self.messages[len(self._first) + 2 :]]
            tokens = self._tokens_or(kept, text)
        if len(tokens) >= n_ctx:
            self.messages = kept
            told = " and what the model was told before" if self._first else ""
            raise ContextFull(
                f"the message{told} has {len(tokens)} tokens, but the context holds {n_ctx}: shorten it, or use a "
                "larger context (--ctx-size)"
            )
        return tokens, self.messages is not kept

    def _tokens_or(self, before: list[Message], text: str) -> list[int]:
        """The tokens; where the template refuses, the conversation is as before."""
        try:
            return self.tokens(text)
        except BaseException:
            self.messages = before
            raise

    def add(self, text: str, answer: str) -> None:
        """Makes a message and its answer, maybe cut short, part of the conversation."""
        self.messages += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
