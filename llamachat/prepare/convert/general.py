"""`general.*`: what the model is called, where it is from, and how its makers sample."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from llamachat.engine.tokenizers.names import END_OF_GENERATION
from llamachat.engine.tokenizers.vocabulary import PREFIX
from llamachat.prepare.convert.config import Config, read_json

SAMPLING: Final = {
    "temperature": "temp",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "penalty_repeat",
}
"""{setting of generation_config.json: the end of its key}; numbers that are no counts are float32."""

_FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---", re.DOTALL)
_LINE = re.compile(r"^(license|license_name|license_link):[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
LARGEST_CARD: Final = 1 << 22


def general_keys(folder: Path, config: Config, architecture: str, file_type: int, n_weights: int) -> dict[str, object]:
    """The keys that every model has."""
    keys: dict[str, object] = {
        "general.architecture": architecture,
        "general.type": "model",
        "general.name": _name(folder, config),
        "general.size_label": _size(n_weights),
        "general.file_type": file_type,
        "general.quantization_version": 2,
    }
    return keys | _card(folder)


def _name(folder: Path, config: Config) -> str:
    given = config.first(("_name_or_path",))
    own = folder.resolve().name
    if re.fullmatch(r"[0-9a-f]{40}", own):  # the cache of Hugging Face: .../models--owner--name/snapshots/hash
        own = folder.resolve().parent.parent.name.rpartition("--")[2]
    if isinstance(given, str) and "/" in given and not given.startswith((".", "/")):
        own = own or given
    return own.replace("-", " ").replace("_", " ").strip() or "model"


def _size(n_weights: int) -> str:
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
        if n_weights >= size:
            amount = n_weights / size
            return f"{amount:.1f}{unit}" if amount < 10 else f"{amount:.0f}{unit}"
    return f"{n_weights / 1e3:.0f}K"


def _card(folder: Path) -> dict[str, object]:
    """The licence, as the front matter of README.md says."""
    path = folder / "README.md"
    if not path.is_file() or path.stat().st_size > LARGEST_CARD:
        return {}
    front = _FRONT.search(path.read_text("utf-8", "replace"))
    found = dict(_LINE.findall(front.group(1))) if front else {}
    names = {"license": "license", "license_name": "license.name", "license_link": "license.link"}
    return {f"general.{names[key]}": value.strip("'\"") for key, value in found.items()}


def generation_keys(folder: Path, vocabulary: Mapping[str, object]) -> dict[str, object]:
    """How its makers sample, and a further token that ends an answer."""
    path = folder / "generation_config.json"
    given: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    keys: dict[str, object] = {}
    for name, end in SAMPLING.items():
        value = given.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            keys[f"general.sampling.{end}"] = int(value) if end == "top_k" else float(value)
    ends, texts = given.get("eos_token_id"), vocabulary.get(f"{PREFIX}tokens")
    if isinstance(ends, list) and isinstance(texts, list):
        first = vocabulary.get(f"{PREFIX}eos_token_id")
        others = [one for one in ends if isinstance(one, int) and one != first and 0 <= one < len(texts)]
        turn = [one for one in others if texts[one] not in END_OF_GENERATION] or others
        if turn:
            keys[f"{PREFIX}eot_token_id"] = turn[0]
    return keys


POOLINGS: Final = {"pooling_mode_mean_tokens": 1, "pooling_mode_cls_token": 2, "pooling_mode_lasttoken": 3}
"""{setting of sentence-transformers: `pooling_type`}."""


def embedding_keys(folder: Path, config: Config, architecture: str) -> dict[str, object]:
    """How a sentence's vector is made of its tokens' (1_Pooling/config.json), and how many token types there are."""
    path = folder / "1_Pooling" / "config.json"
    given = read_json(path) if path.is_file() else {}
    kind = next((number for name, number in POOLINGS.items() if given.get(name) is True), None)
    keys: dict[str, object] = {} if kind is None else {f"{architecture}.pooling_type": kind}
    if (count := config.first(("type_vocab_size",))) is not None:
        keys[f"{PREFIX}token_type_count"] = count
    return keys
