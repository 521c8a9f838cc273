"""The Jinja environment for templates out of model files, which are untrusted: no access to Python, and a budget.

Jinja's sandbox closes the ways out; what it leaves open is a template that never ends or fills the memory. Loops
have no other form than `for` and calls, so counting both bounds the work. Operators, filters and methods of texts that
can make much at once are looked at before (`bounds`), and all that is made is charged (`budget`): texts, lists, blocks.

This module imports jinja2 and is itself imported on first use.
"""

import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import make_attrgetter
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from llamachat.templates import bounds
from llamachat.templates.budget import MAX_BYTES, Budget, bounded, refuse_size

STEPS_PER_CALL = 4
PICKING_FILTERS = frozenset({"attr", "count", "d", "default", "first", "last", "length", "max", "min", "random"})
"""Filters that make nothing new."""

COMPARING_TESTS = ("!=", "<", "<=", "==", ">", ">=", "eq", "equalto", "ge", "gt", "greaterthan", "in", "le", "lessthan",
                   "lt", "ne")  # fmt: skip
REFUSED_METHODS = frozenset({"encode", "from_bytes", "to_bytes"})
"""They make bytes, which no conversation needs and no bound here knows."""


class CountingGenerator(CodeGenerator):
    """Compiles what repeats and what makes values so that the environment sees it."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802 (the name Jinja calls)
        """Let the loop run over `environment.counted(...)`."""
        node.iter = self._call("counted", node.iter)
        super().visit_For(node, frame)

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802
        """Weigh both sides first: comparing walks them."""
        sides: list[nodes.Compare | nodes.Operand] = [node, *node.ops]
        for side in sides:
            if not isinstance(side.expr, nodes.Const):
                side.expr = self._call("weighed", side.expr)
        super().visit_Compare(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """Join by `environment.joined(...)`."""
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802
        """Charge it."""
        self.write("environment.made(")
        super().visit_List(node, frame)
        self.write(")")

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        """Charge it, unless it is what a loop or an assignment unpacks into."""
        if node.ctx != "load":
            super().visit_Tuple(node, frame)
            return
        self.write("environment.made(")
        super().visit_Tuple(node, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        """Charge it."""
        self.write("environment.made(")
        super().visit_Dict(node, frame)
        self.write(")")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        """Charge a slice, which Jinja cuts without asking the environment."""
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.made(")
        super().visit_Getitem(node, frame)
        self.write(")")

    def _call(self, method: str, value: nodes.Node) -> nodes.Call:
        """The expression, passed through a method of the environment."""
        function = nodes.EnvironmentAttribute(method, lineno=value.lineno)
        call = nodes.Call(function, [value], [], None, None, lineno=value.lineno)
        call.set_environment(self.environment)
        return call


class GenerationBlock(Extension):
    """`{% generation %}...{% endgeneration %}`, which marks what a model learns to say; here it is just its body."""

    tags = {"generation"}  # noqa: RUF012 (Jinja declares it so)

    def parse(self, parser: Parser) -> nodes.Node:
        """The body, in a scope of its own."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class QuietNamespace(Namespace):
    """A namespace whose text does not show what is in it: it can change after it was weighed."""

    def __repr__(self) -> str:
        return "<Namespace>"


