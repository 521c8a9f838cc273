"""Rotary embeddings as the metadata describe them: `rope.*` keys to a `RopeSpec`, with linear and YaRN scaling."""

import math

from llamachat.engine.graph import Layer, RopeOrder, RopeSpec
from llamachat.engine.models.base import ScaledRotaryHeads


def rope_spec(p: ScaledRotaryHeads, order: RopeOrder, factors: Layer | None) -> RopeSpec:
    """The rotary embedding of these parameters; `factors` divide the angle of each pair (Llama 3's `rope_freqs`).

    YaRN multiplies cos and sin by 1 + 0.1 ln(scale), never less than 1 (Peng et al. 2023, arXiv 2309.00071, section on
    attention temperature; the lower bound and the file's own attn_factor as in llama.cpp).
    """
    scale = 1.0 if p.rope_scaling == "none" else p.rope_scale
    yarn = p.yarn_share != 0
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
        p.yarn_share,
    )
