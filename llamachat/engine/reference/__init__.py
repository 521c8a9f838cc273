"""The operations of `graph/` in float64 NumPy: their living definition, and every test's oracle.

One file for each file of `graph/`. A value is float64 [rows, width], or int64.
"""

from llamachat.engine.reference import attention, columns, elementwise, embed, experts, given, linear, norm, rotary
from llamachat.engine.reference.evaluation import Evaluation, Floats, Load, Value, evaluate, value

__all__ = [
    "Evaluation",
    "Floats",
    "Load",
    "Value",
    "attention",
    "columns",
    "elementwise",
    "embed",
    "evaluate",
    "experts",
    "given",
    "linear",
    "norm",
    "rotary",
    "value",
]
