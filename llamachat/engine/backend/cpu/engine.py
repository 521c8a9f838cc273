"""What the contexts of a model share: its operations and weights, and what runs them."""

from __future__ import annotations

from dataclasses import dataclass

from llamachat.engine.backend.cpu.jit.compiler import Compiler
from llamachat.engine.backend.cpu.weights import Weights
from llamachat.engine.backend.cpu.workers import WorkerPool
from llamachat.engine.plan import Plan

BATCH = 512  # tokens of a step, at most
MAX_TEXTS = 32  # texts of a step, at most, where a text must be in one step


@dataclass(frozen=True)
class Engine:
    """The forward pass, the packed weights, the compiler, the threads."""

    plan: Plan
    weights: Weights
    compiler: Compiler
    pool: WorkerPool

    def batch(self, n_ctx: int) -> int:
        """Tokens of a step, at most: where a text must be in one step, all that a context of n_ctx holds."""
        return max(BATCH, n_ctx) if self.plan.needs_whole else BATCH

    @property
    def n_vocab(self) -> int:
        """Logits of a token."""
        return self.plan.nodes[-1].width
