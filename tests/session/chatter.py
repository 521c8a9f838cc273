"""A program that chats, exports, keeps what was computed and migrates old databases, until it is ended.

Standard output has a line for every step: what it is, and for an answer how much of it was shown, and when.
"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "cli"))

from scripted import ScriptedContext, ScriptedModel

from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.prompts import chat_template
from llamachat.dialogue.responder import Responder
from llamachat.endings import handle_termination
from llamachat.engine.events import Event
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.session import database
from llamachat.session.chats import ChatStore
from llamachat.session.exports import exported, write_export
from llamachat.session.fallback import FallbackStore
from llamachat.session.locks import ChatLock
from llamachat.session.snapshots import Snapshots
from llamachat.terminal.chatting import Chat
from llamachat.terminal.console import Console
from llamachat.terminal.output import Output

LATER = "ALTER TABLE chats ADD COLUMN colour TEXT;\nCREATE INDEX chats_by_colour ON chats(colour);\n"
OF = {"model": "m"}
STEP_S = 0.004
WORDS = "a word of many "
LONG, SHORT = WORDS * 25, WORDS * 3


class SlowContext(ScriptedContext):
    """Answers like a model: token by token."""

    def eval(self, tokens: Any, *more: Any, **named: Any) -> np.ndarray:
        time.sleep(STEP_S)
        return super().eval(tokens, *more, **named)


class ToldOutput(Output):
    """Shows nothing, but tells how much it would have shown."""

    shown = 0

    def event(self, event: Event) -> None:
        self.shown += len(event.text)
        tell(shown=self.shown)

    def write(self, text: str) -> None:
        pass


def tell(**what: Any) -> None:
    print(json.dumps({**what, "at": time.monotonic()}), flush=True)


def answer_of(turn: int) -> str:
    return f"answer {turn} " + (LONG if turn % 2 else SHORT)


def talking(store: ChatStore) -> Chat:
    model: Any = ScriptedModel([answer_of(turn) for turn in range(1000)])
    context: Any = SlowContext(model._answers, 10**6)
    responder = Responder(model, context, GenerationOptions(sampling=SamplingOptions(temp=0.0)), Console())
    talk = Conversation(model.tokenizer, chat_template(model), store, store.create("m", "killed"))
    return Chat(responder, talk, console=Console(ToldOutput()))


def migrate(folder: Path, turn: int) -> None:
    """An old database of its own, opened by a newer program."""
    path = folder / f"old-{turn}" / "chats.db"
    path.parent.mkdir()
    shutil.copy(folder / "chats.db.old", path)
    known = database.MIGRATIONS
    database.MIGRATIONS = (*known, LATER)
    ChatStore(path).close()
    database.MIGRATIONS = known


def main(folder: Path) -> None:
    tell(phase="opening")
    with FallbackStore(folder / "chats.db", lambda text: tell(warning=text)) as store:
        chat = talking(store)
        assert ChatLock(folder / "locks", chat.conversation.chat).take()
        snapshots = Snapshots(folder / "snapshots", 10**8)
        for turn in range(1000):
            tell(phase="streaming", turn=turn)
            chat.console.output.shown = 0  # type: ignore[attr-defined]
            chat.ask(f"question {turn}")
            if chat.current is None or chat.current.reason == "cancelled":
                return  # interrupted, before its first word or after it
            tell(finished=turn, phase="exporting")
            for _ in range(5):
                write_export(folder / "chat.json", exported(store, chat.conversation.chat), "json")
            tell(phase="computing")
            for _ in range(5):
                snapshots.keep(1, [turn], np.full(3_000_000, turn % 250, np.uint8), OF)
            tell(phase="migrating")
            migrate(folder, turn)


if __name__ == "__main__":
    handle_termination()
    main(Path(sys.argv[1]))
