"""What processors with units for fused multiply-adds and halves have in common, whatever they call the instructions."""

from __future__ import annotations

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, HALF, I16, Vec, lanes


class FloatHardware(Generic):
    """Where LLVM's own operations on floats are single instructions."""

    few_rows = 8

    def fma(self, k: Kernel, a: Vec, b: Vec, c: Vec) -> Vec:
        """a * b + c, rounded once: vfmadd, fmla."""
        return k.call("llvm.fma.f32" if a.count == 1 else f"llvm.fma.v{a.count}f32", a.type, a, b, c)

    def widen_half(self, k: Kernel, h: Vec) -> Vec:
        """float16 bits as float32: vcvtph2ps, fcvtl."""
        return Vec(k.b, k.b.fpext(h.as_(lanes(HALF, h.count)).v, lanes(F32, h.count)))

    def narrow_half(self, k: Kernel, x: Vec) -> Vec:
        """float32 as float16 bits: vcvtps2ph, fcvtn."""
        return Vec(k.b, k.b.fptrunc(x.v, lanes(HALF, x.count))).as_(lanes(I16, x.count))
