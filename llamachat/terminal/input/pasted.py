"""What was pasted into the input line, or came from the editor: a message as it is, and folded where it is long."""

from collections.abc import Callable

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import fragment_list_to_text
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments

from llamachat.terminal.input.message import BLOCK, going_on

MOST_LINES, MOST_CHARACTERS = 10, 2000
"""A longer text is shown as one word that says how long it is."""

FIRST_FOLD, N_FOLDS = 0xF0000, 0xFFFD
"""Characters for private use, each of which stands for a folded text in the line."""


class Pasted:
    """Knows which ends of the text in a buffer were pasted, and what its folded texts are.

    A text that was pasted at its beginning is a message, whatever it begins with, and it does not continue after a
    backslash that was pasted. What is typed before or behind counts as typed again.
    """

    def __init__(self, buffer: Buffer, literal: set[str]) -> None:
        """literal: earlier inputs that are messages as they are."""
        self._buffer, self._literal = buffer, literal
        self.begins = self.ends = False
        self._before, self._place = "", 0
        self._elsewhere: dict[str, tuple[bool, bool]] = {}
        self.folds: dict[str, tuple[str, str]] = {}
        buffer.on_text_changed += self._changed

    def begin(self, draft: str) -> str:
        """A new line is read, which begins with a message of before: what stands in the line for it."""
        self.begins = self.ends = bool(draft)
        self._before, self._place = self._folded(draft, "pasted"), 1
        self._elsewhere.clear()
        return self._before

    def insert(self, text: str) -> None:
        """Pastes a text at the cursor."""
        buffer = self._buffer
        before, behind = buffer.text[: buffer.cursor_position], buffer.text[buffer.cursor_position :]
        begins, ends = self.begins or not before.strip(), self.ends if behind.strip() else True
        buffer.insert_text(self._folded(text, "pasted"))
        self.begins, self.ends = begins, ends

    def replace(self, text: str) -> None:
        """Puts a text from the editor in place of all."""
        before, now = (one.partition(" ")[0] for one in (self._buffer.text, text))
        typed = not self.begins and before.startswith("/") and now == before
        self._buffer.text = text if typed else self._folded(text, "written")
        self._buffer.cursor_position = len(self._buffer.text)
        self.begins = self.ends = not typed and bool(text)

    def mark(self) -> None:
        """All of the text was pasted, on a terminal that does not say so."""
        self.begins = self.ends = True

    def going_on(self) -> str | None:
        """The text as it continues in the next line; None where it ends."""
        text = self._buffer.text
        block = not self.begins and text.lstrip().startswith(BLOCK)
        if self.begins and not self.ends:  # a block that was pasted is none, a backslash that was typed is one
            return text[:-1] + "\n" if text.endswith("\\") else None
        return going_on(text) if block or not self.ends else None

    @property
    def is_folded(self) -> bool:
        """Whether a folded text stands before the cursor."""
        return self._buffer.text[: self._buffer.cursor_position][-1:] in self.folds

    def unfold(self) -> None:
        """Shows the folded text before the cursor."""
        buffer = self._buffer
        fold = buffer.text[buffer.cursor_position - 1 : buffer.cursor_position]
        flags = self.begins, self.ends
        buffer.delete_before_cursor()
        buffer.insert_text(self.folds[fold][1])
        self.begins, self.ends = flags

    def whole(self, text: str) -> str:
        """The text with what is folded in it."""
        return text.translate({ord(fold): content for fold, (_, content) in self.folds.items()})

    def _folded(self, text: str, how: str) -> str:
        lines = text.count("\n") + (not text.endswith("\n"))
        if lines <= MOST_LINES and len(text) <= MOST_CHARACTERS and not self.folds.keys() & set(text):
            return text
        taken = self.folds.keys() | set(self._buffer.text)
        fold = next((c for at in range(N_FOLDS) if (c := chr(FIRST_FOLD + at)) not in taken), None)
        if fold is None:
            return text
        size = f"{lines} lines" if lines > 1 else f"{len(text)} characters"
        self.folds[fold] = (f"{how}: {size}", text)
        return fold

    def _changed(self, buffer: Buffer) -> None:
        place = len(buffer._working_lines) - buffer.working_index
        text, cursor = buffer.text, buffer.cursor_position
        if place != self._place:  # another input, from the history or back from there
            self._elsewhere[self._before] = self.begins, self.ends
            self.begins, self.ends = self._elsewhere.get(text, (text in self._literal,) * 2)
        elif not text:
            self.begins = self.ends = False
        else:
            if 0 < cursor == len(text) - len(self._before) and text[cursor:] == self._before:
                self.begins = False
            if cursor == len(text):
                self.ends = False
        self._before, self._place = text, place


class Folds(Processor):
    """Shows a folded text as its size, and while the line is edited how to see it."""

    def __init__(self, pasted: Callable[[], Pasted]) -> None:
        self._pasted = pasted

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """The line with words for its folded texts."""
        folds = self._pasted().folds
        if not folds.keys() & set(fragment_list_to_text(transformation_input.fragments)):
            return Transformation(transformation_input.fragments)
        hint = "" if get_app().is_done else ", Tab opens"
        shown: StyleAndTextTuples = []
        places = [0]
        for style, text, *_ in explode_text_fragments(transformation_input.fragments):
            label = f"[{folds[text][0]}{hint}]" if text in folds else text
            shown.append((f"{style} class:fold" if text in folds else style, label))
            places.append(places[-1] + len(label))

        def to_display(at: int) -> int:
            return places[min(at, len(places) - 1)] + max(0, at - len(places) + 1)

        def to_source(at: int) -> int:
            inside = [place for place, start in enumerate(places) if start <= at]
            return inside[-1] + max(0, at - places[-1])

        return Transformation(shown, to_display, to_source)
