"""Rotary embeddings as the metadata describe them: `rope.*` keys to a `RopeSpec`, with linear and YaRN scaling."""

import math
from typing import Protocol

from llamachat.engine.graph import Layer, RopeOrder, RopeSpec
from llamachat.engine.models.params import require


class RopeParams(Protocol):
    """The fields that `rope_spec` reads."""

    @property
    def n_rot(self) -> int: ...  # noqa: D102
    @property
    def rope_base(self) -> float: ...  # noqa: D102
    @property
    def rope_scaling(self) -> str: ...  # noqa: D102
    @property
    def rope_scale(self) -> float: ...  # noqa: D102
    @property
    def rope_attn_factor(self) -> float: ...  # noqa: D102
    @property
    def yarn_original(self) -> int: ...  # noqa: D102
    @property
    def yarn_beta_fast(self) -> float: ...  # noqa: D102
    @property
    def yarn_beta_slow(self) -> float: ...  # noqa: D102


def rope_spec(p: RopeParams, order: RopeOrder, factors: Layer | None) -> RopeSpec:
    """The rotary embedding of these parameters; `factors` divide the angle of each pair (Llama 3's `rope_freqs`).

    YaRN multiplies cos and sin by 1 + 0.1 ln(scale) (Peng et al. 2023, arXiv 2309.00071, eq. 22 for both q and k), not
    for a scale below 1, as llama.cpp does.
    """
    scale = 1.0 if p.rope_scaling == "none" else p.rope_scale
    yarn = p.rope_scaling == "yarn"
    require(
        p.yarn_original > 0 or not yarn,
        "this metadata key is missing, and YaRN cannot be computed without it",
        "rope.scaling.original_context_length",
    )
    growth = 1 + 0.1 * math.log(max(scale, 1.0)) if yarn else 1.0
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
    )
