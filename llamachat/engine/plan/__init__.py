"""What follows from a forward pass for every backend: where it is cut, what is computed together, what lives how long.

Nothing here knows memory, threads or instructions.
"""

from llamachat.engine.plan.border import border
from llamachat.engine.plan.fuse import Fusion, fusions
from llamachat.engine.plan.measuring import Measured, measured
from llamachat.engine.plan.plan import Plan

__all__ = ["Fusion", "Measured", "Plan", "border", "fusions", "measured"]
