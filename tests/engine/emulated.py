"""Instruction sets that this processor may lack, run by it: the real classes, with each instruction replaced by others.

An emulated set writes the very IR of the real one. Before it is compiled, for AVX2, every intrinsic of a wider set
becomes a call of a function of the same meaning, written here after Intel's manual in plain IR and in instructions of
AVX2; plain IR on 512 bits is lowered by LLVM. So what runs is the real set's logic: lanes, registers, columns, tricks.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from llamachat.engine.backend.cpu.jit import compiler
from llamachat.engine.backend.cpu.jit import isa as isas
from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.amx import Avx512Amx
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.isa.x86 import Avx2, Avx512, Avx512Vbmi, Avx512Vnni, AvxVnni

REAL: tuple[type[Generic], ...] = (Avx512Amx, Avx512Vbmi, Avx512Vnni, Avx512, AvxVnni)


class Emulated:
    """Mixed into a real instruction set: compiled for AVX2."""


def emulated(real: type[Generic]) -> type[Generic]:
    """The emulated form of a real set, named `...-emulated`."""
    fields = {"name": f"{real.name}-emulated", "cpu": Avx2.cpu, "features": "", "needs": Avx2.needs}
    return type(f"Emulated{real.__name__}", (Emulated, real), {**fields, "is_permitted": classmethod(lambda _: True)})


SETS: dict[str, type[Generic]] = {kind.name: kind for kind in map(emulated, REAL) if "avx2" in compiler.usable_isas()}


@contextmanager
def known_sets() -> Iterator[None]:
    """Makes the emulated sets known by their names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "emit", _emit_with(compiler.emit))
        for kind in SETS.values():
            isas.register(kind)
        try:
            yield
        finally:
            for name in SETS:
                isas.unregister(name)


def _emit_with(real: Callable[[KernelSpec, Generic], str]) -> Callable[[KernelSpec, Generic], str]:
    def emit(spec: KernelSpec, isa: Generic) -> str:
        text = real(spec, isa)
        return with_definitions(text) if isinstance(isa, Emulated) else text

    return emit


def with_definitions(text: str) -> str:
    """The module with its declarations of wide intrinsics replaced by definitions."""
    found = [name for name in re.findall(r'declare [^@]*@"?(llvm\.x86\.[\w.]+)"?\(', text) if name not in _AVX2]
    if not found:
        return text
    for name in found:
        mention = rf'@"?{re.escape(name)}"?\('
        text = re.sub(rf"declare [^@]*{mention}[^)]*\)\n?", "", text)
        has_state = "@emulated.state" in _DEFINITIONS[name]
        text = re.sub(mention + r"(\)?)", rf'@"emulated.{name}"({f"i64 {_THREAD}" * has_state}\1', text)
        if has_state:
            text = re.sub(rf'(@"emulated.{re.escape(name)}"\({_THREAD_PATTERN})([^)])', r"\1, \2", text)
    needed = [_DEFINITIONS[name] for name in found]
    if any("@emulated.state" in one for one in needed):
        needed.append(_TILES)
    return "\n".join([text, *needed, *_helpers(text)])


_AVX2 = {
    *("llvm.x86.sse2.pause", "llvm.x86.avx2.psign.b", "llvm.x86.avx2.pshuf.b", "llvm.x86.avx2.pmadd.wd"),
    "llvm.x86.avx2.pmadd.ub.sw",
}

_HELPERS = (
    'declare <16 x i16> @"llvm.x86.avx2.pmadd.ub.sw"(<32 x i8>, <32 x i8>)',
    'declare <8 x i32> @"llvm.x86.avx2.pmadd.wd"(<16 x i16>, <16 x i16>)',
    'declare <32 x i8> @"llvm.x86.avx2.pshuf.b"(<32 x i8>, <32 x i8>)',
    'declare <8 x float> @"llvm.x86.avx2.permps"(<8 x float>, <8 x i32>)',
)


def _helpers(text: str) -> list[str]:
    """Declarations of AVX2's instructions that the module does not have yet."""
    return [line for line in _HELPERS if line[line.index('"') : line.rindex('"') + 1] not in text]


def _order(numbers: range | list[int]) -> str:
    return f"<{len(numbers)} x i32> <{', '.join(f'i32 {i}' for i in numbers)}>"


def _same(kind: str, count: int, value: int) -> str:
    return f"<{', '.join([f'{kind} {value}'] * count)}>"


