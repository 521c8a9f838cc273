"""Opening and leaving chats: an open chat belongs to one program alone; what was computed of it is kept."""

from collections.abc import Callable

from llamachat.dialogue.responder import Responder
from llamachat.dialogue.snapshots import Tell, restore_snapshot, save_snapshot, silent
from llamachat.errors import LlamaChatError
from llamachat.session.chats import ChatStore
from llamachat.session.fallback import FallbackStore
from llamachat.session.locks import ChatLock
from llamachat.session.places import locks_folder, snapshots_folder
from llamachat.session.snapshots import Snapshots

FORK, READ_ONLY, QUIT = "fork", "read-only", "quit"
"""What becomes of a chat that another program has open."""

Decide = Callable[[str, str], str]
"""Chooses one of these. Gets a sentence (who has the chat open) and the word for doing nothing: "quit" or "cancel"."""


class ChatIsOpen(LlamaChatError):
    """Another program has the chat open, and no copy is wanted."""


class Keeper:
    """Holds one chat of a store at a time.

    budget: bytes that the snapshots of all chats may take. decide: what becomes of a chat that another program has
    open. tell: shows a sentence of the program.
    """

    def __init__(
        self,
        store: ChatStore,
        budget: int,
        decide: Decide = lambda _said, _nothing: FORK,
        tell: Tell = silent,
    ) -> None:
        self._store, self._decide, self._tell = store, decide, tell
        self._lock: ChatLock | None = None
        self._copied: dict[int, int] = {}
        self._snapshots = Snapshots(snapshots_folder(), budget) if budget and store.is_kept else None

    def take(self, chat: int) -> int:
        """Opens a chat and releases the one before. The chat, or a copy of it where another program has it open.

        Raises ChatIsOpen, and keeps the chat before, where neither is wanted.
        """
        taken, lock = self._opened(chat, "quit")
        self.release()
        self._lock = lock
        return taken

    def change(self, responder: Responder, chat: int, other: int, asked: bool) -> int:
        """Leaves a chat for another one, which it returns. Raises as `take`; then nothing has changed."""
        taken, lock = self._opened(other, "cancel")
        self.leave(responder, chat, asked)
        self.release()
        self._lock = lock
        responder.context.rewind(responder.context.n_reusable)  # what remains knows nothing of the chat before
        self.restore_snapshot(responder, taken)
        return taken

    def is_unused(self, chat: int, asked: bool) -> bool:
        """Whether a chat is a copy that is not kept: nothing was asked in it, and it has no name."""
        return chat in self._copied and not asked and self._store.summary(chat).name is None

    def restore_snapshot(self, responder: Responder, chat: int) -> None:
        """Fills the responder's context with what is kept of the chat."""
        if self._snapshots is not None:
            restore_snapshot(responder, self._snapshots, self._copied.get(chat, chat), self._tell)

    def leave(self, responder: Responder, chat: int, asked: bool) -> None:
        """Saves what was computed of a chat in which something was asked; deletes a chat without messages.

        It also deletes a copy without a name in which nothing was asked.
        """
        unused = self.is_unused(chat, asked)
        self._store.forget_empty(chat)
        if unused:
            self._store.forget(chat)
        if self._snapshots is not None and asked and self._store.is_saved(chat):
            save_snapshot(responder, self._snapshots, chat, self._tell)

    def release(self) -> None:
        """Lets others have the chat."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _opened(self, chat: int, nothing: str) -> tuple[int, ChatLock | None]:
        if not self._store.is_saved(chat):
            return chat, None
        lock = ChatLock(locks_folder(), chat)
        try:
            if lock.take():
                tell_of_damage(self._store, chat, self._tell)
                return chat, lock
        except OSError:  # a folder that cannot be written: nobody else can write there either
            return chat, None
        said = f"another llamachat{f' (process {lock.holder})' if lock.holder else ''} is in this chat"
        wanted = self._decide(said, nothing)
        if wanted == FORK:
            self._tell(f"{said}: this one continues in a copy")
            made = self._store.fork(chat)
            self._copied[made] = chat
            return self._opened(made, nothing)
        if wanted == READ_ONLY and isinstance(self._store, FallbackStore):
            self._store.detach(chat)
            self._tell(f"{said}: here it is read only, nothing of what follows is kept")
            return chat, None
        if nothing != "quit":
            raise ChatIsOpen(f"{said}; this chat stays open")
        raise ChatIsOpen(f"{said}; close it there, or continue in a copy", settings=("if_open",))


def tell_of_damage(store: ChatStore, chat: int, tell: Tell) -> None:
    """Tells which parts of a chat cannot be read; the others can."""
    for damage in store.damage_of(chat):
        tell(f"chat {chat} is damaged: {damage}")
