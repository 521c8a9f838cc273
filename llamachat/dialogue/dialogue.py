"""A dialogue: messages that are asked, asked again or in place of others, and answers that continue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from llamachat.dialogue.answering import Answering
from llamachat.dialogue.messages import is_cut, parted, with_files
from llamachat.dialogue.responder import Responder
from llamachat.endings import undisturbed
from llamachat.errors import ContextFull, LlamaChatError, UsageError
from llamachat.session.chats import DONE, INTERRUPTED, StoredMessage

GIVEN_BACK = (type(None), KeyboardInterrupt, LlamaChatError)
"""After these a person can send the message again; after others, as signals, the program ends."""


@dataclass
class Dialogue(Answering):
    """The turns of an open chat. Each raises what `generate` raises."""

    @property
    def attached(self) -> list[tuple[str, str]]:
        """Names and texts of the files that go before the next message of this chat."""
        return self.files.get(self.conversation.chat, [])

    @attached.setter
    def attached(self, files: list[tuple[str, str]]) -> None:
        self.files[self.conversation.chat] = files

    def ask(self, text: str) -> None:
        """A person's message is answered.

        One that is interrupted before the first word of its answer is given back, if `give_back` is set; else it stays.
        """
        head = self.conversation.head
        self._ask(text, head, head)

    def ask_instead(self, text: str, earlier: StoredMessage) -> None:
        """The same for a message in place of an earlier one, which stays a branch; until then the chat is as it was."""
        self._ask(text, earlier.parent, self.conversation.head)

    def again(self) -> bool:
        """Another answer to the person's last message; the one before stays a branch. False where there is none."""
        asked = [message for message in self.conversation.path() if message.role == "user"]
        if not asked:
            return False
        tree = self.conversation.store.tree_of(self.conversation.chat)
        responder = self.responder
        self.responder = _reseeded(responder, sum(message.parent == asked[-1].id for message in tree))
        try:
            with self.answering(), self.conversation.standing_at(asked[-1].id):
                said = self.answer(self.fitted(), asked[-1].id)
        finally:
            self.responder = responder
        if said:
            self._continued(asked[-1])
        return True

    def answer_otherwise(self, prompt: list[int], begun: Sequence[int]) -> None:
        """The last answer, begun with these tokens; the one before stays a branch."""
        parent = self.conversation.path()[-1].parent
        assert parent is not None
        with self.conversation.standing_at(parent):
            said = self.answer(prompt, parent, begun)
        if said:
            self.use_tools()

    def continue_answer(self) -> None:
        """The last answer continues where it was cut; a message that has none is answered. Raises UsageError."""
        path = self.conversation.path()
        last = path[-1] if path else None
        if last is None or (last.role == "assistant" and (last.parent is None or not is_cut(last))):
            raise UsageError("there is no answer that was cut")
        with self.answering():
            if last.role != "assistant":
                said = self.answer(self.fitted(), last.id)
            else:
                parent = last.parent or 0
                with self.conversation.standing_at(parent):
                    prompt = self.fitted(partial(self.begun_of, answer=last))
                    said = self.answer(prompt, parent, self.begun_of(prompt, last), last)
        if said:
            self._continued(last)

    def change(self, chat: int) -> None:
        """Another chat of the store, or a copy of it where another program has it open. Raises as `Keeper.take`."""
        if self.keeper is not None:
            chat = self.keeper.change(self.responder, self.conversation.chat, chat, asked=self.last is not None)
        self.conversation.change(chat)
        self.last = None

    def _ask(self, text: str, parent: int | None, head: int | None) -> None:
        """Asks after `parent`; `head` is the last message of the chat before."""
        files, conversation = self.attached, self.conversation
        extra = {"files": len(files)} if files else {}
        question = None
        try:
            with undisturbed():
                question = conversation.ask_after(parent, with_files(files, text), parent == head, **extra)
                self.attached = []
            with self.answering(), conversation.standing_at(question):
                said = self.answer(self.fitted(), question)
        except BaseException as error:
            if question is not None and conversation.head in (question, head):  # nothing was said
                self._put_back(question, head, error)
            raise
        if said:
            self.use_tools()
        else:
            self._put_back(question, head)

    def _put_back(self, question: int, head: int | None, error: BaseException | None = None) -> None:
        """A message that was not answered: refused, given back, or kept where the program ends."""
        conversation = self.conversation
        asked = conversation.store.path_to(conversation.chat, question)[-1]
        files, text = parted(asked)
        refused = isinstance(error, ContextFull)
        with undisturbed():
            if not refused:
                conversation.store.update(question, asked.content, INTERRUPTED)
                if self.give_back is None or not isinstance(error, GIVEN_BACK):
                    return
            conversation.store.set_head(conversation.chat, head)
            if refused:
                conversation.store.remove(question)
            self.attached = [*files, *self.attached]
        if self.give_back is not None:
            self.give_back(text)

    def _continued(self, last: StoredMessage) -> None:
        """A message that was interrupted has its answer now."""
        if last.role == "user" and last.state != DONE:
            self.conversation.store.update(last.id, last.content, DONE)
        self.use_tools()


def _reseeded(responder: Responder, n: int) -> Responder:
    """With the n-th seed after the one that was given, so that another answer is one."""
    sampling = responder.options.sampling
    if sampling.seed < 0:
        return responder
    return replace(responder, options=replace(responder.options, sampling=replace(sampling, seed=sampling.seed + n)))
