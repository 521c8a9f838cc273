"""A conversation in messages, and the tokens that the model reads of it.

Each turn renders the whole conversation; what the context already holds of it is not evaluated again. An answer that
was interrupted stays in the conversation as far as it came.
"""

from typing import TYPE_CHECKING

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

    def add(self, text: str, answer: str) -> None:
        """Makes a message and its answer, maybe cut short, part of the conversation."""
        self.messages += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
