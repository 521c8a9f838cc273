"""Angles of rotary embeddings, in float64: what both the reference and the engine's tables are made from."""

import math

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.graph import RopeSpec
from llamachat.errors import ModelFileError

Floats = NDArray[np.float64]


def rope_angles(
    spec: RopeSpec, factors: NDArray[np.floating] | None, positions: NDArray[np.integer]
) -> tuple[Floats, Floats]:
    """Cosines and sines [n, n_rot/2] of `positions` [n], times the spec's magnitude.

    factors: [n_rot/2] or None; the angle of each pair is divided by its factor, before the scaling. YaRN mixes the
    scaled and the unscaled angle by `yarn_ramp`. Sources: Su et al. 2021 (arXiv 2104.09864), Peng et al. 2023 (arXiv
    2309.00071); factors and rounding of the ramp's ends as in llama.cpp's `rope_yarn`. Raises ModelFileError for a
    factor that is not positive.
    """
    frequencies = spec.base ** (-np.arange(0, spec.n_rot, 2) / spec.n_rot)
    if factors is not None:
        check_factors(factors, spec.factors.name if spec.factors else "")
        frequencies = frequencies / factors.astype(np.float64)
    scaled = frequencies / spec.scale
    if spec.yarn_original:
        kept = yarn_ramp(spec)
        scaled = scaled * (1 - kept) + frequencies * kept
    angles = positions.astype(np.float64)[:, None] * scaled
    return np.cos(angles) * spec.magnitude, np.sin(angles) * spec.magnitude


def check_factors(factors: NDArray[np.floating], name: str) -> None:
    """Raises ModelFileError, with the tensor's name, for a factor of angles that is not positive; any shape."""
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise ModelFileError("the factors of rotary angles must be positive numbers", where=name)


def yarn_ramp(spec: RopeSpec) -> Floats:
    """The share [n_rot/2] of each pair's angle that YaRN leaves unscaled: 1 for fast pairs, 0 for slow ones."""
    low = max(0, math.floor(_turning_pair(spec, spec.yarn_beta_fast)))
    high = min(spec.n_rot - 1, math.ceil(_turning_pair(spec, spec.yarn_beta_slow)))
    pairs = np.arange(spec.n_rot // 2, dtype=np.float64)
    return 1 - np.clip((pairs - low) / max(0.001, high - low), 0, 1)


def _turning_pair(spec: RopeSpec, turns: float) -> float:
    """The pair, as a fraction, that makes this many turns within the original context."""
    return spec.n_rot * math.log(spec.yarn_original / (turns * 2 * math.pi)) / (2 * math.log(spec.base))
