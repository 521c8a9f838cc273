"""Code for processors that are not here: it has each set's own instructions, no calls, and few stores to the stack."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from llvmlite import binding as llvm

from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec, emit, initialize, optimise, target_machine
from llamachat.engine.backend.cpu.jit.isa.amx import Avx512Amx
from llamachat.engine.backend.cpu.jit.isa.arm import Neon, NeonI8mm
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.isa.x86 import Avx512, Avx512Vbmi, Avx512Vnni, AvxVnni
from llamachat.engine.backend.cpu.kernels.product import Product
from llamachat.engine.model import Model

X86, ARM = "x86_64-linux-gnu", "aarch64-linux-gnu"
PROCESSORS = [
    (Avx512Amx, X86, "sapphirerapids", r"vpdpbusd.*%zmm"),
    (Avx512Vbmi, X86, "znver5", r"vpdpbusd.*%zmm"),
    (Avx512Vbmi, X86, "znver4", r"vpdpbusd.*%zmm"),
    (Avx512Vbmi, X86, "icelake-server", r"vpdpbusd.*%zmm"),
    (Avx512Vnni, X86, "cascadelake", r"vpdpbusd.*%zmm"),
    (Avx512, X86, "skylake-avx512", r"vpmaddubsw.*%zmm"),
    (AvxVnni, X86, "alderlake", r"\{vex\}\s+vpdpbusd.*%ymm"),
    (NeonI8mm, ARM, "neoverse-v1", r"usdot|sdot"),
    (Neon, ARM, "apple-m1", r"sdot"),
]
NAMES = [f"{kind.name} on {cpu}" for kind, _, cpu, _ in PROCESSORS]


@contextmanager
def processor(kind: type[Generic], triple: str, cpu: str) -> Iterator[Any]:
    """(instruction set, code generator) for one processor, which has more than the set asks for."""
    isa = kind()
    isa.triple, isa.cpu = triple, cpu
    initialize(triple)
    yield isa, target_machine(isa)


def assembly(isa: Generic, machine: Any, spec: KernelSpec) -> list[str]:
    module = llvm.parse_assembly(emit(spec, isa))
    optimise(module, machine)
    return [line.strip() for line in machine.emit_assembly(module).splitlines() if line.startswith("\t")]


@pytest.mark.parametrize(("kind", "triple", "cpu", "expected"), PROCESSORS, ids=NAMES)
def test_a_product_is_made_of_the_set_s_own_instructions(
    kind: type[Generic], triple: str, cpu: str, expected: str
) -> None:
    with processor(kind, triple, cpu) as (isa, machine):
        lines = assembly(isa, machine, Product("Q4_0", 1, direct=True))
    assert sum(bool(re.match(expected, line)) for line in lines) >= 8
    assert not [line for line in lines if re.match(r"(callq?|bl)\s", line)]
    spilled = [line for line in lines if re.match(r"(vmov\w+\s+%[xyz]mm\d+, .*\(%r[sb]p\)|str\s+q\d+, \[sp)", line)]
    assert len(spilled) <= 32  # outside the loops: constants of what is done with finished rows


@pytest.mark.parametrize(
    ("kind", "cpu", "expected"),
    [
        pytest.param(Avx512Vbmi, "znver4", r"vpermb\s.*%zmm", id="vpermb"),
        pytest.param(Avx512, "skylake-avx512", r"vpshufb\s.*%zmm", id="vpshufb"),
        pytest.param(Neon, "cortex-a76", r"tbl\s", id="tbl"),
    ],
)
def test_a_table_is_looked_up_by_one_instruction(kind: type[Generic], cpu: str, expected: str) -> None:
    with processor(kind, ARM if kind is Neon else X86, cpu) as (isa, machine):
        lines = assembly(isa, machine, Product("IQ4_NL", 1, direct=True))
    assert [line for line in lines if re.match(expected, line)]


@pytest.fixture(scope="module")
def specs(golden: Path) -> list[KernelSpec]:
    """The kernels of a model with a prompt and a token after it."""
    found: dict[KernelSpec, None] = {}
    with pytest.MonkeyPatch.context() as patch:
        address = Compiler.address

        def noted(self: Compiler, spec: KernelSpec) -> int:
            found[spec] = None
            return address(self, spec)

        patch.setattr(Compiler, "address", noted)
        with Model(golden / "archs" / "gemma3.gguf", 2) as model:
            context = model.context(64, "f16")
            context.eval(list(range(20)))
            context.eval([1])
    return list(found)


@pytest.mark.parametrize(
    ("kind", "cpu"),
    [
        pytest.param(Avx512Amx, "sapphirerapids", id="avx512amx"),
        pytest.param(Avx512Vbmi, "znver5", id="avx512vbmi"),
        pytest.param(Neon, "apple-m1", id="neon"),
    ],
)
def test_no_kernel_calls_a_library(specs: list[KernelSpec], kind: type[Generic], cpu: str) -> None:
    assert len(specs) > 12
    with processor(kind, ARM if kind is Neon else X86, cpu) as (isa, machine):
        for spec in specs:
            calls = [line for line in assembly(isa, machine, spec) if re.match(r"(callq?|bl)\s+[A-Za-z_]", line)]
            assert not calls, spec
