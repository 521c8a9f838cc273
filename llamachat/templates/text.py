"""A template for a text that is no conversation, such as a prompt of the library, in the sandbox of chat templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llamachat.errors import LlamaChatError, UsageError
from llamachat.templates.faults import one_line, template_line
from llamachat.templates.provenance import Parts, split_by_origin

if TYPE_CHECKING:
    from jinja2 import Template

    from llamachat.templates.sandbox import TemplateEnvironment


@dataclass(frozen=True)
class Worded:
    """A text in parts, each a template's own (True), which may have control tokens, or a person's."""

    parts: Parts

    @property
    def text(self) -> str:
        """The whole."""
        return "".join(part for part, _ in self.parts)


class TextTemplate:
    """Jinja, and the file that it is from; its errors name file and line. jinja2 is imported when it is first used.

    line_of: the file's line for one of the source, where the file has more than that.
    """

    def __init__(self, source: str, file: object, line_of: Callable[[int], int] = int) -> None:
        self.source = source
        self._file, self._line_of = file, line_of

    @property
    def names(self) -> frozenset[str]:
        """What the template asks for from outside. Raises UsageError if it is not valid Jinja."""
        from jinja2 import meta

        with self._valid_jinja():
            found = meta.find_undeclared_variables(self._environment.parse(self.source))
        return frozenset(found) - self._environment.globals.keys()

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text. Raises UsageError if the template is not valid, fails, or exceeds its budget of steps and size."""
        template = self._template
        self._environment.budget.begin()
        try:
            return template.render(variables)
        except LlamaChatError as error:
            raise UsageError(f"{self._file}: the text {str(error).removeprefix('The chat template ')}") from error
        except Exception as error:
            line = template_line(error)
            place = f"{self._file}, line {self._line_of(line)}" if line else self._file
            raise UsageError(f"{place}: {one_line(error) or type(error).__name__}") from error

    def worded(self, own: Mapping[str, Any], given: Mapping[str, str]) -> Worded:
        """The text without line breaks at its beginning, and which of it is a person's: what comes from `given`.

        own: variables that are the template's own. Raises as `render`.
        """

        def render(values: Sequence[str]) -> str:
            return self.render({**own, **dict(zip(given, values, strict=True))}).lstrip("\n")

        return Worded(split_by_origin(render, list(given.values()), self._literals, ()))

    @cached_property
    def _literals(self) -> list[str]:
        """The template's string constants: what it may look for in a text."""
        from jinja2 import nodes

        with self._valid_jinja():
            constants = self._environment.parse(self.source).find_all(nodes.Const)
            return [node.value for node in constants if isinstance(node.value, str)]

    @cached_property
    def _environment(self) -> TemplateEnvironment:
        from llamachat.templates.sandbox import TemplateEnvironment

        return TemplateEnvironment()

    @cached_property
    def _template(self) -> Template:
        with self._valid_jinja():
            return self._environment.from_string(self.source)

    @contextmanager
    def _valid_jinja(self) -> Iterator[None]:
        from jinja2.exceptions import TemplateSyntaxError

        try:
            yield
        except TemplateSyntaxError as error:
            reason = one_line(error.message or error).rstrip(".")
            raise UsageError(f"{self._file}, line {self._line_of(error.lineno)}: {reason} (Jinja)") from error
        except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
            raise UsageError(f"{self._file}: not valid Jinja: {one_line(error) or type(error).__name__}") from error
