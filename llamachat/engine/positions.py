"""What is made of positions and distances, in float64, for both the reference and the engine's tables."""

import math
from dataclasses import replace
from typing import Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.graph import PositionBias, RopeSpec, TemperatureSpec
from llamachat.engine.graph.attention import alibi_slopes
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
        kept = yarn_ramp(spec) * spec.yarn_share
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


UNSEEN: Final = -1e30
"""The bias of a key outside of a window: its weight becomes an exact zero."""


def bias_by_distance(bias: PositionBias, buckets: NDArray[np.floating] | None, span: int) -> Floats:
    """The bias of every distance: [n_head, 2*span + 1], column span + (key - query).

    buckets: [n_buckets, n_head] or None, see `PositionBias`. Raffel et al. 2020 (arXiv 1910.10683): of n buckets half
    are for a distance each, the others grow logarithmically up to max_distance. ALiBi's slopes (arXiv 2108.12409) for
    head counts that are no power of two as in its authors' code.
    """
    distances = np.arange(-span, span + 1)
    if bias.window:
        seen = np.where(np.abs(distances) <= bias.window, 0.0, UNSEEN)
        return seen + bias_by_distance(replace(bias, window=0), buckets, span)
    if buckets is None:
        slopes = alibi_slopes(bias.n_head, bias.largest) if bias.largest else (0.0,) * bias.n_head
        return -np.array(slopes)[:, None] * np.abs(distances)
    n = len(buckets) // 2 if bias.both_ways else len(buckets)
    size = np.abs(distances) if bias.both_ways else np.maximum(-distances, 0)
    exact = n // 2
    growth = (n - exact) / math.log(bias.max_distance / exact)
    far = exact + np.floor(np.log(np.maximum(size, exact) / exact) * growth + 1e-9).astype(np.int64)
    number = np.where(size < exact, size, np.minimum(far, n - 1))
    found: Floats = buckets.astype(np.float64)[number + n * (bias.both_ways & (distances > 0))].T
    return found


def temperatures(spec: TemperatureSpec, positions: NDArray[np.integer]) -> Floats:
    """The factors of queries at `positions` [n]: [n]."""
    grown: Floats = np.log1p((positions + spec.offset) // spec.length)
    return 1 + spec.scale * grown