def _maker(kind: type) -> Callable[..., Any]:
    """A class as a function that makes one: the class itself has methods that take any object of its kind as `self`."""

    def make(*args: Any, **kwargs: Any) -> Any:
        return kind(*args, **kwargs)

    make.__name__ = kind.__name__
    return make


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with the names, filters and whitespace rules that `transformers` gives to chat templates."""

    code_generator_class = CountingGenerator
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        extensions = [loopcontrols, GenerationBlock]
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions, finalize=self.text)
        self.budget = Budget()
        self.filters["tojson"] = self._to_json
        self.filters["join"] = self._join
        self.filters = {name: self._bounded_filter(name, function) for name, function in self.filters.items()}
        for name in COMPARING_TESTS:
            self.tests[name] = self._weighing(self.tests[name])
        self.globals |= {"raise_exception": raise_exception, "namespace": QuietNamespace}
        del self.globals["lipsum"]
        self.globals = {name: _maker(one) if isinstance(one, type) else one for name, one in self.globals.items()}

    def preprocess(self, source: str, name: str | None = None, filename: str | None = None) -> str:
        """Jinja's first step. Raises ValueError for a template that is too long."""
        bounds.check_source(source)
        return super().preprocess(source, name, filename)

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, each a step of the budget."""
        for item in items:
            self.budget.step()
            yield item

    def weighed(self, value: Any) -> Any:
        """`value`, unless it is too large written out."""
        if not isinstance(value, str):
            self.budget.weigh(value)
        return value

    def made(self, value: Any) -> Any:
        """`value`, a new one: charged."""
        self.budget.weigh(value)
        self.budget.charge(sys.getsizeof(value, 0))
        return value

    def text(self, value: Any) -> str:
        """`str(value)`, charged."""
        if not isinstance(value, str):
            bounded(bounds.text_chars(value, self.budget.weigh))
        text = str(value)
        bounded(len(text))
        self.budget.charge(sys.getsizeof(text))
        return text

    def joined(self, parts: Iterable[Any], separator: str = "") -> str:
        """The parts as text, one after the other."""
        texts: list[str] = []
        n_chars = 0
        for part in self.counted(parts):
            texts.append(self.text(part))
            n_chars += len(texts[-1]) + len(separator)
            bounded(n_chars)
        return str(self.made(separator.join(texts)))

    def concat(self, chunks: Iterable[str]) -> str:
        """What a block or a macro has written, as one text; the chunks are charged already."""
        texts = list(chunks)
        bounded(sum(map(len, texts)))
        return str(self.made("".join(texts)))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call `__obj` as some steps of the budget; of a method of a text, what it would make is looked at first."""
        budget = __self.budget
        budget.step(STEPS_PER_CALL)
        given = (*args, *kwargs.values())
        if sum(map(budget.weigh, given)) > MAX_BYTES:
            refuse_size()
        method = getattr(__obj, "__wrapped__", __obj)
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(owner, str):
            if name == "join" and len(given) == 1:
                args = ([*__self.counted(given[0])],)
                bounded(sum(len(part) + len(owner) for part in args[0] if isinstance(part, str)))
            elif name in ("format", "format_map"):
                bounds.check_format(owner, given, budget.weigh)
            else:
                bounds.check_method(owner, name, given)
        result = super().call(__context, __obj, *args, **kwargs)
        return result if isinstance(owner, dict) and name == "get" else __self._charged(result)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The result of an operator, if it is not too large."""
        self.budget.step()
        if operator == "+":
            bounds.check_sum(left, right)
        elif operator == "*":
            bounds.check_product(left, right)
        elif operator == "**":
            bounds.check_power(left, right)
        elif isinstance(left, str):
            bounds.check_format(left, right if isinstance(right, tuple) else [right], self.budget.weigh)
        return self.made(super().call_binop(context, operator, left, right))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Jinja's own rules, and no bytes."""
        return attr not in REFUSED_METHODS and super().is_safe_attribute(obj, attr, value)

    def _charged(self, result: Any) -> Any:
        """The result of a call or a filter; of a list the items, too, which may all be new."""
        if isinstance(result, list | tuple | dict):
            self.budget.charge(bounds.ITEM_BYTES * len(result))
        return self.made(result)

    def _weighing(self, test: Any) -> Callable[..., Any]:
        return lambda *values: test(*map(self.weighed, values))

    def _join(self, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
        """Jinja's `join`, its texts charged one by one."""
        items = value if attribute is None else map(make_attrgetter(self, attribute), value)
        return self.joined(items, str(d))

    def _to_json(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | str | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        """JSON as `transformers` writes it: no HTML escapes (unlike Jinja's own filter), other scripts as they are."""
        bounds.check_json(self.budget.weigh(value), indent, separators)
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def _bounded_filter(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        first = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)
        def filtered(*args: Any, **kwargs: Any) -> Any:
            self.budget.step()
            self.budget.look()
            given = (*args[first:], *kwargs.values())
            if sum(map(self.budget.weigh, given)) > MAX_BYTES:
                refuse_size()
            if name in ("format", "string"):
                bounds.check_format(str(given[0]) if name == "format" else "%s", given, self.budget.weigh)
            bounds.check_filter(name, given, self.budget.weigh)
            result = function(*args, **kwargs)
            return result if name in PICKING_FILTERS else self._charged(result)

        return filtered


def clock(moment: datetime) -> Callable[[str], str]:
    """The function `strftime_now(format)` for a rendering at `moment`."""

    def strftime_now(form: str) -> str:
        bounds.check_format(form, (), lambda _: 0)
        return moment.strftime(form)

    return strftime_now


def raise_exception(message: object) -> NoReturn:
    """What templates call to refuse a conversation. Raises TemplateError."""
    raise TemplateError(str(message))
