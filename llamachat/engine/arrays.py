"""`NDArray[dtype]` as in `numpy.typing`, without that module: importing it takes a thirtieth of a warm start."""

from typing import Any, TypeVar

import numpy as np

Scalar = TypeVar("Scalar", bound=np.generic)

NDArray = np.ndarray[tuple[Any, ...], np.dtype[Scalar]]
