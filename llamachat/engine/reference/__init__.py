"""The operations of `graph/` in float64 NumPy: their living definition, and every test's oracle.

One file for each file of `graph/`. A value is float64 [rows, width], or int64.
"""

from llamachat.engine.reference import (
    adapters,
    attention,
    columns,
    convolution,
    elementwise,
    embed,
    encoder,
    experts,
    given,
    latent,
    linear,
    norm,
    recurrent,
    rotary,
    rwkv,
    squares,
)
from llamachat.engine.reference.evaluation import Evaluation, Floats, Load, Value, evaluate, value

__all__ = [
    "Evaluation",
    "Floats",
    "Load",
    "Value",
    "adapters",
    "attention",
    "columns",
    "convolution",
    "elementwise",
    "embed",
    "encoder",
    "evaluate",
    "experts",
    "given",
    "latent",
    "linear",
    "norm",
    "recurrent",
    "rotary",
    "rwkv",
    "squares",
    "value",
]
