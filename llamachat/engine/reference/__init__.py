"""The operations of `graph/` in float64 NumPy: their living definition, and every test's oracle.

One file for each file of `graph/`. A value is float64 [n_tokens, width].
"""

from llamachat.engine.reference import attention, elementwise, embed, linear, norm, rotary
from llamachat.engine.reference.evaluation import Evaluation, Floats, Load, evaluate, value

__all__ = [
    "Evaluation",
    "Floats",
    "Load",
    "attention",
    "elementwise",
    "embed",
    "evaluate",
    "linear",
    "norm",
    "rotary",
    "value",
]
