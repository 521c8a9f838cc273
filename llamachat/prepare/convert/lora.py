"""A PEFT adapter (a folder with adapter_config.json) as a GGUF adapter: LoRA's A and B under the model's GGUF names.

A change of the rows of a matrix is one of the rows of B; whatever changes columns, or numbers, is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from llamachat.engine.gguf import open_gguf
from llamachat.engine.gguf.metadata import shown
from llamachat.engine.gguf.writer import write_gguf
from llamachat.engine.models import family_of as known_family
from llamachat.errors import ModelFileError, Unsupported
from llamachat.prepare.convert import settings_of
from llamachat.prepare.convert.checkpoint import ADAPTER, open_checkpoint
from llamachat.prepare.convert.config import read_config, read_json
from llamachat.prepare.convert.family import families_by_class, family_of
from llamachat.prepare.convert.rules import Planned, Rules, parse_rules, plan_tensors
from llamachat.prepare.convert.source import Floats, Source
from llamachat.prepare.convert.steps import run_steps
from llamachat.prepare.report import Report, silent
from llamachat.prepare.result import check_result, result
from llamachat.prepare.splitting import files_of

ROW_STEPS: Final = frozenset(
    ("turned", "turned_part", "half", "cut", "every_other", "q_k_v_of_heads", "q_k_v_of_groups", "queries_of_groups",
     "key_of_groups", "value_of_groups")
)  # fmt: skip
"""Steps that choose or move rows, and so can be done to B."""

TURNED_ROUND: Final = "transposed"
"""GPT-2's matrices are [n_in, n_out] in checkpoints; PEFT has A and B of them as of all others."""

_PART: Final = re.compile(r"^(?:base_model\.model\.)?(?P<name>.+)\.lora_(?P<part>A|B)(?:\.\w+)?\.weight$")


def convert_lora(
    folder: Path, base: Path, target: Path, *, overwrite: bool = False, report: Report = silent
) -> Mapping[str, object]:
    """Writes the adapter of a folder. base: the model that it is for, a GGUF file or a folder with config.json.

    Returns the metadata. Raises Unsupported for kinds of adapters and tensors that are not known, ModelFileError for
    what is broken or missing, and as `check_result`.
    """
    sources = [path for one in (folder, base) if one.is_dir() for path in one.iterdir() if path.is_file()]
    sources += [] if base.is_dir() else files_of(open_gguf(base))
    check_result(target, sources, overwrite=overwrite)
    config_path = folder / "adapter_config.json"
    if not config_path.is_file():
        raise ModelFileError("there is no adapter_config.json: this is no folder of a PEFT adapter", folder)
    alpha_of = _checked(read_json(config_path), config_path)
    architecture, rules, settings = _base(base)
    pairs = _pairs(open_checkpoint(folder, ADAPTER))
    entries: dict[str, Floats] = {}
    for number, planned in enumerate(_planned(rules, pairs), 1):
        entries |= _converted(planned, pairs, settings)
        report(number, len(pairs), "converting")
    metadata: dict[str, object] = {
        "general.architecture": architecture,
        "general.type": "adapter",
        "general.name": folder.resolve().name.replace("-", " ").replace("_", " "),
        "adapter.type": "lora",
        "adapter.lora.alpha": alpha_of(next(iter(pairs.values()))["A"].shape[0]),
        "general.file_type": 0,
    }
    with result(target) as path:
        write_gguf(path, metadata, [(name, "F32", values.shape, values) for name, values in entries.items()])
    return metadata


def _checked(config: Mapping[str, Any], path: Path) -> Any:
    """alpha for a rank, as GGUF has it. Raises Unsupported for kinds of adapters that GGUF cannot express."""
    if config.get("peft_type") != "LORA":
        raise Unsupported(f"is {shown(config.get('peft_type'))}: only LORA can be converted", path, "peft_type")
    for name in ("use_dora", "alpha_pattern", "rank_pattern", "modules_to_save", "lora_bias", "trainable_token_indices",
                 "alora_invocation_tokens"):  # fmt: skip
        if config.get(name):
            raise Unsupported("adapters with this setting cannot be converted", path, name)
    if config.get("bias", "none") != "none":
        raise Unsupported("adapters with biases cannot be converted", path, "bias")
    alpha = config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise ModelFileError("must be a number", path, "lora_alpha")
    return lambda rank: float(alpha) * (math.sqrt(rank) if config.get("use_rslora") else 1.0)


