"""The loop of a chat without a terminal: what goes wrong is said, and the talk goes on."""

from collections.abc import Callable
from typing import Any

import pytest
from scripted import STUCK, ScriptedModel

from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.prompts import chat_template
from llamachat.dialogue.responder import Responder
from llamachat.engine.generate import GenerationOptions
from llamachat.errors import Cancelled, GrammarError, LlamaChatError
from llamachat.session.chats import ChatStore
from llamachat.session.history import InputHistory
from llamachat.terminal import chat
from llamachat.terminal.chat import ChatLoop
from llamachat.terminal.chatting import Chat
from llamachat.terminal.console import Console
from llamachat.terminal.input.message import Typed
from llamachat.terminal.input.reader import InputSettings
from llamachat.terminal.stream import Stream

Talk = Callable[..., Conversation]


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    """Types the lines into a chat and returns the conversation at its end."""

    def run(
        *lines: str, answers: tuple[str, ...] = ("An answer.",), n_ctx: int = 4096, warning: str | None = None
    ) -> Conversation:
        typed = iter(lines)

        def reader(history: InputHistory, _settings: InputSettings) -> Callable[..., Typed]:
            def read(*_draft: str) -> Typed:
                history.warning = warning
                for line in typed:
                    return Typed(line)
                raise EOFError

            return read

        monkeypatch.setattr(chat, "line_reader", reader)
        model: Any = ScriptedModel(answers)
        responder = Responder(model, model.context(n_ctx), GenerationOptions(), Console())
        store = ChatStore(None)
        talked = Conversation(model.tokenizer, chat_template(model), store, store.create("scripted"))
        ChatLoop(Chat(responder, talked)).run()
        return talked

    return run


def fails_once(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, error: BaseException) -> None:
    """The first call of the method raises."""
    errors, own = [error], getattr(owner, method)

    def failing(*arguments: object, **named: object) -> object:
        if errors:
            raise errors.pop()
        return own(*arguments, **named)

    monkeypatch.setattr(owner, method, failing)


@pytest.mark.parametrize(
    ("owner", "method", "error", "said"),
    [
        pytest.param(Conversation, "tokens", LlamaChatError("it refuses"), "(it refuses", id="template"),
        pytest.param(Responder, "answer", GrammarError("too complex"), "(too complex", id="grammar"),
        pytest.param(Responder, "answer", Cancelled("stopped"), "(interrupted)", id="cancelled"),
        pytest.param(Conversation, "tokens", Cancelled("stopped"), "(interrupted)", id="cancelled early"),
    ],
)  # fmt: skip
def test_an_error_is_said_and_the_chat_goes_on(talk, monkeypatch, capsys, owner, method, error, said):
    fails_once(monkeypatch, owner, method, error)
    talked = talk("first", "second")
    assert said in capsys.readouterr().out
    assert [message["content"] for message in talked.messages()] == ["second", "An answer."]


def test_a_message_that_was_not_read_to_its_end_is_taken_back(talk, monkeypatch):
    own = Stream.__enter__

    def interrupted(self: Stream[Any]) -> Stream[Any]:
        entered = own(self)
        self._interrupt(2, None)
        return entered

    monkeypatch.setattr(Stream, "__enter__", interrupted)
    assert talk("a long paste", answers=(STUCK,)).messages() == []


def test_the_oldest_turns_are_forgotten_and_that_is_said(talk, capsys):
    talked = talk(*(f"question {number} {'x' * 40}" for number in range(8)), n_ctx=400)
    said = capsys.readouterr().out
    assert "(the context is full: the oldest 2 turns are forgotten)" in said
    assert said.count("An answer.") == 8
    assert talked.messages()[-2]["content"].startswith("question 7")


def test_a_message_too_long_for_the_context_is_said_and_the_chat_goes_on(talk, capsys):
    talked = talk("first", "x" * 500, "third", n_ctx=400)
    assert "the message has" in capsys.readouterr().out
    assert [message["content"] for message in talked.messages()[::2]] == ["first", "third"]


def test_a_history_that_cannot_be_written_is_said_once(talk, capsys):
    talk("first", "second", "third", warning="the history cannot be written")
    assert capsys.readouterr().err.count("the history cannot be written") == 1
