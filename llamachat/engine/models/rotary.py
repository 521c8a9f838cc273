"""Rotary embeddings as the metadata describe them: `rope.*` keys to a `RopeSpec`, with linear and YaRN scaling."""

import math
from dataclasses import replace

from llamachat.engine.graph import Layer, RopeOrder, RopeSpec, TemperatureSpec
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import require


def rope_spec(
    p: ScaledRotaryHeads,
    order: RopeOrder,
    factors: Layer | None,
    long_factors: Layer | None = None,
    log_multiplier: float = 0.0,
) -> RopeSpec:
    """The rotary embedding of these parameters; `factors` divide the angle of each pair (Llama 3's `rope_freqs`).

    long_factors: those of contexts that are longer than the original one (Phi 3).

    YaRN multiplies cos and sin by 1 + 0.1 ln(scale), never less than 1 (Peng et al. 2023, arXiv 2309.00071, section on
    attention temperature; the lower bound and the file's own attn_factor as in llama.cpp); with a log_multiplier m by
    (1 + 0.1 ln(scale)) / (1 + 0.1 m ln(scale)). Raises ModelFileError where only one of two kinds of factors is there.
    """
    _check_both(factors, long_factors)
    scale = 1.0 if p.rope_scaling == "none" else p.rope_scale
    yarn = p.yarn_share != 0
    length = 0.1 * math.log(max(scale, 1.0)) if yarn else 0.0
    growth = (1 + length) / (1 + log_multiplier * length)
    return RopeSpec(
        p.n_rot,
        p.rope_base,
        order,
        scale,
        factors.weight if factors else None,
        growth * p.rope_attn_factor,
        p.yarn_original if yarn else 0,
        p.yarn_beta_fast,
        p.yarn_beta_slow,
        p.yarn_share,
        long_factors=long_factors.weight if long_factors else None,
        long_above=(p.yarn_original or p.context_length) if long_factors else 0,
    )


def _check_both(factors: Layer | None, long_factors: Layer | None) -> None:
    """A file with factors for long contexts has others for short ones, and the other way round."""
    short = factors is not None and factors.weight.name == "rope_factors_short.weight"
    require(long_factors is None or factors is not None, "this tensor is missing", "rope_factors_short.weight")
    require(not short or long_factors is not None, "this tensor is missing", "rope_factors_long.weight")


def with_base(spec: RopeSpec, base: float) -> RopeSpec:
    """The same of another base."""
    return replace(spec, base=base)


def temperature_spec(scale: float, length: int, offset: int = 0) -> TemperatureSpec | None:
    """How queries grow with their positions; None where scale is 0 and they do not."""
    return TemperatureSpec(scale, length, offset) if scale else None
