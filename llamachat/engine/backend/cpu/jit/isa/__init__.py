"""Instruction sets, the fastest first: name -> class. `register` adds one from elsewhere, `unregister` removes it."""

from llamachat.engine.backend.cpu.jit.isa.amx import Avx512Amx
from llamachat.engine.backend.cpu.jit.isa.arm import Neon, NeonI8mm
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.isa.x86 import Avx2, Avx512, Avx512Vbmi, Avx512Vnni, AvxVnni
from llamachat.errors import UsageError

_FASTEST_FIRST = (Avx512Amx, Avx512Vbmi, Avx512Vnni, Avx512, AvxVnni, Avx2, NeonI8mm, Neon, Generic)

ISAS: dict[str, type[Generic]] = {isa.name: isa for isa in _FASTEST_FIRST}

ROWS = (4, 8, 16)
"""Lanes that a register may have: kernels add and round in groups of 16 and 32."""


def register(isa: type[Generic]) -> None:
    """Makes an instruction set from elsewhere known by its name. It is used where it is asked for, never by itself.

    Raises UsageError for a name that is known, and for sizes that kernels cannot be written for.
    """
    if isa.name in ISAS:
        raise UsageError(f"the instruction set {isa.name} is known already")
    if isa.rows not in ROWS:
        raise UsageError(f"{isa.name} has registers of {isa.rows} lanes: kernels can be written for {ROWS}")
    if min(isa.columns, isa.query_rows, isa.registers - 1) < 1:
        raise UsageError(f"{isa.name} needs at least one column and query row, and two registers")
    ISAS[isa.name] = isa


def unregister(name: str) -> None:
    """Takes a `register` back."""
    del ISAS[name]
