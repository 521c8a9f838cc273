"""A template as a program that can be run: in this process where it is known, in a helper process where it is not.

The sandbox bounds what a template makes and how often it calls something; a single call in C (a division of numbers
of millions of digits) cannot be stopped from within. So only templates that were read by somebody, those of this
package and those whose hashes are in `known.txt`, run here; all others run where they can be ended (`helper`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Protocol

from llamachat.errors import LlamaChatError
from llamachat.templates.faults import TemplateFault, one_line, template_line

if TYPE_CHECKING:
    from jinja2 import Template

    from llamachat.templates.sandbox import TemplateEnvironment

HASH_DIGITS = 32


class Program(Protocol):
    """A template. Every method but `begin` raises TemplateFault."""

    def begin(self, n_messages: int = 0) -> None:
        """A new budget of steps, size and time, for everything until the next `begin`."""
        ...

    def literals(self) -> list[str]:
        """The template's string constants: what it may look for in a text."""
        ...

    def keys(self) -> list[str]:
        """The names that it looks up in what it is given (`message.content`), but for those in `literals`."""
        ...

    def names(self) -> list[str]:
        """What it asks for from outside."""
        ...

    def render(self, variables: Mapping[str, Any], moment: datetime | None = None) -> str:
        """The text. variables: JSON's types only. moment: the time for `strftime_now`, which is unknown without it."""
        ...


def program_of(source: str) -> Program:
    """The program of a template."""
    if is_known(source):
        return LocalProgram(source)
    from llamachat.templates.helper import RemoteProgram

    return RemoteProgram(source)


def template_hash(source: str) -> str:
    """What names a template in `known.txt`."""
    import hashlib  # OpenSSL, which --help does without

    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]


def is_known(source: str) -> bool:
    """Whether somebody has read this template, and it may run in this process."""
    return template_hash(source) in _known_hashes()


@cache
def _known_hashes() -> frozenset[str]:
    from importlib.resources import files  # 8 ms, which --help does without

    lines = files("llamachat.templates").joinpath("known.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.split()[0] for line in lines if line and not line.startswith("#"))


class LocalProgram:
    """A template in this process. jinja2 is imported when it is first used, because that costs 60 ms."""

    def __init__(self, source: str) -> None:
        self.source = source

    def begin(self, n_messages: int = 0) -> None:
        """See Program."""
        self.environment.budget.begin(n_messages)

    def literals(self) -> list[str]:
        """See Program."""
        from jinja2 import nodes

        with _as_fault(reading=True):
            constants = self.environment.parse(self.source).find_all(nodes.Const)
            return [node.value for node in constants if isinstance(node.value, str)]

    def keys(self) -> list[str]:
        """See Program."""
        from jinja2 import nodes

        with _as_fault(reading=True):
            return sorted({node.attr for node in self.environment.parse(self.source).find_all(nodes.Getattr)})

    def names(self) -> list[str]:
        """See Program."""
        from jinja2 import meta

        with _as_fault(reading=True):
            found = meta.find_undeclared_variables(self.environment.parse(self.source))
        return sorted(found - self.environment.globals.keys())

    def render(self, variables: Mapping[str, Any], moment: datetime | None = None) -> str:
        """See Program."""
        from llamachat.templates.budget import bounded
        from llamachat.templates.sandbox import clock

        template = self.compiled
        times = {} if moment is None else {"strftime_now": clock(moment)}
        chunks: list[str] = []
        n_chars = 0
        with _as_fault():
            self.environment.budget.forget()
            for chunk in template.generate({**times, **variables}):
                chunks.append(chunk)
                n_chars += len(chunk)
                bounded(n_chars)
        return "".join(chunks)

    @cached_property
    def environment(self) -> TemplateEnvironment:
        """The sandbox, which is this template's own."""
        from llamachat.templates.sandbox import TemplateEnvironment

        return TemplateEnvironment()

    @cached_property
    def compiled(self) -> Template:
        """The template as Python. Raises TemplateFault."""
        with _as_fault(reading=True):
            return self.environment.from_string(self.source)


@contextmanager
def _as_fault(*, reading: bool = False) -> Iterator[None]:
    """Whatever a template raises, as a TemplateFault. reading: it is not running yet."""
    from jinja2.exceptions import TemplateError, TemplateRuntimeError, TemplateSyntaxError

    try:
        yield
    except TemplateSyntaxError as error:
        raise TemplateFault("syntax", one_line(error.message or error), error.lineno) from error
    except LlamaChatError as error:
        raise TemplateFault("stopped", str(error)) from error
    except RecursionError as error:
        if reading:
            raise TemplateFault("invalid", one_line(error)) from error
        raise TemplateFault("stopped", "The chat template was stopped: it calls itself too deeply") from error
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        if reading:
            raise TemplateFault("invalid", reason) from error
        if isinstance(error, TemplateError) and not isinstance(error, TemplateRuntimeError):
            raise TemplateFault("refuses", reason) from error
        raise TemplateFault("fails", reason, template_line(error)) from error
