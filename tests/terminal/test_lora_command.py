"""/lora in a chat with a real model: list, add, scale, remove; then the chat is read anew."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedModel

from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.responder import Responder
from llamachat.engine.adapters import Adapters, Scaled
from llamachat.engine.answering import GenerationOptions
from llamachat.engine.model import Model
from llamachat.errors import ModelFileError, UsageError
from llamachat.session.chats import ChatStore
from llamachat.templates.named import builtin_template
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal.chatting import Chat
from llamachat.terminal.commands import complete, run_command
from llamachat.terminal.commands.adapters import _changed
from llamachat.terminal.console import Console


class Standing:
    """What of a chat the command touches."""

    def __init__(self, model: Model) -> None:
        self.responder = Responder(model, model.context(64), GenerationOptions())
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def chat(golden: Path) -> Iterator[Standing]:
    with Model(golden / "archs" / "llama.gguf", 1, cache_type="f32") as model:
        yield Standing(model)


def say(chat: Standing, line: str) -> str:
    chat.said.clear()
    assert run_command(line, chat)  # type: ignore[arg-type]
    return "\n".join(chat.said)


def test_adapters_come_and_go(chat: Standing, golden: Path) -> None:
    a, b = (golden / "adapters" / f"llama-{which}.gguf" for which in "ab")
    context, model = chat.responder.context, chat.responder.model
    plain = context.eval([1, 2, 3])
    assert "There are no adapters" in say(chat, "/lora")
    assert "read anew" in say(chat, f"/lora {a} 0.5")
    assert context.tokens == []
    half = context.eval([1, 2, 3])
    assert not (half == plain).all()
    say(chat, f"/lora {b}")
    assert say(chat, "/lora") == f"1  {a}, scale 0.5\n2  {b}, scale 1"
    assert model.adapters.asked == Adapters((Scaled(a, 0.5), Scaled(b)))
    say(chat, "/lora 2 0")
    assert (context.eval([1, 2, 3]) == half).all()
    say(chat, "/lora off 2")
    assert (context.eval([1, 2, 3]) == half).all()
    say(chat, f"/lora {a} 2")
    assert model.adapters.asked.lora == (Scaled(a, 2.0),)
    say(chat, "/lora off")
    assert (context.eval([1, 2, 3]) == plain).all()


def test_what_is_wrong_changes_nothing(chat: Standing, golden: Path, tmp_path: Path) -> None:
    context = chat.responder.context
    context.eval([1, 2, 3])
    for line, said in (
        ("/lora 1 0.5", "no adapter 1"),
        ("/lora off 3", "no adapter 3"),
        ("/lora a b c", "not 3 words"),
        ("/lora a.gguf much", "'much' is no scale"),
        ('/lora "a', "quotation"),
    ):
        with pytest.raises(UsageError, match=said):
            run_command(line, chat)  # type: ignore[arg-type]
    with pytest.raises(ModelFileError):
        run_command(f"/lora {golden / 'archs' / 'llama.gguf'}", chat)  # type: ignore[arg-type]
    assert context.tokens == [1, 2, 3]


def test_words_are_completed(chat: Standing, golden: Path) -> None:
    assert "off" in [one.text for one in complete("/lora o", chat)]  # type: ignore[arg-type]


def test_a_file_with_a_blank_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "my adapter.gguf"
    path.touch()
    assert _changed((), [str(path), "0.5"]) == (Scaled(path, 0.5),)
    assert _changed((), ["add", str(path), "0.5"]) == (Scaled(path, 0.5),)


def test_a_chat_says_that_its_last_answer_had_an_adapter(capsys: pytest.CaptureFixture[str]) -> None:
    model: Any = ScriptedModel(["Yes.", "No."])
    store, a = ChatStore(None), Path("a.gguf").absolute()
    talk = Conversation(model.tokenizer, ChatTemplate(builtin_template("chatml")), store, store.create("m"))
    chat = Chat(Responder(model, model.context(4096), GenerationOptions(), Console()), talk)
    model.adapt(Adapters((Scaled(Path("a.gguf"), 0.5),)))
    chat.ask("Hello?")
    capsys.readouterr()
    chat.recall()
    assert "adapters" not in capsys.readouterr().out
    model.adapt(Adapters())
    chat.recall()
    assert f"(the last answer was written with {a} (0.5)" in capsys.readouterr().out
    chat.ask("And now?")
    capsys.readouterr()
    chat.recall()
    assert "adapters" not in capsys.readouterr().out
