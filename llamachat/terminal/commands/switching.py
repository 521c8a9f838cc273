"""Switches to another chat, and to the settings that were changed in it."""

from llamachat.dialogue.conversation import OF_THE_MESSAGES
from llamachat.terminal.chatting import Chat
from llamachat.terminal.commands.set_command import apply_chosen


def switch_chat(chat: Chat, number: int) -> None:
    """Continues another chat, or a copy of it where another program has it open. Raises as `Keeper.take`."""
    if number == chat.conversation.chat:
        return
    chat.change(number)
    apply_chosen(chat)
    chat.conversation.remember(chat.responder.context.n_ctx)


def begin_chat(chat: Chat) -> None:
    """Continues in a new chat with the same system prompt and settings. Raises as `Keeper.take`."""
    conversation = chat.conversation
    kept = {name: value for name, value in conversation.settings.items() if name not in OF_THE_MESSAGES}
    switch_chat(chat, conversation.store.create(chat.responder.model.title, None, kept))
