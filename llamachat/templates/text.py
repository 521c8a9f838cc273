"""A template for a text that is no conversation, such as a prompt of the library, in the sandbox of chat templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llamachat.errors import UsageError
from llamachat.templates.faults import TemplateFault
from llamachat.templates.given import given
from llamachat.templates.program import program_of
from llamachat.templates.provenance import Parts, Source, split_by_origin


@dataclass(frozen=True)
class Worded:
    """A text in parts, each a template's own (True), which may have control tokens, or a person's."""

    parts: Parts

    @property
    def text(self) -> str:
        """The whole."""
        return "".join(part for part, _ in self.parts)


class TextTemplate:
    """Jinja, and the file that it is from; its errors name file and line.

    line_of: the file's line for one of the source, where the file has more than that.
    """

    def __init__(self, source: str, file: object, line_of: Callable[[int], int] = int) -> None:
        self.source = source
        self._file, self._line_of = file, line_of
        self._program = program_of(source)

    @property
    def names(self) -> frozenset[str]:
        """What the template asks for from outside. Raises UsageError if it is not valid Jinja."""
        self._program.begin()
        with self._in_words():
            return frozenset(self._program.names())

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text. Raises UsageError if the template is not valid, fails, or exceeds its budget of steps and size."""
        self._program.begin()
        with self._in_words():
            return self._program.render(given(variables))

    def worded(self, own: Mapping[str, Any], typed: Mapping[str, str]) -> Worded:
        """The text without line breaks at its beginning, and which of it is a person's: what comes from `typed`.

        own: variables that are the template's own. Raises as `render`.
        """

        def render(values: Mapping[str, str]) -> str:
            return self.render({**own, **values}).lstrip("\n")

        return Worded(split_by_origin(Source(render, self._literals), typed))

    @cached_property
    def _literals(self) -> list[str]:
        """The template's string constants: what it may look for in a text."""
        with self._in_words():
            return self._program.literals()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """A template's fault as a sentence about the file."""
        try:
            yield
        except TemplateFault as fault:
            place = f"{self._file}, line {self._line_of(fault.line)}" if fault.line else str(self._file)
            match fault.kind:
                case "syntax":
                    said = f"{place}: {str(fault).rstrip('.')} (Jinja)"
                case "invalid":
                    said = f"{self._file}: not valid Jinja: {fault}"
                case "stopped":
                    said = f"{self._file}: the text {str(fault).removeprefix('The chat template ')}"
                case _:
                    said = f"{place}: {fault}"
            raise UsageError(said) from fault
