"""The tiny models of the golden data that the engine knows, and how far logits are from theirs."""

from typing import Any

import numpy as np
import numpy.typing as npt
from golden_data import OWN

NAMES = tuple(sorted(path.stem for path in (OWN / "archs").glob("*.gguf")))


def nmse(found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    """Squared differences over squared values."""
    difference, size = found.astype(np.float64) - wanted, wanted.astype(np.float64)
    return float((difference**2).sum() / (size**2).sum())
