"""From a plan to launches: one file for each file of `graph/`, which says with which kernels an operation is computed.

`lower.register` teaches the backend another operation.
"""

from llamachat.engine.backend.cpu.lower import (
    adapters,
    attention,
    columns,
    convolution,
    elementwise,
    embed,
    encoder,
    experts,
    latent,
    linear,
    norm,
    recurrent,
    rotary,
    rwkv,
    squares,
)
from llamachat.engine.backend.cpu.lower.lowering import Lowering, LoweringContext, Shape, lower

__all__ = [
    "Lowering",
    "LoweringContext",
    "Shape",
    "adapters",
    "attention",
    "columns",
    "convolution",
    "elementwise",
    "embed",
    "encoder",
    "experts",
    "latent",
    "linear",
    "lower",
    "norm",
    "recurrent",
    "rotary",
    "rwkv",
    "squares",
]
