"""What a model's file suggests: `general.sampling.*`, for settings that nobody made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llamachat.engine.gguf.metadata import typed
from llamachat.engine.sampling.names import order_of
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError

PREFIX = "general.sampling."
KEYS = {
    "sequence": "samplers",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "xtc_probability": "xtc_probability",
    "xtc_threshold": "xtc_threshold",
    "temp": "temp",
    "penalty_last_n": "repeat_last_n",
    "penalty_repeat": "repeat_penalty",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_ent",
    "mirostat_eta": "mirostat_lr",
}
"""The file's names, and the settings that they are (llama.cpp reads the same)."""


def with_file_defaults(options: SamplingOptions, metadata: Mapping[str, object]) -> tuple[SamplingOptions, list[str]]:
    """The options with the file's defaults for what was not given, and a sentence for each default that is no use.

    Raises ModelFileError for a default of the wrong type.
    """
    refused: list[str] = []
    for key, name in KEYS.items():
        given = name in options.given or (name == "samplers" and options.sampling_seq)
        if PREFIX + key not in metadata or given:
            continue
        value = _converted(metadata, key)
        try:
            setting: dict[str, Any] = {name: order_of(value) if isinstance(value, str) else value}
            options = replace(options, **setting)
        except UsageError as error:
            refused.append(f"the file's default {PREFIX}{key} is not used: {error}")
    return options, refused


def _converted(metadata: Mapping[str, object], key: str) -> str | int | float:
    if key == "sequence":
        return typed(metadata, PREFIX + key, str, "a text", "")
    value = typed(metadata, PREFIX + key, (int, float), "a number", 0)
    # Float32 of the file, as a person would have written it: 0.6, not 0.6000000238418579.
    return value if isinstance(value, int) else float(f"{value:.6g}")
