"""The classic mode: the model continues a text until a reverse prompt, then the person types, and so on.

The text is one growing list of tokens. What the person types goes in between prefix and suffix; a reverse prompt stays
in the text and on the screen; where the model ends by itself, the first reverse prompt is put in for it.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamachat.terminal.output import wants_colour
from llamachat.terminal.speaker import Answer, Speaker

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer

COLOUR, PLAIN = "\x1b[1;32m", "\x1b[0m"


@dataclass(frozen=True)
class Wording:
    """The texts of the mode: reverse prompts, and what stands around the person's lines."""

    reverse: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""


class Interactive:
    """The loop of the classic mode. `colour` shows the person's lines in bold green where colour is welcome."""

    def __init__(self, speaker: Speaker, wording: Wording, colour: bool = False) -> None:
        self._speaker = speaker.stopping_at(wording.reverse)
        self._tokenizer = speaker.model.tokenizer
        self._wording = wording
        self._colour = colour and wants_colour(speaker.output.is_terminal)
        self._ids: list[int] = []

    def run(self, prompt: str) -> None:
        """Shows the prompt and continues it; an empty prompt begins with the person. Ends at the end of the input."""
        self._ids = self._tokenizer.encode(prompt, add_special=True, parse_special=True)
        self._speaker.output.write(prompt)
        asks = not prompt or any(prompt.endswith(reverse) for reverse in self._wording.reverse)
        goes_on = not asks or self._listen()
        while goes_on:
            self._continue()
            goes_on = self._listen()
        self._speaker.output.end_line()

    def _continue(self) -> None:
        """The model's turn: its text, then the reverse prompt that ended it."""
        answer = self._speaker.speak(self._ids)
        del self._ids[answer.timings.n_keep : answer.timings.n_keep + answer.timings.n_forgotten]
        if answer.reason == "stop":
            reverse = self._reverse_after(answer)
            self._speaker.output.write(reverse)
            self._take(answer, answer.text + reverse)
            return
        self._take(answer, answer.text)
        if answer.reason == "cancelled":
            self._speaker.output.end_line()
        elif answer.reason == "eos" and self._wording.reverse:
            self._put(f"\n{self._wording.reverse[0]}")

    def _listen(self) -> bool:
        """The person's turn; False at the end of the input. An empty line lets the model go on as it was."""
        self._speaker.output.write(self._wording.prefix)
        typed = self._read()
        if typed is None:
            return False
        encode = self._tokenizer.encode
        if typed.strip("\n"):
            self._ids += encode(self._wording.prefix, add_special=False, parse_special=True)
            self._ids += encode(typed, add_special=False)
            self._ids += encode(self._wording.suffix, add_special=False, parse_special=True)
            self._speaker.output.write(self._wording.suffix)
        return True

    def _read(self) -> str | None:
        r"""What the person types: a line; more after a `\` at its end; without its line break if it ends with `/`."""
        self._paint(COLOUR)
        try:
            typed = ""
            while line := sys.stdin.readline() if sys.stdin is not None else "":
                if line.rstrip("\n").endswith("\\"):
                    typed += line.rstrip("\n")[:-1] + "\n"
                elif line.rstrip("\n").endswith("/"):
                    return typed + line.rstrip("\n")[:-1]
                else:
                    return typed + line.rstrip("\n") + "\n"
            return typed or None
        finally:
            self._paint(PLAIN)

    def _paint(self, sequence: str) -> None:
        if self._colour:
            sys.stdout.flush()
            os.write(sys.stdout.fileno(), sequence.encode())

    def _put(self, text: str) -> None:
        """Adds a text of the program's own to the text and shows it."""
        self._speaker.output.write(text)
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
