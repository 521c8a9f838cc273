"""A chat that is kept, and the tokens that a model reads of it.

Each turn renders the whole talk; what the context already holds of it is not evaluated again. An answer that was
stopped stays as far as it came. Turns that the model has forgotten, because the context was full, stay in the chat:
only the count of them grows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamachat.errors import ContextFull
from llamachat.library import chat_tokens
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.templates.renderer import ChatTemplate

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer

Message = dict[str, Any]
FOR_TEMPLATES = ("tool_calls", "tool_call_id", "name", "reasoning_content")
"""What templates are told of a message besides its role and content."""


@dataclass
class Conversation:
    """A chat of a store, read through a template. tools: what the template is told of them."""

    tokenizer: "Tokenizer"
    template: ChatTemplate
    store: ChatStore
    chat: int
    tools: Sequence[Message] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = self.store.settings(self.chat)

    @property
    def system(self) -> str | None:
        """What the model was told before."""
        return self.settings.get("system")

    def set(self, **settings: Any) -> None:
        """Changes settings of the chat; None takes one away."""
        self.settings = {name: value for name, value in {**self.settings, **settings}.items() if value is not None}
        self.store.set_settings(self.chat, self.settings)

    def path(self) -> list[StoredMessage]:
        """All messages of the talk."""
        return self.store.path_of(self.chat)

    @property
    def head(self) -> int | None:
        """The last message of the talk."""
        path = self.path()
        return path[-1].id if path else None

    def messages(self) -> list[Message]:
        """What a model reads: the system message, and the talk from where it still remembers it."""
        told = [{"role": "system", "content": self.system}] if self.system is not None else []
        return told + [_for_template(message) for message in self._remembered()]

    def tokens(self, text: str | None = None) -> list[int]:
        """The tokens of the talk, with `text` as the person's next message, up to where the answer begins.

        Control tokens come from the template only: one that a person or the model has spelled out is text. The message
        is not yet part of the talk: `ask` makes it so. Raises what `ChatTemplate.render` raises.
        """
        messages = self.messages()
        if text is not None:
            messages.append({"role": "user", "content": text})
        return chat_tokens(self.tokenizer, self.template, messages, self.tools or None)

    def fitting(self, text: str | None, n_ctx: int, forget: bool = True) -> tuple[list[int], int]:
        """The tokens as `tokens`, and how many of the oldest turns were forgotten so that a quarter of `n_ctx` is free.

        The system message stays. Raises ContextFull, and forgets nothing, where the message alone does not fit, and
        where nothing may be forgotten and it does not fit.
        """
        tokens, before, path = self.tokens(text), self.forgotten, self.path()
        borders = [index for index, message in enumerate(path) if message.role == "user" and index > before]
        borders += [len(path)] if text is not None and len(path) > before else []
        n_turns = 0
        try:
            while forget and len(tokens) > n_ctx - n_ctx // 4 and n_turns < len(borders):
                self.settings["forgotten"] = borders[n_turns]
                n_turns += 1
                tokens = self.tokens(text)
            if len(tokens) >= n_ctx:
                raise ContextFull(self._too_long(len(tokens), n_ctx, forget))
        except BaseException:
            self.settings["forgotten"] = before
            raise
        if n_turns:
            self.set(forgotten=self.settings["forgotten"])
        return tokens, n_turns

    def ask(self, text: str) -> int:
        """Makes a person's message part of the talk; its id."""
        return self.store.add(self.chat, self.head, StoredMessage(0, None, "user", text))

    def clear(self) -> None:
        """Begins anew; the system message stays."""
        self.store.set_head(self.chat, None)
        self.set(forgotten=None)

    @property
    def forgotten(self) -> int:
        """So many of the first messages of the talk the model does not read any more."""
        return int(self.settings.get("forgotten") or 0)

    def _remembered(self) -> list[StoredMessage]:
        path = self.path()
        return path[self.forgotten :] if self.forgotten <= len(path) else path

    def _too_long(self, n_tokens: int, n_ctx: int, forget: bool) -> str:
        told = " and what the model was told before" if self.system is not None else ""
        subject = f"the message{told} has" if forget else "the talk has"
        advice = "shorten it, or use a larger context (--ctx-size)"
        return f"{subject} {n_tokens} tokens, but the context holds {n_ctx}: {advice}"


def _for_template(message: StoredMessage) -> Message:
    return {
        "role": message.role,
        "content": message.content,
        **{name: message.extra[name] for name in FOR_TEMPLATES if name in message.extra},
    }
