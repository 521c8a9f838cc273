"""The classic mode: the model continues a text until a reverse prompt, then the person types, and so on.

The text is one growing list of tokens. What the person types goes in between prefix and suffix; a reverse prompt stays
in the text and on the screen; where the model ends by itself, the first reverse prompt is put in for it.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llamachat.dialogue.figures import summed
from llamachat.dialogue.kept_prompt import PromptKeeper
from llamachat.dialogue.responder import Answer, Responder
from llamachat.errors import ExitCode
from llamachat.terminal import statistics
from llamachat.terminal.console import Console
from llamachat.terminal.escapes import unescaped
from llamachat.terminal.outgrowing import ShiftReporter
from llamachat.terminal.output import note, wants_colour
from llamachat.terminal.theme import RESET, look
from llamachat.terminal.typed import read_typed

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer

KEYS = r"""Ctrl+C interrupts the model; at your turn it quits. Return sends; an empty line lets the model continue;
a line that ends with \ continues in the next, one that ends with / is sent without its line break."""
KEYS_SEVERAL = r"""Ctrl+C interrupts the model; at your turn it quits. Return begins a new line; a line that ends
with \ is the last one, and one that ends with / is sent without its line break."""


@dataclass(frozen=True)
class Wording:
    """The texts of the mode: reverse prompts, and what stands around the person's lines.

    bos: a beginning-of-text token goes before the prefix. escapes: backslash escapes in typed lines are put in.
    several_lines: Return begins a new line, see `typed`.
    """

    reverse: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""
    bos: bool = False
    escapes: bool = True
    several_lines: bool = False


@dataclass(frozen=True)
class Looks:
    """What is shown: colours where they are welcome, and the prompt."""

    colour: bool = False
    prompt: bool = True


class Interactive:
    """The loop of the classic mode."""

    def __init__(
        self,
        responder: Responder,
        wording: Wording,
        console: Console,
        looks: Looks | None = None,
        keeper: PromptKeeper | None = None,
    ) -> None:
        self._responder, self._console = responder.stopping_at(wording.reverse), console
        self._tokenizer = responder.model.tokenizer
        self._wording = wording
        self._looks, self._keeper = looks or Looks(), keeper
        self._colour = self._looks.colour and wants_colour(console.output.is_terminal)
        self._ids: list[int] = []
        self._answers: list[Answer] = []
        self._left = responder.options.max_tokens

    def run(self, prompt: str, person_first: bool = False) -> int:
        """Shows the prompt and continues it, until the input ends or the person interrupts their own turn.

        The person begins where there is no prompt, where it ends with a reverse prompt, and with `person_first`.
        Returns the exit code.
        """
        self._ids = self._tokenizer.encode(prompt, add_special=True, parse_special=True)
        if self._keeper is not None:
            self._ids = self._keeper.take_over(self._responder, self._ids if prompt or person_first else [])
            prompt = prompt or self._tokenizer.decode(self._ids)
        n_prompt = len(self._ids)
        self._keep_prompt(n_prompt)
        self._explain()
        if self._looks.prompt:
            with self._painted(look("given")):
                self._console.output.write(prompt)
        asks = person_first or not prompt or any(prompt.endswith(reverse) for reverse in self._wording.reverse)
        try:
            continues = not asks or self._listen()
            while continues:
                self._continue()
                continues = self._listen()
        except KeyboardInterrupt:
            self._console.output.write("\n")
            return ExitCode.INTERRUPT
        finally:
            self._console.output.end_line()
            if self._keeper is not None:
                self._keeper.keep(self._responder, n_prompt, self._ids)
            self._report()
        return ExitCode.DONE

    def _keep_prompt(self, n_prompt: int) -> None:
        """--keep -1 is the prompt, not what the text has grown to by a later turn."""
        options = self._responder.options
        if options.n_keep == -1:
            n_keep = max(0, n_prompt - self._tokenizer.add_bos)
            self._responder = replace(self._responder, options=replace(options, n_keep=n_keep))

    def _explain(self) -> None:
        """The keys, to a person only."""
        if self._console.status.enabled and sys.stdin is not None and sys.stdin.isatty():
            note(KEYS_SEVERAL if self._wording.several_lines else KEYS)

    def _report(self) -> None:
        """What all answers took, to a person only."""
        if self._answers and self._console.status.enabled:
            together = summed([answer.timings for answer in self._answers])
            note(statistics.report(together, self._responder.load_s, self._responder.context.n_ctx))

    def _continue(self) -> None:
        """The model's turn: its text, then the reverse prompt that ended it."""
        responder = replace(self._responder, options=replace(self._responder.options, max_tokens=self._left))
        n_ctx, output = responder.context.n_ctx, self._console.output
        answer = responder.answer(self._ids, ShiftReporter(output, n_ctx, len(self._ids), output.is_terminal))
        self._answers.append(answer)
        self._spend(len(answer.ids))
        reverse = self._reverse_after(answer) if answer.reason == "stop" else ""
        self._console.output.write(reverse)
        self._take(answer, answer.text + reverse)
        # What the context has forgotten may be of this answer, too.
        del self._ids[answer.timings.n_keep : answer.timings.n_keep + answer.timings.n_forgotten]
        if answer.reason == "eos" and self._wording.reverse:
            self._put(f"\n{self._wording.reverse[0]}")
        elif answer.reason in ("eos", "cancelled"):
            self._console.output.end_line()

    def _listen(self) -> bool:
        """The person's turn; False at the end of the input. After an empty line the model continues its text."""
        self._console.output.write(self._wording.prefix)
        with self._painted(look("typed")):
            typed = read_typed(self._wording.several_lines)
        if typed is None:
            return False
        if typed:
            before = len(self._ids)
            self._add(unescaped(typed) if self._wording.escapes else typed)
            self._spend(len(self._ids) - before)
        return True

    def _add(self, typed: str) -> None:
        """What the person typed, between prefix and suffix; it is text, whatever it spells."""
        encode, bos = self._tokenizer.encode, self._tokenizer.bos
        if self._wording.bos and bos is not None:
            self._ids.append(bos)
        self._ids += encode(self._wording.prefix, add_special=False, parse_special=True)
        self._ids += encode(typed, add_special=False)
        self._ids += encode(self._wording.suffix, add_special=False, parse_special=True)
        self._console.output.write(self._wording.suffix)

    def _spend(self, n_tokens: int) -> None:
        """Counts tokens against -n, the person's too; when it is used up, a new count begins."""
        n_predict = self._responder.options.max_tokens
        if n_predict > 0:
            self._left -= n_tokens
            self._left = self._left if self._left > 0 else n_predict

    @contextmanager
    def _painted(self, sequence: str) -> Iterator[None]:
        """What is written and typed meanwhile is in this colour, where colours are welcome."""
        self._paint(sequence)
        try:
            yield
        finally:
            self._paint(RESET)

    def _paint(self, sequence: str) -> None:
        if self._colour:
            sys.stdout.flush()
            os.write(sys.stdout.fileno(), sequence.encode())

    def _put(self, text: str) -> None:
        """Adds a text of the program to the tokens and shows it."""
        self._console.output.write(text)
        self._ids += self._tokenizer.encode(text, add_special=False)

    def _take(self, answer: Answer, text: str) -> None:
        """Adds an answer to the tokens, exactly as far as its text was shown."""
        kept, rest = cut_tokens(self._tokenizer, answer.ids, text)
        self._ids += kept
        if rest:
            self._ids += self._tokenizer.encode(rest, add_special=False)

    def _reverse_after(self, answer: Answer) -> str:
        """The reverse prompt that ended an answer: what its tokens say after its text. --stop texts are not shown."""
        said = b"".join(self._tokenizer.piece_bytes(token) for token in answer.ids).decode("utf-8", "replace")
        rest = said[len(answer.text) :]
        return max((reverse for reverse in self._wording.reverse if rest.startswith(reverse)), key=len, default="")


def cut_tokens(tokenizer: "Tokenizer", ids: Sequence[int], text: str) -> tuple[list[int], str]:
    """The tokens of `ids` that lie wholly within `text`, which their bytes begin with, and the text after them."""
    wanted = text.encode()
    end = 0
    for count, token in enumerate(ids):
        piece = tokenizer.piece_bytes(token)
        if wanted[end : end + len(piece)] != piece:
            return list(ids[:count]), wanted[end:].decode("utf-8", "replace")
        end += len(piece)
    return list(ids), wanted[end:].decode("utf-8", "replace")
