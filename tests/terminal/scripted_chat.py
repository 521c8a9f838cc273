"""A chat with a scripted model, and what it has come to."""

from typing import Any

from scripted import ScriptedModel

from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.prompts import chat_template
from llamachat.dialogue.responder import Responder
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.session.chats import ChatStore
from llamachat.terminal.chatting import Chat, ChatSettings
from llamachat.terminal.console import Console


def made(*answers: str, n_ctx: int = 4096, **manner: Any) -> Chat:
    """A chat that is kept nowhere."""
    model: Any = ScriptedModel(answers or ("An answer.",))
    options = GenerationOptions(sampling=SamplingOptions(temp=0.0))
    responder = Responder(model, model.context(n_ctx), options, Console())
    store = ChatStore(None)
    talk = Conversation(model.tokenizer, chat_template(model), store, store.create("scripted"))
    return Chat(responder, talk, ChatSettings(**manner), give_back=lambda _text: None)


def talk(chat):
    return [(message["role"], message["content"]) for message in chat.conversation.messages()]


def prompts(chat):
    return [bytes(t for t in ids if t < 256).decode() for ids in chat.responder.context.prompts]
