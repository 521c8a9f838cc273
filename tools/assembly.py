"""What the compiler makes of a kernel, for any instruction set, and what a simulated processor makes of that.

    python tools/assembly.py few Q4_K 1 avx512vnni --mca znver4
    python tools/assembly.py many Q6_K 8 avx512vnni --mca sapphirerapids --quiet
    python tools/assembly.py embed Q8_0 1 avx2

KERNEL: few or many (products of few and of many columns), embed, pack. The processor need not have the instruction set.
--mca: llvm-mca's estimate for the innermost loops, the largest first: cycles of an iteration when every load hits the
first cache and every branch is foreseen, what limits them, and how many instructions use the stack (registers that did
not suffice).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from dataclasses import dataclass

from llvmlite import binding as llvm

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec, emit, initialize, optimise, target_machine
from llamachat.engine.backend.cpu.jit.host import family
from llamachat.engine.backend.cpu.jit.isa import ISAS
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.kernels.embed import Embed
from llamachat.engine.backend.cpu.kernels.float_product import FloatProduct
from llamachat.engine.backend.cpu.kernels.packing import Pack
from llamachat.engine.backend.cpu.kernels.product import Product
from llamachat.engine.quants import BLOCK_FORMATS, FORMATS

MCA = ("llvm-mca-19", "llvm-mca")
_LABEL = re.compile(r"^(\.?L\w+):")
_JUMP = re.compile(r"^\s+(?:j\w+|b(?:\.\w+)?|cbn?z\s+\w+,|tbn?z\s+\w+,\s*#\d+,)\s+(\.?L\w+)")


@dataclass(frozen=True)
class Loop:
    """A piece of assembly from a label to the jump back to it."""

    lines: list[str]

    @property
    def instructions(self) -> list[str]:
        """Without labels, comments and directives."""
        return [line for line in self.lines if line.startswith("\t") and not line.lstrip().startswith((".", "#", "//"))]

    @property
    def on_stack(self) -> int:
        """Instructions that read or write the stack."""
        return sum(bool(re.search(r"\((%rsp|%rbp)\)|\[sp", line)) for line in self.instructions)


def spec_of(kernel: str, name: str, columns: int) -> KernelSpec:
    """The kernel's record."""
    if kernel == "embed":
        return Embed(name)
    if kernel == "pack":
        return Pack(name)
    return Product(name, columns, kernel == "few") if name in BLOCK_FORMATS else FloatProduct(name, columns)


def assembly(spec: KernelSpec, isa_name: str) -> str:
    """The kernel's assembly for an instruction set of ISAS."""
    isa = ISAS[isa_name]()
    isa.triple = _triple(ISAS[isa_name])
    initialize(isa.triple)
    machine = target_machine(isa)
    module = llvm.parse_assembly(emit(spec, isa))
    module.verify()
    optimise(module, machine)
    return str(machine.emit_assembly(module))


def _triple(isa: type[Generic]) -> str:
    """The system to write code for, if not this one."""
    return "" if isa.family in ("", family()) else f"{isa.family.replace('-', '_')}-linux-gnu"


def inner_loops(text: str) -> list[Loop]:
    """Loops that contain no other, the longest first."""
    lines = text.splitlines()
    labels = {found[1]: i for i, line in enumerate(lines) if (found := _LABEL.match(line))}
    spans = [
        (labels[jump[1]], i)
        for i, line in enumerate(lines)
        if (jump := _JUMP.match(line)) and labels.get(jump[1], i) < i
    ]
    inner = [one for one in spans if not any(one != two and one[0] <= two[0] and two[1] <= one[1] for two in spans)]
    return sorted((Loop(lines[a : b + 1]) for a, b in set(inner)), key=lambda loop: -len(loop.lines))


def simulate(loop: Loop, processor: str, triple: str) -> str:
    """llvm-mca's summary of the loop and the pressure on its busiest units. Raises SystemExit where there is none."""
    program = next((path for name in MCA if (path := shutil.which(name))), None)
    if program is None:
        raise SystemExit("assembly.py: llvm-mca is not installed (Debian: llvm-19)")
    body = "\n".join(line for line in loop.lines if line in loop.instructions and not _JUMP.match(line))
    command = [
        program,
        f"-mtriple={triple}",
        f"-mcpu={processor}",
        "-iterations=20",
        "-bottleneck-analysis",
        "-instruction-info=false",
    ]
    done = subprocess.run(command, input=body + "\n", capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"assembly.py: {done.stderr.strip()}")
    summary, _, resources = done.stdout.partition("\n\nResources:")
    kept = [line for line in summary.splitlines() if line.strip() and "critical sequence" not in line]
    kept = kept[: next((i for i, line in enumerate(kept) if "Critical sequence" in line), len(kept))]
    return "\n".join(kept) + "\n" + _busiest(resources)


def _busiest(resources: str) -> str:
    """The units of the processor that one iteration takes longest, with the cycles."""
    names = dict(re.findall(r"^\[([\d.]+)\]\s+- (\S+)", resources, re.M))
    table = re.search(r"Resource pressure per iteration:\n(.*)\n(.*)", resources)
    if table is None:
        return ""
    units, cycles = re.findall(r"\[([\d.]+)\]", table[1]), table[2].split()
    found = [(float(c), names.get(u, u)) for u, c in zip(units, cycles, strict=False) if c != "-"]
    return "busiest units: " + ", ".join(f"{name} {c:.0f}" for c, name in sorted(found, reverse=True)[:8])


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernel", choices=["few", "many", "embed", "pack"])
    parser.add_argument("format", choices=list(FORMATS))
    parser.add_argument("columns", type=int)
    parser.add_argument("isa", choices=list(ISAS))
    parser.add_argument(
        "--mca", action="append", default=[], metavar="CPU", help="simulate: znver4, sapphirerapids ..."
    )
    parser.add_argument("--loops", type=int, default=2, help="how many of the longest inner loops are simulated [2]")
    parser.add_argument("--quiet", action="store_true", help="do not print the assembly")
    return parser.parse_args()


def main() -> None:
    """Prints the assembly, then the simulations."""
    chosen = parse_arguments()
    text = assembly(spec_of(chosen.kernel, chosen.format, chosen.columns), chosen.isa)
    if not chosen.quiet:
        print(text)
    loops, triple = inner_loops(text), _triple(ISAS[chosen.isa]) or llvm.get_default_triple()
    for number, loop in enumerate(loops[: chosen.loops]):
        kinds = f"{len(loop.instructions)} instructions, {loop.on_stack} on the stack"
        print(f"# loop {number + 1} of {len(loops)}: {kinds}")
        for processor in chosen.mca:
            print(f"# {processor}\n{simulate(loop, processor, triple)}")


if __name__ == "__main__":
    main()
