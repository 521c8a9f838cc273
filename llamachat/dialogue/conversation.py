"""A stored chat, and the tokens that a model reads of it.

Each turn renders the whole chat; what the context already holds of it is not evaluated again. An answer that was
stopped stays as far as it came. Turns that the model has forgotten, because the context was full, stay in the chat:
only the count of them grows, and a summary may stand before the first turn that it remembers.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from llamachat.dialogue.alternating import alternating
from llamachat.dialogue.prompts import chat_tokens, fewest_tokens
from llamachat.dialogue.thoughts import replayed
from llamachat.dialogue.tools.choice import with_calls
from llamachat.engine.generation_context import common_prefix
from llamachat.errors import ContextFull, LlamaChatError
from llamachat.session.chats import DONE, ChatStore, StoredMessage
from llamachat.templates.renderer import ChatTemplate

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer

Message = dict[str, Any]
FOR_TEMPLATES = ("tool_calls", "tool_call_id", "name")
"""What templates get of a message besides its role and content."""

BEFORE = "(What was said before, in short: {})\n\n"
"""Stands before the first message that is remembered: not every template takes two messages of a person in a row."""

OF_THE_MESSAGES = ("forgotten", "summary")
"""Settings of a chat that refer to its messages."""

CHARS = 16
"""Characters of a token at most, on average over a whole chat."""


@dataclass(frozen=True)
class Fitted:
    """The tokens of a chat, after n_turns of its oldest turns were forgotten for them; whole: before that."""

    tokens: list[int]
    n_turns: int
    whole: list[int]


@dataclass
class Conversation:
    """A chat of a store, read through a template. tools: their descriptions for the template."""

    tokenizer: "Tokenizer"
    template: ChatTemplate
    store: ChatStore
    chat: int
    tools: Sequence[Message] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    _opening: tuple[Any, list[int]] | None = field(default=None, init=False, repr=False)
    _counted: tuple[Any, int] | None = field(default=None, init=False, repr=False)
    _stands_at: tuple[int | None] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.settings = self.store.settings(self.chat)

    @property
    def system(self) -> str | None:
        """The system prompt."""
        return self.settings.get("system")

    def set(self, **settings: Any) -> None:
        """Changes settings of the chat; None takes one away."""
        self.settings = {name: value for name, value in {**self.settings, **settings}.items() if value is not None}
        self.store.set_settings(self.chat, self.settings)

    @property
    def chosen(self) -> dict[str, str]:
        """What `/set` changed in this chat, each value as it was written. A value may not fit: it can be imported."""
        kept = self.settings.get("set")
        return {name: text for name, text in kept.items() if isinstance(text, str)} if isinstance(kept, dict) else {}

    def choose(self, name: str, text: str | None) -> None:
        """Keeps what `/set` changed with the chat; None: the default counts again."""
        chosen = {other: value for other, value in self.chosen.items() if other != name}
        if text is not None:
            chosen[name] = text
        self.set(set=chosen or None)

    def path(self) -> list[StoredMessage]:
        """All messages of the chat as it is now, without its other branches."""
        if self._stands_at is not None:
            return self.store.path_to(self.chat, self._stands_at[0])
        return self.store.path_of(self.chat)

    @contextmanager
    def standing_at(self, message: int | None) -> Iterator[None]:
        """Within the block the chat is what it was when this was its last message; what is kept does not change."""
        before, self._stands_at = self._stands_at, (message,)
        try:
            yield
        finally:
            self._stands_at = before

    @property
    def head(self) -> int | None:
        """The last message of the chat."""
        path = self.path()
        return path[-1].id if path else None

    def messages(self, text: str | None = None) -> list[Message]:
        """What a model reads: the system message, the chat from where it still remembers it, and `text` after it."""
        return self.between(self._first(), None, text)

    def between(self, first: int, last: int | None, text: str | None = None) -> list[Message]:
        """The system message, the messages from `first` up to `last`, and `text` after them."""
        path = [message for message in self.path()[first:last] if not _is_unsaid(message)]
        said = [_for_template(message, self.template.source) for message in path]
        if text is not None:
            said.append({"role": "user", "content": text})
        said = alternating(said)
        if self.summary and first == self.forgotten and said and said[0]["role"] == "user":
            said[0] = {**said[0], "content": BEFORE.format(self.summary) + said[0]["content"]}
        return [*self._system_message(), *said]

    def tokens(self, text: str | None = None) -> list[int]:
        """The tokens of the chat, with `text` as the person's next message, up to where the answer begins.

        Control tokens come from the template only: one that a person or the model has spelled out is text. The message
        is not yet part of the chat: `ask` makes it so. Raises what `ChatTemplate.render` raises.
        """
        return self._tokens(self.messages(text))

    @property
    def n_tokens(self) -> int | None:
        """How many tokens a model would read of the chat as it is now; None where the template refuses it."""
        last = self.path()[-1:]  # whole: an answer that continues stays the same message
        known = (self.chat, last, self.settings, self.template, self.tools, self.tokenizer)
        if self._counted is None or self._counted[0] != known:
            try:
                count = len(self.tokens())
            except LlamaChatError:
                return None
            self._counted = (*known[:2], dict(self.settings), *known[3:]), count
        return self._counted[1]

    def size(self, text: str, alone: bool) -> int:
        """How many tokens a model would read of `text` as the next message, after the chat, or `alone`."""
        if not alone:
            return len(self.tokens(text))
        return len(self._tokens([*self._system_message(), {"role": "user", "content": text}]))

    def n_before_messages(self, tokens: Sequence[int]) -> int:
        """How many of the chat's first tokens come before its first message. Raises as `tokens`."""
        known = (self.system, self.template, self.tools)
        if self._opening is None or self._opening[0] != known:
            one, other = (self._tokens([*self._system_message(), {"role": "user", "content": said}]) for said in "ab")
            self._opening = known, one[: common_prefix(one, other)]
        return common_prefix(self._opening[1], tokens)

    def known_prefix(self) -> Callable[[], list[int]]:
        """A function that finds the tokens before the next message, whatever that says; a thread may call it."""
        both = [self.messages(text) for text in "ab"]

        def found() -> list[int]:
            one, other = (self._tokens(messages) for messages in both)
            return one[: common_prefix(one, other)]

        return found

    def borders(self) -> list[int]:
        """Where the turns begin that are remembered, but for the first of them."""
        before = self.forgotten
        return [index for index, message in enumerate(self.path()) if message.role == "user" and index > before]

    def fitting(self, text: str | None, n_ctx: int, forget: bool = True, room: int = 0) -> Fitted:
        """The tokens as `tokens`, of which more than a quarter of `n_ctx` is free, and how many turns that cost.

        Where something must be forgotten half of `n_ctx` and `room` become free, if forgetting can do that, so that it
        is not to be done again with each message. The system message stays. Raises ContextFull, and forgets nothing,
        where the message alone does not fit, and where nothing may be forgotten and it does not fit.
        """
        fewest = fewest_tokens(self.tokenizer, text or "")
        if fewest > n_ctx:
            raise ContextFull(self._too_long(fewest, n_ctx, forget))
        whole, before = self.tokens(text), self.forgotten
        found = Fitted(whole, 0, whole)
        try:
            if forget and len(whole) > n_ctx - n_ctx // 4:
                found = self._forgetting(text, whole, (n_ctx // 2 - room, n_ctx - n_ctx // 4 - room))
            if len(found.tokens) >= n_ctx:
                raise ContextFull(self._too_long(len(found.tokens), n_ctx, forget))
        except BaseException:
            self.settings["forgotten"] = before
            raise
        if found.n_turns:
            self.set(forgotten=self.settings["forgotten"])
        return found

    def remember(self, n_ctx: int) -> None:
        """Takes back what a smaller context made it forget, where half of `n_ctx` holds all of the chat."""
        before = self.forgotten
        if not before or sum(len(message.content) for message in self.path()) > CHARS * n_ctx:
            return
        kept = dict(self.settings)
        self.settings = {name: value for name, value in kept.items() if name not in OF_THE_MESSAGES}
        try:
            fits = len(self.tokens(None)) <= n_ctx // 2
        except LlamaChatError:  # the template refuses it now
            fits = False
        self.settings = kept
        if fits:
            self.set(forgotten=None, summary=None)

    def _forgetting(self, text: str | None, whole: list[int], limits: Sequence[int]) -> Fitted:
        """With as few of the oldest turns forgotten as the first limit asks for that can be met; else with all."""
        length = len(self.path())
        borders = self.borders() + ([length] if text is not None and length > self.forgotten else [])

        if not borders:
            return Fitted(whole, 0, whole)

        @cache
        def after(n_turns: int) -> list[int] | None:
            """None where the template refuses so short a chat."""
            self.settings["forgotten"] = borders[n_turns - 1]
            try:
                return self.tokens(text)
            except LlamaChatError:
                return None

        def fits(n_turns: int, limit: int) -> bool:
            tokens = after(n_turns)
            return tokens is None or len(tokens) <= limit

        counts = range(1, len(borders) + 1)
        for limit in limits:
            n_turns = 1 + bisect_left(counts, True, key=partial(fits, limit=limit))
            if n_turns in counts and after(n_turns) is not None:
                break
        else:
            n_turns = len(borders)
        self.settings["forgotten"] = borders[n_turns - 1]
        return Fitted(self.tokens(text), n_turns, whole)

    def ask(self, text: str) -> int:
        """Makes a person's message part of the chat; its id."""
        return self.ask_after(self.head, text)

    def ask_after(self, parent: int | None, text: str, is_head: bool = True, **extra: Any) -> int:
        """Keeps a person's message after `parent`; its id. is_head: the chat continues there."""
        return self.store.add(self.chat, parent, StoredMessage(0, None, "user", text, extra=extra), is_head)

    def go_to(self, message: int | None) -> None:
        """Makes a message the last one of the chat. What was forgotten is remembered where it is not what was."""
        before = [one.id for one in self.path()]
        self.store.set_head(self.chat, message)
        after = [one.id for one in self.path()]
        if self.forgotten >= len(after) or before[: self.forgotten] != after[: self.forgotten]:
            self.set(forgotten=None, summary=None)

    def change(self, chat: int) -> None:
        """Continues with another chat."""
        self.chat, self.settings = chat, self.store.settings(chat)

    @property
    def forgotten(self) -> int:
        """How many of the first messages of the chat the model does not read any more."""
        return int(self.settings.get("forgotten") or 0)

    @property
    def summary(self) -> str:
        """What was forgotten, in the model's own words; "" for nothing."""
        return str(self.settings.get("summary") or "")

    def _first(self) -> int:
        """Where the part of the chat begins that is remembered."""
        return self.forgotten if self.forgotten <= len(self.path()) else 0

    def _system_message(self) -> list[Message]:
        return [{"role": "system", "content": self.system}] if self.system is not None else []

    def _tokens(self, messages: list[Message]) -> list[int]:
        return chat_tokens(self.tokenizer, self.template, messages, self.tools or None)

    def _too_long(self, n_tokens: int, n_ctx: int, forget: bool) -> str:
        also = " and the system prompt" if self.system is not None else ""
        subject = f"the message{also} has" if forget else "the chat has"
        advice = "shorten it" if forget else "take turns back, begin a new chat"
        return f"{subject} {n_tokens} tokens, but the context holds {n_ctx}: {advice}, or use a larger context"


def _is_unsaid(message: StoredMessage) -> bool:
    """Whether it is an answer that was interrupted before its first word."""
    return message.role == "assistant" and message.state != DONE and not message.content and not message.extra


def _for_template(message: StoredMessage, template: str) -> Message:
    said = {"content": message.content} if message.role != "assistant" else replayed(message.content, template)
    more = {name: message.extra[name] for name in FOR_TEMPLATES if name in message.extra}
    read: Message = {"role": message.role, **said, **more}
    return read if not read.get("tool_calls") else with_calls(read, template)