def _halves(name: str, narrow: str, out: tuple[str, int], *operands: tuple[str, int]) -> str:
    """A 512-bit instruction as the 256-bit one on both halves; types are (element, lanes of 512 bits)."""
    lines = []
    for half in range(2):
        for i, (element, count) in enumerate(operands):
            part = range(half * count // 2, (half + 1) * count // 2)
            kind = f"<{count} x {element}>"
            lines.append(f"  %h{half}.{i} = shufflevector {kind} %a{i}, {kind} undef, {_order(part)}")
        given = ", ".join(f"<{count // 2} x {element}> %h{half}.{i}" for i, (element, count) in enumerate(operands))
        lines.append(f'  %r{half} = call <{out[1] // 2} x {out[0]}> @"{narrow}"({given})')
    kind = f"<{out[1] // 2} x {out[0]}>"
    lines.append(f"  %r = shufflevector {kind} %r0, {kind} %r1, {_order(range(out[1]))}")
    return _function(name, out, operands, lines)


def _function(name: str, out: tuple[str, int], operands: tuple[tuple[str, int], ...], lines: list[str]) -> str:
    given = ", ".join(f"<{count} x {element}> %a{i}" for i, (element, count) in enumerate(operands))
    kind = f"<{out[1]} x {out[0]}>"
    body = "\n".join([*lines, f"  ret {kind} %r"])
    return f'define internal {kind} @"emulated.{name}"({given}) noinline {{\n{body}\n}}'


def _byte_dot(name: str, rows: int) -> str:
    """vpdpbusd: every product of an unsigned and a signed byte, exact, is added to its lane."""
    quads, wide = f"<{4 * rows} x i8>", f"<{4 * rows} x i32>"
    lines = [
        f"  %u8 = bitcast <{rows} x i32> %a1 to {quads}",
        f"  %s8 = bitcast <{rows} x i32> %a2 to {quads}",
        f"  %u = zext {quads} %u8 to {wide}",
        f"  %s = sext {quads} %s8 to {wide}",
        f"  %p = mul {wide} %u, %s",
    ]
    total = "%a0"
    for i in range(4):
        result = "%r" if i == 3 else f"%t{i}"
        lines.append(
            f"  %p{i} = shufflevector {wide} %p, {wide} undef, {_order([4 * lane + i for lane in range(rows)])}"
        )
        lines.append(f"  {result} = add <{rows} x i32> {total}, %p{i}")
        total = result
    return _function(name, ("i32", rows), (("i32", rows),) * 3, lines)


def _permute_bytes(name: str) -> str:
    """vpermb: six bits of each byte of the second operand choose one of the first's 64."""
    kind = "<64 x i8>"
    lines = [f"  %low = and {kind} %a1, {_same('i8', 64, 15)}"]
    for part in range(4):
        for half in range(2):
            pick = _order(list(range(32 * half, 32 * half + 32)))
            table = _order([16 * part + i % 16 for i in range(32)])
            lines += [
                f"  %i{part}{half} = shufflevector {kind} %low, {kind} undef, {pick}",
                f"  %t{part}{half} = shufflevector {kind} %a0, {kind} undef, {table}",
                f'  %f{part}{half} = call <32 x i8> @"llvm.x86.avx2.pshuf.b"'
                f"(<32 x i8> %t{part}{half}, <32 x i8> %i{part}{half})",
            ]
        lines.append(f"  %f{part} = shufflevector <32 x i8> %f{part}0, <32 x i8> %f{part}1, {_order(range(64))}")
    lines.append(f"  %high = and {kind} %a1, {_same('i8', 64, 48)}")
    found = "%f0"
    for part in range(1, 4):
        result = "%r" if part == 3 else f"%g{part}"
        lines.append(f"  %is{part} = icmp eq {kind} %high, {_same('i8', 64, 16 * part)}")
        lines.append(f"  {result} = select <64 x i1> %is{part}, {kind} %f{part}, {kind} {found}")
        found = result
    return _function(name, ("i8", 64), (("i8", 64),) * 2, lines)


def _permute_floats(name: str) -> str:
    """vpermps: four bits of each lane of the second operand choose one of the first's 16."""
    lines = []
    for part in range(2):
        table = _order(range(8 * part, 8 * part + 8))
        lines.append(f"  %t{part} = shufflevector <16 x float> %a0, <16 x float> undef, {table}")
    for half in range(2):
        pick = _order(range(8 * half, 8 * half + 8))
        lines += [
            f"  %i{half} = shufflevector <16 x i32> %a1, <16 x i32> undef, {pick}",
            f"  %b{half} = and <8 x i32> %i{half}, {_same('i32', 8, 8)}",
            f"  %u{half} = icmp ne <8 x i32> %b{half}, zeroinitializer",
            *(
                f'  %f{half}{part} = call <8 x float> @"llvm.x86.avx2.permps"(<8 x float> %t{part}, <8 x i32> %i{half})'
                for part in range(2)
            ),
            f"  %r{half} = select <8 x i1> %u{half}, <8 x float> %f{half}1, <8 x float> %f{half}0",
        ]
    lines.append(f"  %r = shufflevector <8 x float> %r0, <8 x float> %r1, {_order(range(16))}")
    return _function(name, ("float", 16), (("float", 16), ("i32", 16)), lines)


_THREAD, _THREAD_PATTERN = '%".3"', r'i64 %"\.3"'
"""The kernel's argument that says which thread it is (`Kernel`): each has tiles of its own."""

_TILES = """
%emulated.tiles = type { [64 x i8], [8 x [16 x [64 x i8]]] }
@emulated.state = internal global [64 x %emulated.tiles] zeroinitializer
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
define internal ptr @emulated.row(i64 %thread, i8 %tile, i64 %row) noinline {
  %t = zext i8 %tile to i64
  %p = getelementptr [64 x %emulated.tiles], ptr @emulated.state, i64 0, i64 %thread, i32 1, i64 %t, i64 %row, i64 0
  ret ptr %p
}
define internal ptr @emulated.config(i64 %thread) noinline {
  %p = getelementptr [64 x %emulated.tiles], ptr @emulated.state, i64 0, i64 %thread, i32 0, i64 0
  ret ptr %p
}
define internal i64 @emulated.rows(i64 %thread, i8 %tile) noinline {
  %t = zext i8 %tile to i64
  %i = add i64 %t, 48
  %c = call ptr @emulated.config(i64 %thread)
  %p = getelementptr i8, ptr %c, i64 %i
  %v = load i8, ptr %p
  %r = zext i8 %v to i64
  ret i64 %r
}
define internal i64 @emulated.width(i64 %thread, i8 %tile) noinline {
  %t = zext i8 %tile to i64
  %d = shl i64 %t, 1
  %i = add i64 %d, 16
  %c = call ptr @emulated.config(i64 %thread)
  %p = getelementptr i8, ptr %c, i64 %i
  %v = load i16, ptr %p
  %r = zext i16 %v to i64
  ret i64 %r
}
"""

_CONFIGURE = """define internal void @"emulated.llvm.x86.ldtilecfg"(i64 %thread, ptr %memory) noinline {
  %c = call ptr @emulated.config(i64 %thread)
  call void @llvm.memcpy.p0.p0.i64(ptr %c, ptr %memory, i64 64, i1 0)
  %r = call ptr @emulated.row(i64 %thread, i8 0, i64 0)
  call void @llvm.memset.p0.i64(ptr %r, i8 0, i64 8192, i1 0)
  ret void
} ; @emulated.state"""

_RELEASE = """define internal void @"emulated.llvm.x86.tilerelease"(i64 %thread) noinline {
  %c = call ptr @emulated.config(i64 %thread)
  call void @llvm.memset.p0.i64(ptr %c, i8 85, i64 8256, i1 0)
  ret void
} ; @emulated.state"""

_ZERO = """define internal void @"emulated.llvm.x86.tilezero"(i64 %thread, i8 %tile) noinline {
  %r = call ptr @emulated.row(i64 %thread, i8 %tile, i64 0)
  call void @llvm.memset.p0.i64(ptr %r, i8 0, i64 1024, i1 0)
  ret void
} ; @emulated.state"""


def _tile_rows(name: str, *, store: bool) -> str:
    """tileloadd, tilestored: rows of the configured size; a load clears what else the tile holds."""
    away, back = ("%m", "%r") if store else ("%r", "%m")
    clear = "call void @llvm.memset.p0.i64(ptr %all, i8 0, i64 1024, i1 0)" if not store else ""
    return f"""define internal void @"emulated.{name}"(i64 %thread, i8 %tile, ptr %memory, i64 %stride) noinline {{
entry:
  %n = call i64 @emulated.rows(i64 %thread, i8 %tile)
  %w = call i64 @emulated.width(i64 %thread, i8 %tile)
  %all = call ptr @emulated.row(i64 %thread, i8 %tile, i64 0)
  {clear}
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %r = call ptr @emulated.row(i64 %thread, i8 %tile, i64 %i)
  %o = mul i64 %i, %stride
  %m = getelementptr i8, ptr %memory, i64 %o
  call void @llvm.memcpy.p0.p0.i64(ptr {away}, ptr {back}, i64 %w, i1 0)
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}} ; @emulated.state"""


def _tile_dot(name: str, extend: str) -> str:
    """tdpbsud, tdpbssd: sums[m][n] += a[m][4 k + i] * b[k][4 n + i], a signed."""
    products = [
        f"""  %ap{i} = getelementptr i8, ptr %ak, i64 {i}
  %av{i} = load i8, ptr %ap{i}
  %ax{i} = sext i8 %av{i} to i32
  %bp{i} = getelementptr i8, ptr %bn, i64 {i}
  %bv{i} = load i8, ptr %bp{i}
  %bx{i} = {extend} i8 %bv{i} to i32
  %p{i} = mul i32 %ax{i}, %bx{i}
  %s{i + 1} = add i32 %s{i}, %p{i}"""
        for i in range(4)
    ]
    return f"""define internal void @"emulated.{name}"(i64 %thread, i8 %c, i8 %a, i8 %b) noinline {{
entry:
  %rows = call i64 @emulated.rows(i64 %thread, i8 %c)
  %width = call i64 @emulated.width(i64 %thread, i8 %c)
  %depth = call i64 @emulated.width(i64 %thread, i8 %a)
  br label %m_loop
m_loop:
  %m = phi i64 [0, %entry], [%m_next, %m_done]
  %cr = call ptr @emulated.row(i64 %thread, i8 %c, i64 %m)
  %ar = call ptr @emulated.row(i64 %thread, i8 %a, i64 %m)
  br label %k_loop
k_loop:
  %k = phi i64 [0, %m_loop], [%k_next, %k_done]
  %quad = lshr i64 %k, 2
  %br = call ptr @emulated.row(i64 %thread, i8 %b, i64 %quad)
  %ak = getelementptr i8, ptr %ar, i64 %k
  br label %n_loop
n_loop:
  %n = phi i64 [0, %k_loop], [%n_next, %n_loop]
  %cn = getelementptr i8, ptr %cr, i64 %n
  %bn = getelementptr i8, ptr %br, i64 %n
  %s0 = load i32, ptr %cn
{chr(10).join(products)}
  store i32 %s4, ptr %cn
  %n_next = add i64 %n, 4
  %n_more = icmp ult i64 %n_next, %width
  br i1 %n_more, label %n_loop, label %k_done
k_done:
  %k_next = add i64 %k, 4
  %k_more = icmp ult i64 %k_next, %depth
  br i1 %k_more, label %k_loop, label %m_done
m_done:
  %m_next = add i64 %m, 1
  %m_more = icmp ult i64 %m_next, %rows
  br i1 %m_more, label %m_loop, label %done
done:
  ret void
}} ; @emulated.state"""


_DEFINITIONS = {
    "llvm.x86.avx512.vpdpbusd.512": _byte_dot("llvm.x86.avx512.vpdpbusd.512", 16),
    "llvm.x86.avx512.vpdpbusd.256": _byte_dot("llvm.x86.avx512.vpdpbusd.256", 8),
    "llvm.x86.avx512.permvar.qi.512": _permute_bytes("llvm.x86.avx512.permvar.qi.512"),
    "llvm.x86.avx512.permvar.sf.512": _permute_floats("llvm.x86.avx512.permvar.sf.512"),
    **{
        f"llvm.x86.avx512.{wide}.512": _halves(f"llvm.x86.avx512.{wide}.512", f"llvm.x86.avx2.{narrow}", out, *operands)
        for wide, narrow, out, operands in (
            ("pmaddubs.w", "pmadd.ub.sw", ("i16", 32), (("i8", 64), ("i8", 64))),
            ("pmaddw.d", "pmadd.wd", ("i32", 16), (("i16", 32), ("i16", 32))),
            ("pshuf.b", "pshuf.b", ("i8", 64), (("i8", 64), ("i8", 64))),
        )
    },
    "llvm.x86.ldtilecfg": _CONFIGURE,
    "llvm.x86.tilerelease": _RELEASE,
    "llvm.x86.tilezero": _ZERO,
    "llvm.x86.tileloadd64": _tile_rows("llvm.x86.tileloadd64", store=False),
    "llvm.x86.tilestored64": _tile_rows("llvm.x86.tilestored64", store=True),
    "llvm.x86.tdpbsud": _tile_dot("llvm.x86.tdpbsud", "zext"),
    "llvm.x86.tdpbssd": _tile_dot("llvm.x86.tdpbssd", "sext"),
}
