"""What kernels that are written for one block format have in common."""

from __future__ import annotations

from dataclasses import dataclass

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.quants import is_foreign


@dataclass(frozen=True)
class FormatKernel(KernelSpec):
    """A kernel for the blocks of one format."""

    format: str

    @property
    def is_foreign(self) -> bool:
        """Also where the format is."""
        return is_foreign(self.format) or super().is_foreign
