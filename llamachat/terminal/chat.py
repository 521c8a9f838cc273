"""The loop of a chat: a line from the person, an answer from the model, until one of them has had enough."""

from llamachat.errors import Cancelled, LlamaChatError
from llamachat.session.history import InputHistory
from llamachat.terminal.commands import is_command, run_command
from llamachat.terminal.conversation import Conversation
from llamachat.terminal.output import note
from llamachat.terminal.prompt import line_reader
from llamachat.terminal.speaker import REMARKS, Speaker


class ChatLoop:
    """A conversation on a terminal. Ctrl+C stops the answer and keeps it; at the prompt it clears the line."""

    def __init__(self, speaker: Speaker, conversation: Conversation, verbose: bool = False) -> None:
        self._speaker = speaker
        self._conversation = conversation
        self._verbose = verbose
        self._history = InputHistory()
        self._read_line = line_reader(self._history)
        self._warned = self._forgot = False

    def run(self) -> None:
        """Talks until the person leaves."""
        self._say(f"{self._speaker.model.title}, a context of {self._speaker.context.n_ctx} tokens.")
        self._say("/help lists the commands, Ctrl+D leaves.")
        while (line := self._read()) is not None:
            if not line.strip():
                continue
            if not is_command(line):
                self._answer(line)
                continue
            said = run_command(line, self._conversation)
            if said is None:
                return
            self._say(said)

    def _read(self) -> str | None:
        """The next line; None at the end of the input. A Ctrl+C gives up the line that was being typed."""
        try:
            line = self._read_line()
        except KeyboardInterrupt:
            self._say("(Ctrl+D leaves)")
            return ""
        except EOFError:
            return None
        if self._history.warning and not self._warned:
            note(self._history.warning)
            self._warned = True
        return line

    def _answer(self, line: str) -> None:
        try:
            answer = self._speaker.speak(self._prompt(line))
        except (KeyboardInterrupt, Cancelled):  # before the answer could begin, or a second time
            self._say(f"\n({REMARKS['cancelled']})")
            return
        except LlamaChatError as error:
            self._speaker.status.clear()
            self._speaker.output.end_line()
            self._say(f"({error}; /clear starts afresh)")
            return
        if answer.ids or answer.reason != "cancelled":  # a message that was not read to its end is taken back
            self._conversation.add(line, answer.text)
        self._speaker.output.end_line()
        if self._verbose:
            self._speaker.report(answer)
        elif answer.reason in REMARKS:
            self._say(f"({REMARKS[answer.reason]})")
        self._say("")

    def _prompt(self, line: str) -> list[int]:
        """The conversation with the line, less its oldest turns where the context is too small for them."""
        tokens, forgot = self._conversation.fitting(line, self._speaker.context.n_ctx)
        if forgot and not self._forgot:
            self._say("(the oldest turns are forgotten: the context is full)")
            self._forgot = True
        return tokens

    def _say(self, text: str) -> None:
        """Something from the program itself."""
        self._speaker.output.write(f"{text}\n")
