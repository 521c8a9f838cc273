"""How positions turn: `rope_theta`, `rope_scaling`, and `rope_parameters`, which newer files have in their place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from llamachat.errors import ModelFileError
from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.source import Floats

NAMES: Final = {"default": "none", "none": "none", "su": "longrope", "dynamic": "none", "ntk": "none"}
"""Other names of a scaling. Dynamic NTK changes angles only beyond the trained context, which nobody reaches here."""

YARN: Final = {
    "rope.scaling.yarn_ext_factor": ("extrapolation_factor",),
    "rope.scaling.attn_factor": ("attention_factor", "attn_factor"),
    "rope.scaling.yarn_beta_fast": ("beta_fast",),
    "rope.scaling.yarn_beta_slow": ("beta_slow",),
}
_NAMES: Final = """
type rope_type factor rope_theta original_max_position_embeddings low_freq_factor high_freq_factor short_factor
long_factor short_mscale long_mscale mscale mscale_all_dim truncate partial_rotary_factor finetuned alpha
mrope_section mrope_interleaved rope_ratio
"""
_KNOWN: Final = frozenset(_NAMES.split()).union(*YARN.values())


def rotation(config: Config) -> dict[str, Any]:
    """The parameters of full attention; `rope_type` in GGUF's words. Raises Unsupported for one that is not known."""
    given = config.first(("rope_parameters", "rope_scaling"), {})
    own = {name: config[name] for name in ("rope_theta", "rotary_emb_base", "rope_base") if name in config}
    theta = {"rope_theta": next(iter(own.values()))} if own else {}
    if isinstance(given.get("full_attention"), Mapping):
        given = given["full_attention"]
    found = {**theta, **{key: value for key, value in given.items() if value is not None}}
    unknown = next((key for key in found if key not in _KNOWN), None)
    if unknown is not None:
        raise config.refuse("rope_scaling" if "rope_scaling" in config else "rope_parameters", f"{unknown} is unknown")
    kind = str(found.get("rope_type", found.get("type", "default"))).lower()
    found["rope_type"] = NAMES.get(kind, kind)
    if found["rope_type"] not in ("none", "linear", "yarn", "longrope", "llama3"):
        raise config.refuse("rope_scaling" if "rope_scaling" in config else "rope_parameters", "not known")
    return found


def local_base(config: Config) -> float | None:
    """The base of layers with a window, where they have their own."""
    value = config.first(("rope_local_base_freq", "local_rope_theta"))
    own = config.first(("rope_parameters",), {}).get("sliding_attention")
    if isinstance(own, Mapping) and own.get("rope_theta") is not None:
        return float(own["rope_theta"])
    return None if value is None else float(value)


def rotation_settings(config: Config, found: Mapping[str, Any]) -> dict[str, object]:
    """Metadata keys of the parameters. LongRoPE and llama3 have tensors of factors besides, see `factors`."""
    result: dict[str, object] = {}
    if "rope_theta" in found:
        result["rope.freq_base"] = float(found["rope_theta"])
    kind = found["rope_type"]
    if kind in ("linear", "yarn"):
        result |= {"rope.scaling.type": kind, "rope.scaling.factor": _number(config, found, "factor")}
    if kind == "yarn":
        trained = found.get("original_max_position_embeddings") or config.first(("original_max_position_embeddings",))
        if trained is None:
            trained = int(config.need("max_position_embeddings") / _number(config, found, "factor"))
        result["rope.scaling.original_context_length"] = int(trained)
        for key, names in YARN.items():
            value = next((found[name] for name in names if name in found), None)
            if value is not None:
                result[key] = float(value)
    return result


def _number(config: Config, found: Mapping[str, Any], name: str) -> float:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise ModelFileError(f"{name} is {value!r:.40}, must be a number above 0", config.path, "rope_scaling")
    return float(value)


def llama3_factors(config: Config, found: Mapping[str, Any], n_rot: int) -> Floats:
    """What Llama 3.1 divides its angles by: float32 [n_rot / 2].

    Wavelengths above old / low_freq_factor are divided by `factor`, those below old / high_freq_factor stay, between
    them the two are mixed (transformers, `modeling_rope_utils`).
    """
    factor, low, high, old = (
        _number(config, {**_LLAMA3, **found}, name)
        for name in ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    )
    base = float(found.get("rope_theta", 10000.0))
    frequencies = 1 / base ** (np.arange(0, n_rot, 2, dtype=np.float32) / n_rot)
    lengths = 2 * math.pi / frequencies
    smooth = (old / lengths - low) / (high - low)
    mixed = 1 / ((1 - smooth) / factor + smooth)
    result = np.where(lengths < old / high, 1.0, np.where(lengths > old / low, factor, mixed))
    return result.astype(np.float32)


_LLAMA3: Final = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def long_factors(config: Config, found: Mapping[str, Any], n_rot: int) -> dict[str, Floats]:
    """{tensor: factors} of LongRoPE, float32 [n_rot / 2] each. Raises ModelFileError for another number of them."""
    result = {}
    for name in ("long", "short"):
        values = found.get(f"{name}_factor")
        if not isinstance(values, list) or len(values) != n_rot // 2:
            raise ModelFileError(
                f"{name}_factor must have {n_rot // 2} numbers, one for each pair", config.path, "rope_scaling"
            )
        result[f"rope_factors_{name}.weight"] = np.array(values, np.float32)
    return result


def long_attention_factor(found: Mapping[str, Any], context: int, trained: int) -> float:
    """What LongRoPE multiplies cos and sin by: sqrt(1 + ln s / ln trained), s = context / trained."""
    if found.get("attention_factor") is not None:
        return float(found["attention_factor"])
    scale = context / trained
    return math.sqrt(1 + math.log(scale) / math.log(trained)) if scale > 1 else 1.0
