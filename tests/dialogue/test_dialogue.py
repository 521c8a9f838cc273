"""A dialogue without a terminal, as a server has it: its own sinks, no thread, no signal."""

import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from scripted import ScriptedModel

from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.dialogue import Dialogue
from llamachat.dialogue.notices import Notice, TurnsForgotten
from llamachat.dialogue.prompts import chat_template
from llamachat.dialogue.responder import Responder
from llamachat.engine.events import Stop
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import ContextFull
from llamachat.session.chats import ChatStore


class Events:
    """A sink that keeps all events."""

    def __init__(self):
        self.events, self.n_closed = [], 0

    def event(self, event):
        self.events.append(event)

    def idle(self):
        raise AssertionError("nobody waits where everything is computed in place")

    def close(self):
        self.n_closed += 1

    @property
    def text(self):
        return "".join(event.text for event in self.events)


@dataclass
class Watched(Dialogue):
    """A dialogue whose answers and notices are kept."""

    sinks: list[Events] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def tell(self, notice):
        self.notices.append(notice)

    def sink(self, _prompt, _thinking, _before):
        self.sinks.append(Events())
        return self.sinks[-1]


@pytest.fixture
def make():
    def made(*answers, n_ctx=4096, kind=Watched):
        model = ScriptedModel(answers)
        options = GenerationOptions(sampling=SamplingOptions(temp=0.0))
        responder = Responder(model, model.context(n_ctx), options)
        store = ChatStore(None)
        return kind(responder, Conversation(model.tokenizer, chat_template(model), store, store.create("m")))

    return made


def kept(dialogue):
    return [(one.role, one.content, one.state) for one in dialogue.conversation.path()]


def test_a_message_is_answered_and_kept(make):
    dialogue = make("Hello.")
    dialogue.ask("Hi")
    assert kept(dialogue) == [("user", "Hi", "done"), ("assistant", "Hello.", "done")]
    assert dialogue.sinks[0].text == "Hello."
    assert isinstance(dialogue.sinks[0].events[-1], Stop)
    assert dialogue.again()
    assert kept(dialogue)[1][1] == "Hello."
    assert len(dialogue.conversation.store.tree_of(dialogue.conversation.chat)) == 3
    assert [sink.n_closed for sink in dialogue.sinks] == [1, 1]


def test_what_is_forgotten_is_reported_as_a_fact(make):
    dialogue = make("An answer.", n_ctx=400)
    for number in range(8):
        dialogue.ask(f"question {number} {'x' * 40}")
    assert dialogue.notices
    assert {type(notice) for notice in dialogue.notices} == {TurnsForgotten}


def test_a_message_that_cannot_fit_leaves_nothing_and_names_no_command(make):
    dialogue = make("An answer.", n_ctx=100)
    with pytest.raises(ContextFull) as refused:
        dialogue.ask("x" * 500)
    assert "/" not in str(refused.value)
    assert kept(dialogue) == []
    assert dialogue.sinks == []


def test_without_a_sink_of_its_own_a_dialogue_keeps_its_answers_all_the_same(make):
    dialogue = make("Hello.", kind=Dialogue)
    dialogue.ask("Hi")
    assert kept(dialogue)[1] == ("assistant", "Hello.", "done")


def test_no_terminal_is_loaded():
    code = "import sys, llamachat.dialogue.dialogue, llamachat.dialogue.prefill, llamachat.dialogue.tools.using\n" + (
        "print([name for name in sys.modules if name.startswith(('llamachat.terminal', 'llamachat.cli', "
        "'prompt_toolkit', 'rich', 'typer'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