def _base(base: Path) -> tuple[str, Rules, Mapping[str, object]]:
    """The model's architecture, the rules of its names, and its settings."""
    if base.is_dir():
        config = read_config(base)
        family, architecture = family_of(config)
        config.with_defaults(family.defaults)
        return architecture, parse_rules(family.tensors), settings_of(config, family)
    metadata = open_gguf(base).metadata
    architecture, _ = known_family(metadata)
    rules: dict[str, Any] = {}
    for family in families_by_class().values():
        if architecture in family.classes.values():
            rules = {**parse_rules(family.tensors), **rules}
    if not rules:
        raise Unsupported(f"is {architecture}, whose checkpoints cannot be converted", base, "general.architecture")
    prefix = f"{architecture}."
    settings = {key.removeprefix(prefix): metadata[key] for key in metadata if key.startswith(prefix)}
    if "attention.head_count" in settings:
        settings.setdefault("attention.head_count_kv", settings["attention.head_count"])
    return architecture, rules, settings


def _pairs(tensors: Mapping[str, Source]) -> dict[str, dict[str, Source]]:
    """{the matrix that A and B belong to: both}. Raises Unsupported for other tensors, ModelFileError for odd ones."""
    pairs: dict[str, dict[str, Source]] = {}
    for name, source in tensors.items():
        found = _PART.match(name)
        if found is None:
            raise Unsupported("this tensor is no part of a LoRA adapter that can be converted", where=shown(name))
        pairs.setdefault(f"{found['name']}.weight", {})[found["part"]] = source
    if not pairs:
        raise ModelFileError("the adapter has no tensors")
    for name, pair in pairs.items():
        shapes = [pair[part].shape for part in "AB" if part in pair]
        if len(shapes) != 2 or any(len(shape) != 2 for shape in shapes) or shapes[0][0] != shapes[1][1]:
            raise ModelFileError("A and B must be two matrices of one rank", where=shown(name))
    ranks = {pair["A"].shape[0] for pair in pairs.values()}
    if len(ranks) != 1:
        raise Unsupported(f"the adapter has matrices of different ranks: {sorted(ranks)}")
    return pairs


def _planned(rules: Rules, pairs: Mapping[str, Mapping[str, Source]]) -> Iterable[Planned]:
    """The GGUF names, by stand-ins of the shapes that the matrices have."""
    stand_ins = {}
    for name, pair in pairs.items():
        up, down = pair["B"], pair["A"]
        stand_ins[name] = Source(name, "F32", (up.shape[0], down.shape[1]), up.raw)
    return plan_tensors(rules, stand_ins)


def _converted(
    planned: Planned, pairs: Mapping[str, Mapping[str, Source]], settings: Mapping[str, object]
) -> dict[str, Floats]:
    steps = [word for word in planned.steps if word != TURNED_ROUND]
    odd = next((word for word in steps if word.partition(":")[0] not in ROW_STEPS), None)
    if odd is not None or planned.name.startswith(("token_embd", "position_embd")):
        raise Unsupported("adapters of this tensor are not supported", where=planned.name)
    downs, ups = [], []
    for number in sorted(planned.sources, key=lambda one: one or 0):
        pair = pairs[planned.sources[number][0].name]
        downs.append(pair["A"].values())
        ups.append(run_steps(steps, pair["B"].values(), settings, planned.name))
    if None in planned.sources:
        down, up = downs[0], ups[0]
    else:
        down, up = np.stack(downs), np.stack(ups)
    return {f"{planned.name}.lora_a": down, f"{planned.name}.lora_b": np.ascontiguousarray(up)}
