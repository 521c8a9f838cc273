"""From chat to chat: each is this program's alone while it is open, and goes on at once with what was computed."""

from llamachat.session.chats import ChatStore
from llamachat.session.locks import ChatLock
from llamachat.session.places import locks_folder, snapshots_folder
from llamachat.session.snapshots import Snapshots
from llamachat.terminal.output import note
from llamachat.terminal.speaker import Speaker
from llamachat.terminal.waking import put_to_sleep, wake


class Keeper:
    """Holds one chat of a store at a time. budget: bytes that what was computed of all chats may take."""

    def __init__(self, store: ChatStore, budget: int) -> None:
        self._store = store
        self._lock: ChatLock | None = None
        self._snapshots = Snapshots(snapshots_folder(), budget) if budget and store.is_kept else None

    def take(self, chat: int) -> int:
        """Lets go of the chat before. The chat, or a copy of it where another program works with it, which is said."""
        self.release()
        if not self._store.is_kept:
            return chat
        lock = ChatLock(locks_folder(), chat)
        try:
            if lock.take():
                self._lock = lock
                return chat
        except OSError:  # a folder that cannot be written: nobody else can write there either
            return chat
        note(f"another llamachat (process {lock.holder}) is in this chat: this one goes on in a copy")
        return self.take(self._store.fork(chat))

    def wake(self, speaker: Speaker, chat: int) -> None:
        """Fills the speaker's context with what is kept of the chat."""
        if self._snapshots is not None:
            wake(speaker, self._snapshots, chat)

    def leave(self, speaker: Speaker, chat: int, asked: bool) -> None:
        """Keeps what was computed of a chat in which something was asked; forgets one in which nothing ever was."""
        self._store.forget_empty(chat)
        if self._snapshots is not None and asked:
            put_to_sleep(speaker, self._snapshots, chat)

    def release(self) -> None:
        """Lets others have the chat."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
