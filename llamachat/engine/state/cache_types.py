"""The number formats of cached keys and values, and which of them a model's heads fill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from llamachat.engine.state.spec import EncoderSpec, KeyValueSpec, StateSpec
from llamachat.errors import UsageError

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]

CACHE_TYPES: Final[Mapping[str, int]] = {
    "f32": 1,
    "f16": 1,
    "bf16": 1,
    "q8_0": 32,
    "q4_0": 32,
    "q4_1": 32,
    "iq4_nl": 32,
    "q5_0": 32,
    "q5_1": 32,
}
"""{name: values of a block}. Every backend knows them."""


def check_cache_types(states: Sequence[StateSpec], type_k: str, type_v: str) -> None:
    """Raises UsageError for a cache type that is not known, or has blocks that the model's heads do not fill."""
    cached = [state for state in states if isinstance(state, KeyValueSpec | EncoderSpec)]
    for name, part in ((type_k, "key_dim"), (type_v, "value_dim")):
        if name not in CACHE_TYPES:
            said = f"unknown cache type {name!r}: known are {', '.join(CACHE_TYPES)}"
            raise UsageError(said, settings=("cache_type",))
        block = CACHE_TYPES[name]
        for state in cached:
            if (size := getattr(state, part)) % block:
                raise UsageError(
                    f"cache type {name} has blocks of {block} values, which heads of {size} do not fill: "
                    "this model's cache can be f32, f16 or bf16",
                    settings=("cache_type",),
                )
