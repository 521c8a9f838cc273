"""The Jinja environment for templates out of model files, which are untrusted: no access to Python, and a budget.

Jinja's sandbox closes the ways out; what it leaves open is a template that never ends or fills the memory. Loops
have no other form than `for` and calls, so counting both bounds the work; the operators and filters that can make a
long text at once are looked at before or after. What remains is one slow call into C (a regular structure of
exponential size printed at once); a process of its own is the answer to that.

This module imports jinja2 and is itself imported on first use.
"""

import functools
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llamachat.errors import LlamaChatError

MAX_STEPS = 1_000_000
MAX_CHARS = 16_000_000
MAX_BITS = 4096
MAX_CPU_S = 10.0
STEPS_PER_CALL = 4
STEPS_PER_LOOK = 64

WIDTH_FILTERS = frozenset({"batch", "center", "indent", "slice", "truncate", "wordwrap"})
WIDE_FORMAT = re.compile(r"\d{6,}|\*")


class Budget(threading.local):
    """What one rendering has used; each thread has its own."""

    steps = 0
    next_look = STEPS_PER_LOOK
    started_s = 0.0

    def begin(self) -> None:
        """Start anew."""
        self.steps, self.next_look, self.started_s = 0, STEPS_PER_LOOK, time.thread_time()

    def step(self, cost: int = 1) -> None:
        """Count an iteration or a call. Raises LlamaChatError where there were too many, or too slow ones."""
        self.steps += cost
        if self.steps > MAX_STEPS:
            raise LlamaChatError(f"The chat template was stopped after {MAX_STEPS} steps; it seems to run in circles")
        if self.steps < self.next_look:
            return
        self.next_look = self.steps + STEPS_PER_LOOK
        if time.thread_time() - self.started_s > MAX_CPU_S:
            raise LlamaChatError(f"The chat template was stopped after {MAX_CPU_S:g} seconds of computing")


def refuse_size() -> NoReturn:
    """Raise LlamaChatError for a text or number that is too large."""
    raise LlamaChatError(f"The chat template was stopped: it makes a value of more than {MAX_CHARS} characters")


def bounded(value: Any) -> Any:
    """`value`; raises LlamaChatError if it is a text or a list that is too long."""
    if isinstance(value, str | list | tuple) and len(value) > MAX_CHARS:
        refuse_size()
    return value


class CountingGenerator(CodeGenerator):
    """Compiles a `for` so that its iterations are counted, and `~` so that its length is."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802 (the name Jinja calls)
        """Let the loop run over `environment.counted(...)`."""
        counter = nodes.EnvironmentAttribute("counted", lineno=node.lineno)
        node.iter = nodes.Call(counter, [node.iter], [], None, None, lineno=node.lineno)
        node.iter.set_environment(self.environment)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """Join by `environment.joined(...)`."""
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class GenerationBlock(Extension):
    """`{% generation %}...{% endgeneration %}`, which marks what a model learns to say; here it is just its body."""

    tags = {"generation"}  # noqa: RUF012 (Jinja declares it so)

    def parse(self, parser: Parser) -> nodes.Node:
        """The body, in a scope of its own."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with the names, filters and whitespace rules that `transformers` gives to chat templates."""

    code_generator_class = CountingGenerator
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, GenerationBlock])
        self.budget = Budget()
        self.filters["tojson"] = to_json
        self.filters = {name: _bounded_filter(name, function) for name, function in self.filters.items()}
        self.globals["raise_exception"] = raise_exception
        del self.globals["lipsum"]

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, each a step of the budget."""
        for item in items:
            self.budget.step()
            yield item

    def joined(self, parts: tuple[Any, ...]) -> str:
        """The parts as text, one after the other."""
        texts = [str(part) for part in parts]
        if sum(map(len, texts)) > MAX_CHARS:
            refuse_size()
        return "".join(texts)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call `__obj` as some steps of the budget; a method of a text must not be asked for a huge width."""
        __self.budget.step(STEPS_PER_CALL)
        method = getattr(__obj, "__wrapped__", __obj)
        if isinstance(getattr(method, "__self__", None), str):
            _check_widths((*args, *kwargs.values()))
        return bounded(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The result of an operator, if it is not too large."""
        if operator == "*":
            _check_product(left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int) and right > 0:
            if left.bit_length() * right > MAX_BITS:
                refuse_size()
        elif operator == "%" and isinstance(left, str) and WIDE_FORMAT.search(left):
            refuse_size()
        return bounded(super().call_binop(context, operator, left, right))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Jinja's safe `str.format`, without huge widths."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and WIDE_FORMAT.search(value.__self__):
            refuse_size()
        return wrapped


def clock(moment: datetime) -> Callable[[str], str]:
    """The function `strftime_now(format)` for a rendering at `moment`."""

    def strftime_now(form: str) -> str:
        if WIDE_FORMAT.search(form):
            refuse_size()
        return moment.strftime(form)

    return strftime_now


def raise_exception(message: object) -> NoReturn:
    """What templates call to refuse a conversation."""
    raise TemplateError(str(message))


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as `transformers` writes it: no HTML escapes (unlike Jinja's own filter), other scripts as they are."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_BITS:
            refuse_size()
        return
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(count, int) and len(sequence) * count > MAX_CHARS:
            refuse_size()


def _check_widths(arguments: Iterable[Any]) -> None:
    if any(isinstance(argument, int) and argument > MAX_CHARS for argument in arguments):
        refuse_size()


def _bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        if name in WIDTH_FILTERS:
            _check_widths((*args, *kwargs.values()))
        if name == "format" and isinstance(args[0], str) and WIDE_FORMAT.search(args[0]):
            refuse_size()
        return bounded(function(*args, **kwargs))

    return filtered
