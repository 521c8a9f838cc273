"""Instruction sets, the fastest first: name -> class."""

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.isa.x86 import Avx2, Avx512, Avx512Vnni, AvxVnni

ISAS: dict[str, type[Generic]] = {isa.name: isa for isa in (Avx512Vnni, Avx512, AvxVnni, Avx2, Generic)}
