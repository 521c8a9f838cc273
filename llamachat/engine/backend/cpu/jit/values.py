"""Values whose operators emit LLVM instructions: `Vec` (a number or a register of them), `Var` (it changes), `Ptr`.

Python numbers are splat to the other operand's type. A variable is a stack slot that LLVM's SROA turns into a register,
so no phi appears in a kernel. Floating-point operations are emitted without fast-math flags: the order that a kernel
states is the order that runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.ir as ir

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
HALF, F32, F64 = ir.HalfType(), ir.FloatType(), ir.DoubleType()


def lanes(element: Any, count: int) -> Any:
    """The vector type of `count` elements, or the element type itself for one."""
    return element if count == 1 else ir.VectorType(element, count)


def count_of(kind: Any) -> int:
    """How many lanes a type has."""
    return int(kind.count) if isinstance(kind, ir.VectorType) else 1


def element_of(kind: Any) -> Any:
    """The type of one lane."""
    return kind.element if isinstance(kind, ir.VectorType) else kind


def constant(kind: Any, value: float | Sequence[float]) -> Any:
    """A constant of that type: one number for every lane, or one number each."""
    if not isinstance(kind, ir.VectorType):
        return ir.Constant(kind, value)
    values = list(value) if isinstance(value, Sequence) else [value] * kind.count
    return ir.Constant(kind, [ir.Constant(kind.element, v) for v in values])


def _operator(integer: str, floating: str = "", reverse: bool = False) -> Callable[[Vec, Vec | float], Vec]:
    def method(self: Vec, other: Vec | float) -> Vec:
        mine = self.to_float() if isinstance(other, Vec) and other.floating and not self.floating else self
        a, b = mine.v, mine.like(other).v
        if reverse:
            a, b = b, a
        name = floating if floating and mine.floating else integer
        return Vec(self.b, getattr(self.b, name)(a, b))

    return method


def _comparison(op: str) -> Callable[[Vec, Vec | float], Vec]:
    def method(self: Vec, other: Vec | float) -> Vec:
        compare = self.b.fcmp_ordered if self.floating else self.b.icmp_signed
        return Vec(self.b, compare(op, self.v, self.like(other).v))

    return method


class Vec:
    """A scalar or vector being computed."""

    def __init__(self, b: Any, v: Any) -> None:
        self.b, self.v = b, v

    @property
    def type(self) -> Any:
        """Its LLVM type."""
        return self.v.type

    @property
    def count(self) -> int:
        """How many lanes it has."""
        return count_of(self.type)

    @property
    def floating(self) -> bool:
        """Whether its lanes are floats."""
        return isinstance(element_of(self.type), (ir.FloatType, ir.HalfType, ir.DoubleType))

    def like(self, other: Vec | float) -> Vec:
        """`other` as a value of this value's type: numbers and scalars are splat, integers become floats."""
        if not isinstance(other, Vec):
            return Vec(self.b, constant(self.type, other))
        if self.floating and not other.floating:
            other = other.to_float()
        return other.splat(self.count) if other.count == 1 and self.count > 1 else other

    __add__ = __radd__ = _operator("add", "fadd")
    __sub__, __rsub__ = _operator("sub", "fsub"), _operator("sub", "fsub", reverse=True)
    __mul__ = __rmul__ = _operator("mul", "fmul")
    __truediv__, __rtruediv__ = _operator("sdiv", "fdiv"), _operator("sdiv", "fdiv", reverse=True)
    __floordiv__, __mod__ = _operator("udiv"), _operator("urem")
    __and__, __or__, __xor__ = _operator("and_"), _operator("or_"), _operator("xor")
    __lshift__, __rshift__ = _operator("shl"), _operator("lshr")
    __lt__, __le__, __gt__, __ge__ = (_comparison(op) for op in ("<", "<=", ">", ">="))
    equals = _comparison("==")

    def shift_signed(self, n: int) -> Vec:
        """Shifted right, the sign kept."""
        return Vec(self.b, self.b.ashr(self.v, constant(self.type, n)))

    def as_(self, kind: Any) -> Vec:
        """The same bits seen as another type."""
        return Vec(self.b, self.b.bitcast(self.v, kind))

    def to_float(self) -> Vec:
        """Signed integers as float32."""
        return Vec(self.b, self.b.sitofp(self.v, lanes(F32, self.count)))

    def to_double(self) -> Vec:
        """float32 as float64."""
        return Vec(self.b, self.b.fpext(self.v, lanes(F64, self.count)))

    def to_single(self) -> Vec:
        """float64 as float32, to nearest even."""
        return Vec(self.b, self.b.fptrunc(self.v, lanes(F32, self.count)))

    def signed(self, element: Any) -> Vec:
        """Integers widened with their sign."""
        return Vec(self.b, self.b.sext(self.v, lanes(element, self.count)))

    def unsigned(self, element: Any) -> Vec:
        """Integers widened with zeros."""
        return Vec(self.b, self.b.zext(self.v, lanes(element, self.count)))

    def cut(self, element: Any) -> Vec:
        """Integers cut to a narrower type."""
        return Vec(self.b, self.b.trunc(self.v, lanes(element, self.count)))

    def splat(self, n: int) -> Vec:
        """A scalar in every one of n lanes."""
        if n == 1:
            return self
        kind = lanes(self.type, n)
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.b.insert_element(undefined, self.v, I32(0))
        return Vec(self.b, self.b.shuffle_vector(first, undefined, constant(lanes(I32, n), 0)))

    def shuffle(self, order: Sequence[int]) -> Vec:
        """The lanes in another order."""
        if len(order) == 1:
            return self.lane(order[0])
        return Vec(self.b, self.b.shuffle_vector(self.v, self.v, constant(lanes(I32, len(order)), order)))

    def interleave(self, other: Vec) -> Vec:
        """self[0], other[0], self[1], other[1], ..."""
        if self.count == 1:
            pair = ir.Constant(lanes(self.type, 2), ir.Undefined)
            return Vec(self.b, self.b.insert_element(self.b.insert_element(pair, self.v, I32(0)), other.v, I32(1)))
        order = [i // 2 + i % 2 * self.count for i in range(2 * self.count)]
        return Vec(self.b, self.b.shuffle_vector(self.v, other.v, constant(lanes(I32, len(order)), order)))

    def merge(self, other: Vec, order: Sequence[int]) -> Vec:
        """Lanes of both: i for the i-th of this one, count + i for the i-th of the other."""
        return Vec(self.b, self.b.shuffle_vector(self.v, other.v, constant(lanes(I32, len(order)), order)))

    def beside(self, other: Vec) -> Vec:
        """The lanes of both, this one's first."""
        if self.count > 1:
            return self.merge(other, range(2 * self.count))
        return self.interleave(other)

    def lane(self, i: int) -> Vec:
        """One lane as a scalar."""
        return Vec(self.b, self.b.extract_element(self.v, I32(i))) if self.count > 1 else self

    def select(self, yes: Vec, no: Vec | float) -> Vec:
        """Lanes of `yes` where this condition holds, else of `no`."""
        return Vec(self.b, self.b.select(self.v, yes.v, yes.like(no).v))

    def max(self, other: Vec | float) -> Vec:
        """The larger of each pair; `other` where this is not a number."""
        other = self.like(other)
        return (self > other).select(self, other)

    def min(self, other: Vec | float) -> Vec:
        """The smaller of each pair."""
        other = self.like(other)
        return (self < other).select(self, other)

    def reduce(self, combine: Callable[[Vec, Vec], Vec]) -> Vec:
        """All lanes combined into a scalar, always as the same tree: the upper half onto the lower half."""
        value = self
        while value.count > 1:
            half = value.count // 2
            value = combine(value.shuffle(range(half)), value.shuffle(range(half, 2 * half)))
        return value


class Var:
    """A value that changes inside loops."""

    def __init__(self, b: Any, slot: Any, align: int = 0) -> None:
        self.b, self.slot, self._align = b, slot, align or None

    def get(self) -> Vec:
        """Its value now."""
        return Vec(self.b, self.b.load(self.slot, align=self._align))

    def set(self, value: Vec) -> None:
        """Gives it a new value."""
        self.b.store(value.v, self.slot, align=self._align)


class Ptr:
    """An address in bytes: `p[offset]` moves, `p.load(type)` reads, `p.store(value)` writes."""

    def __init__(self, address: Vec) -> None:
        self.address, self.b = address, address.b

    def __getitem__(self, offset: Vec | int) -> Ptr:
        return Ptr(self.address + offset)

    def load(self, kind: Any, align: int = 1) -> Vec:
        """The value of that type there."""
        return Vec(self.b, self.b.load(self._typed(kind), align=align))

    def store(self, value: Vec, align: int = 1) -> None:
        """Writes the value there."""
        self.b.store(value.v, self._typed(value.type), align=align)

    def var(self, kind: Any, align: int = 0) -> Var:
        """The value of that type there as a variable that stays in memory. align: if not the type's own."""
        return Var(self.b, self._typed(kind), align)

    def load_atomic(self) -> Vec:
        """The i64 there, seen after everything its writer wrote before."""
        return Vec(self.b, self.b.load_atomic(self._typed(I64), "seq_cst", 8))

    def store_atomic(self, value: Vec) -> None:
        """Writes an i64 for other threads to see."""
        self.b.store_atomic(value.v, self._typed(I64), "seq_cst", 8)

    def add_atomic(self, n: int) -> Vec:
        """Adds n to the i64 there and returns what was there before."""
        return Vec(self.b, self.b.atomic_rmw("add", self._typed(I64), I64(n), "seq_cst"))

    def _typed(self, kind: Any) -> Any:
        return self.b.inttoptr(self.address.v, kind.as_pointer())
