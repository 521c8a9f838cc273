"""`Kernel`: a function being written. Loops, conditions, variables and the fields of its arguments.

Every kernel has one signature, `void f(i64 args, i64 step, i64 thread, i64 n_threads)`: `args` points to the launch's
own i64 fields (named by the spec), `step` to those that change from step to step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import llvmlite.ir as ir

from llamachat.engine.backend.cpu.jit.values import F32, I8, I32, I64, Ptr, Var, Vec, constant, lanes

CACHE_LINE = 64

OWN_COUNTS = tuple(f"n_own_{i}" for i in range(8))
"""Numbers of rows that have nothing to do with the step's tokens."""

STEP = ("cancel", "n_tokens", "n_outputs", "tokens", "rows", *OWN_COUNTS)
"""What changes from step to step."""


def count_of(field: str, times: int = 1) -> int:
    """The argument that says how many rows there are: `times` for each that a field of STEP counts."""
    return 8 * STEP.index(field) | (times - 1) << COUNT_BITS


def counted(count: int) -> tuple[str, int]:
    """(field, times) of a `count_of`."""
    return STEP[(count & COUNT_MASK) // 8], (count >> COUNT_BITS) + 1


COUNT_BITS = 16
COUNT_MASK = (1 << COUNT_BITS) - 1

ROW = ("cache", "cell", "position", "source", "begin", "end")
"""What the step says of each of its tokens: where its sequence's cache is, its cell there, its position; of `LoadKeys`
also the cell to read; where texts are whole, which of the step's tokens, [begin, end), are its text."""
ROW_BYTES = 8 * len(ROW)


class Fields:
    """i64 fields in memory, read as attributes: `args.rows` emits the load."""

    def __init__(self, base: Vec, names: Sequence[str]) -> None:
        self.base, self._names = base, tuple(names)

    def __getattr__(self, name: str) -> Vec:
        if name not in self._names:
            raise AttributeError(f"{name} is not one of {self._names}")
        return self.place(name).load(I64, align=8)

    def place(self, name: str) -> Ptr:
        """Where a field lies."""
        return Ptr(self.base)[8 * self._names.index(name)]


class Kernel:
    """A function being written into a module."""

    def __init__(self, module: Any, name: str, arguments: Sequence[str]) -> None:
        self.f = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * 4), name)
        # Else LLVM keeps registers on the stack as it lies, and half of these accesses may cross cache lines.
        self.f.attributes.add("nounwind")  # llvmlite writes an alignment only beside another attribute
        self.f.attributes.alignstack = CACHE_LINE
        self.b = ir.IRBuilder(self.f.append_basic_block("entry"))
        args, step, self.thread, self.n_threads = (Vec(self.b, a) for a in self.f.args)
        self.args = Fields(args, arguments)
        self.step = Fields(step, STEP)
        self._leave: Any = None

    def pointer(self, name: str) -> Ptr:
        """The argument of that name as an address."""
        return Ptr(getattr(self.args, name))

    def real(self, name: str) -> Vec:
        """The argument of that name as a float32: the lower half of its field. It must be one of `KernelSpec.reals`."""
        return self.args.place(name).load(F32, align=8)

    def row(self, token: Vec) -> Fields:
        """What the step says of one of its tokens: the fields of ROW."""
        return Fields(self.step.rows + token * ROW_BYTES, ROW)

    def count(self, name: str = "count") -> Vec:
        """How many rows there are, as the argument of that name, a `count_of`, says."""
        said = getattr(self.args, name)
        return Ptr(self.step.base)[said & COUNT_MASK].load(I64, align=8) * ((said >> COUNT_BITS) + 1)

    def not_cancelled(self) -> Vec:
        """Whether the person still waits for this step: large launches look, so that Ctrl+C stops them early."""
        return Ptr(self.step.base)[8 * STEP.index("cancel")].load_atomic().equals(0)

    def cancel(self) -> None:
        """Asks all threads to end the step."""
        Ptr(self.step.base)[8 * STEP.index("cancel")].store_atomic(self.number(1))

    def number(self, value: int) -> Vec:
        """An i64."""
        return Vec(self.b, I64(value))

    def constant(self, kind: Any, value: float | Sequence[float]) -> Vec:
        """A constant of that type."""
        return Vec(self.b, constant(kind, value))

    def zeros(self, kind: Any) -> Vec:
        """Zero in every lane."""
        return self.constant(kind, 0.0 if _floating(kind) else 0)

    def var(self, start: Vec) -> Var:
        """A variable with a first value."""
        variable = Var(self.b, self.room(start.type))
        variable.set(start)
        return variable

    def room(self, kind: Any) -> Any:
        """A stack slot in the entry block."""
        with self.b.goto_entry_block():
            return self.b.alloca(kind)

    def memory(self, kind: Any, count: int) -> Ptr:
        """Room for `count` values of a type on the stack, not in registers."""
        return Ptr(Vec(self.b, self.b.ptrtoint(self.room(ir.ArrayType(kind, count)), I64)))

    def table(self, name: str, element: Any, values: Sequence[int]) -> Ptr:
        """Constant integers in the module's memory; made once for a name."""
        found = self.f.module.globals.get(name)
        if found is None:
            kind = ir.ArrayType(element, len(values))
            found = ir.GlobalVariable(self.f.module, kind, name)
            found.linkage, found.global_constant = "internal", True
            found.initializer = ir.Constant(kind, [ir.Constant(element, value) for value in values])
        return Ptr(Vec(self.b, self.b.ptrtoint(found, I64)))

    def share(self, count: Vec, unit: int = 1) -> tuple[Vec, Vec]:
        """[first, last) of `count` items for this thread; borders are multiples of `unit`."""
        units = (count + (unit - 1)) // unit
        first, last = (units * t // self.n_threads * unit for t in (self.thread, self.thread + 1))
        return first.min(count), last.min(count)

    @contextlib.contextmanager
    def loop(self, start: Vec | int, stop: Vec | int, step: Vec | int = 1) -> Iterator[Vec]:
        """`for index in range(start, stop, step)`; not entered when empty."""
        first, end = (x if isinstance(x, Vec) else self.number(x) for x in (start, stop))
        index = self.var(first)
        body, done = self.f.append_basic_block("loop"), self.f.append_basic_block("done")
        self.b.cbranch((first < end).v, body, done)
        self.b.position_at_end(body)
        now = index.get()
        yield now
        following = now + step
        index.set(following)
        self.b.cbranch((following < end).v, body, done)
        self.b.position_at_end(done)

    @contextlib.contextmanager
    def while_(self) -> Iterator[Any]:
        """An endless loop; yields a function that breaks out of it when its condition holds."""
        body, done = self.f.append_basic_block("while"), self.f.append_basic_block("left")
        self.b.branch(body)
        self.b.position_at_end(body)

        def break_if(condition: Vec) -> None:
            more = self.f.append_basic_block("more")
            self.b.cbranch(condition.v, done, more)
            self.b.position_at_end(more)

        yield break_if
        self.b.branch(body)
        self.b.position_at_end(done)

    @contextlib.contextmanager
    def when(self, condition: Vec) -> Iterator[None]:
        """Emits what runs only when the condition holds."""
        with self.b.if_then(condition.v):
            yield

    def call(self, name: str, result: Any, *operands: Vec) -> Vec:
        """A call of an LLVM intrinsic by its full name."""
        return Vec(
            self.b, self.b.call(self.declare(name, result, *(o.type for o in operands)), [o.v for o in operands])
        )

    def prefetch(self, p: Ptr, n_bytes: int) -> None:
        """Asks for the cache lines of n_bytes from p on; harmless where nothing is."""
        pointer = I8.as_pointer()
        hint = self.declare(f"llvm.prefetch.{pointer.intrinsic_name}", None, pointer, I32, I32, I32)
        read, keep, data = (Vec(self.b, I32(value)) for value in (0, 3, 1))
        for at in range(0, n_bytes, CACHE_LINE):
            address = self.b.inttoptr(p[at].address.v, pointer)
            self.b.call(hint, [address, read.v, keep.v, data.v])

    def keep_order(self) -> None:
        """Nothing moves across this place: compilers move loads ahead until registers do not suffice.

        A branch that is never taken, on what the compiler does not know, ends the block in which it schedules.
        """
        opaque = self.b.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [self.n_threads.v], side_effect=True)
        if self._leave is None:
            with self.b.goto_block(self.f.append_basic_block("leave")):
                self._leave = self.b.block
                self.b.ret_void()
        following = self.f.append_basic_block("following")
        self.b.cbranch((Vec(self.b, opaque) < 0).v, self._leave, following)
        self.b.position_at_end(following)

    def call_address(self, address: Vec, result: Any | None, *operands: Vec) -> Vec:
        """A call of a function by its address."""
        kind = ir.FunctionType(result or ir.VoidType(), [o.type for o in operands])
        return Vec(self.b, self.b.call(self.b.inttoptr(address.v, kind.as_pointer()), [o.v for o in operands]))

    def sqrt(self, x: Vec) -> Vec:
        """The square root of each lane."""
        name = "llvm.sqrt.f32" if x.count == 1 else f"llvm.sqrt.v{x.count}f32"
        return self.call(name, x.type, x)

    def ramp(self, n: int) -> Vec:
        """0, 1, 2, ... as i32."""
        return self.constant(lanes(I32, n), list(range(n)))

    def declare(self, name: str, result: Any = None, *operands: Any) -> Any:
        """The module's declaration of an intrinsic with these types; made once."""
        kind = ir.FunctionType(result or ir.VoidType(), operands)
        return self.f.module.globals.get(name) or ir.Function(self.f.module, kind, name)

    def end(self) -> None:
        """Returns."""
        self.b.ret_void()


def _floating(kind: Any) -> bool:
    return isinstance(getattr(kind, "element", kind), (ir.FloatType, ir.HalfType))
