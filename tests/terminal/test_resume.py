"""A chat that goes on in another process: what of it is evaluated, and what is said when nothing was kept."""

import pytest

from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.keeper import Keeper
from llamachat.dialogue.prompts import chat_template
from llamachat.dialogue.responder import Responder
from llamachat.dialogue.snapshots import silent
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.model import Model
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.fallback import FallbackStore
from llamachat.session.locks import ChatLock
from llamachat.session.places import database_path, locks_folder, snapshots_folder
from llamachat.terminal.chatting import Chat
from llamachat.terminal.console import Console

FEW = 30
"""Tokens of a short question and of the template around it."""


@pytest.fixture(scope="module")
def model(smollm2):
    with Model(smollm2, n_ctx=2048) as made:
        yield made


class Process:
    """What one run of the program has of a chat."""

    def __init__(self, model, number=None, budget=1 << 30, cache=None):
        self.store = FallbackStore(database_path(), pytest.fail)
        self.keeper = Keeper(self.store, budget)
        options = GenerationOptions(sampling=SamplingOptions(temp=0.0), max_tokens=8)
        self.responder = Responder(model, model.context(2048), options, Console())
        self.number = self.keeper.take(self.store.create("m") if number is None else number)
        talk = Conversation(model.tokenizer, chat_template(model), self.store, self.number)
        self.keeper.restore_snapshot(self.responder, self.number)
        self.chat = Chat(self.responder, talk, keeper=self.keeper)

    def ask(self, text):
        """How many tokens are evaluated for it."""
        self.chat.ask(text)
        return self.chat.last.timings.n_prompt - self.chat.last.timings.n_known

    def leave(self):
        self.keeper.leave(self.responder, self.number, asked=self.chat.last is not None)
        self.keeper.release()
        self.store.close()
        return self.number


@pytest.fixture
def long_chat(model, own_home):
    """A chat of more than a thousand tokens that was left; its number."""
    process = Process(model)
    for turn in range(3):
        process.ask(f"{turn}: " + "The railway began with wooden tracks in the mines. " * 40 + "What is this about?")
    assert len(process.responder.context.tokens) > 1000
    return process.leave()


def test_only_the_new_message_is_evaluated(model, long_chat):
    process = Process(model, long_chat)
    assert process.ask("And why?") <= FEW
    process.leave()
    assert Process(model, long_chat).ask("Really?") <= FEW


def test_a_copy_of_a_chat_that_is_open_elsewhere_goes_on_at_once_too(model, long_chat):
    with ChatLock(locks_folder(), long_chat) as lock:
        assert lock.take()
        process = Process(model, long_chat)
        assert process.number != long_chat
        assert process.ask("And why?") <= FEW


@pytest.mark.parametrize("how", ["gone", "damaged", "no budget"])
def test_without_what_was_kept_all_is_evaluated_and_the_answer_is_the_same(model, long_chat, how):
    kept = snapshots_folder() / f"{long_chat}.safetensors"
    with ChatStore(database_path()) as store:
        twin = store.fork(long_chat)
    process = Process(model, long_chat)
    process.ask("And why?")
    wanted = process.chat.last.text
    kept.rename(kept.with_name(f"{twin}.safetensors"))
    kept = kept.with_name(f"{twin}.safetensors")
    if how == "gone":
        kept.unlink()
    elif how == "damaged":
        raw = bytearray(kept.read_bytes())
        raw[-5000] ^= 1
        kept.write_bytes(raw)
    process = Process(model, twin, budget=0 if how == "no budget" else 1 << 30)
    assert process.ask("And why?") > 1000
    assert process.chat.last.text == wanted


def test_what_is_kept_of_a_turn(model, own_home):
    process = Process(model)
    process.ask("Hello")
    last = process.chat.conversation.path()[-1].extra
    assert last["model"] == model.title
    assert last["sampling"] == {"temp": 0.0}
    assert (last["template"], last["reason"]) == ("chatml", "length")
    assert last["n_generated"] == 8
    assert last["generation_s"] > 0


def test_an_empty_chat_is_neither_kept_nor_is_anything_computed_of_it(model, own_home):
    number = Process(model).leave()
    with ChatStore(database_path()) as store:
        assert store.latest() == []
    assert not (snapshots_folder() / f"{number}.safetensors").exists()


def test_a_read_only_chat_leaves_no_trace(model, long_chat, monkeypatch):
    before = (snapshots_folder() / f"{long_chat}.safetensors").read_bytes()
    with ChatLock(locks_folder(), long_chat) as lock:
        assert lock.take()
        monkeypatch.setattr(Keeper.__init__, "__defaults__", (lambda _said, _nothing: "read-only", silent))
        process = Process(model, long_chat)
        assert process.number == long_chat
        assert process.ask("And why?") <= FEW
        process.leave()
    assert (snapshots_folder() / f"{long_chat}.safetensors").read_bytes() == before
    with ChatStore(database_path()) as store:
        assert len(store.path_of(long_chat)) == 6
        store.add(long_chat, None, StoredMessage(0, None, "user", "x"))
