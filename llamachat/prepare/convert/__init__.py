"""A Hugging Face folder as a GGUF file. Every tensor and setting is known, or refused by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from llamachat.engine.backend.choose import quantiser
from llamachat.engine.gguf.writer import Entry, file_bytes, tensor_bytes, write_gguf
from llamachat.engine.models import describe
from llamachat.engine.quants.encoding import encode
from llamachat.errors import Unsupported
from llamachat.prepare.convert.checkpoint import open_checkpoint
from llamachat.prepare.convert.config import Config, read_config
from llamachat.prepare.convert.family import Family, Settings, family_of
from llamachat.prepare.convert.general import embedding_keys, general_keys, generation_keys
from llamachat.prepare.convert.output import Add, Encode, Written, choose_type, result_shape, written
from llamachat.prepare.convert.packed import without_packing
from llamachat.prepare.convert.rotation import local_base, rotation, rotation_settings
from llamachat.prepare.convert.rules import parse_rules, plan_tensors
from llamachat.prepare.convert.settings import as_metadata, parse_settings
from llamachat.prepare.convert.source import Source
from llamachat.prepare.convert.vocabulary import read_vocabulary
from llamachat.prepare.copying import Progress
from llamachat.prepare.report import Report, silent
from llamachat.prepare.result import check_result, result

TYPES = ("auto", "f32", "f16", "bf16", "q8_0")
"""What matrices become; "auto" is as the checkpoint has them."""

FILE_TYPES: Mapping[str, int] = {"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}
"""`general.file_type`."""


@dataclass(frozen=True)
class _Shape:
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Conversion:
    """What will be written. notes: sentences on what a person should know."""

    metadata: Mapping[str, object]
    tensors: list[Written]
    notes: list[str] = field(default_factory=list)

    @property
    def architecture(self) -> str:
        """`general.architecture`."""
        return str(self.metadata["general.architecture"])

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return file_bytes(self.metadata, self._entries(lambda done: None, encode))

    def write(self, path: Path, report: Report = silent) -> None:
        """Writes the file, tensor by tensor."""
        total = sum(tensor_bytes(one.kind, one.shape) for one in self.tensors)
        progress = Progress(report, total, "converting")
        with closing(quantiser()) as device:
            write_gguf(path, self.metadata, self._entries(progress.add, device.encode))

    def _entries(self, add: Add, encode: Encode) -> Iterable[Entry]:
        return [(one.name, one.kind, one.shape, one.data(add, encode)) for one in self.tensors]


def convert(
    folder: Path,
    target: Path,
    kind: str = "auto",
    *,
    overwrite: bool = False,
    accepted: Iterable[str] = (),
    report: Report = silent,
) -> Conversion:
    """Writes the model of a folder. kind: one of `TYPES`. accepted: unknown settings that are to be left out.

    Returns what was written. Raises Unsupported for a tensor or setting that is not known, ModelFileError for what is
    broken or missing, UsageError and LlamaChatError as `check_result`.
    """
    sources = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    check_result(target, sources, overwrite=overwrite, n_bytes=0)
    plan = plan_conversion(folder, kind, accepted)
    check_result(target, sources, overwrite=overwrite, n_bytes=plan.n_bytes)
    with result(target) as path:
        plan.write(path, report)
    return plan


def plan_conversion(folder: Path, kind: str = "auto", accepted: Iterable[str] = ()) -> Conversion:
    """What `convert` will write; reads no tensor. Raises as `convert`."""
    config = read_config(folder)
    family, architecture = family_of(config)
    config.with_defaults(family.defaults)
    tensors = without_packing(config, open_checkpoint(folder))
    settings = settings_of(config, family)
    planned = plan_tensors(parse_rules(family.tensors), family.chosen(config, _counting(config, family, tensors)))
    wanted = _type_of(kind, tensors.values())
    made = family.made(config, settings)
    output = [Written.of_values(name, values) for name, values in made.items()]
    for one in planned:
        shape = result_shape(one, settings)
        output.append(written(one, shape, choose_type(one, shape, wanted), settings))
    output.sort(key=lambda one: _place(one.name))
    vocabulary = {**read_vocabulary(folder, config, family.pre), **family.tokens}
    own = {f"{architecture}.{key}": value for key, value in settings.items()}
    general = general_keys(folder, config, architecture, FILE_TYPES[wanted], _count(output))
    metadata = {**general, **own, **generation_keys(folder, vocabulary), **vocabulary}
    metadata |= embedding_keys(folder, config, architecture)
    config.check_all_read(family.without_effect.split(), accepted)
    describe(metadata, {one.name: _Shape(one.shape) for one in output})
    return Conversion(metadata, output, _notes(config, family, tensors))


def settings_of(config: Config, family: Family) -> Settings:
    """The architecture's metadata. Raises Unsupported for a value that the architecture does not compute with."""
    for name, values in family.only.items():
        config.must(name, values)
    settings = parse_settings(family.settings, config)
    if family.rope:
        settings |= rotation_settings(config, rotation(config))
        if (base := local_base(config)) is not None:
            settings["rope.freq_base_swa"] = base
    settings |= family.more(config, settings)
    return as_metadata({key: value for key, value in settings.items() if value is not None}, config.path)


def _counting(config: Config, family: Family, tensors: Mapping[str, Source]) -> Mapping[str, Source]:
    """Without an output head that is the embedding."""
    if not config.first(("tie_word_embeddings",), family.tied):
        if family.tied or "tie_word_embeddings" not in config:
            return tensors
        names = [str(one) for one in config.first(("architectures",), [])]
        heads = [name for name in tensors if "lm_head" in name or "output" in name or "embed_out" in name]
        if any("ForCausalLM" in name for name in names) and not heads:
            raise Unsupported("says that the output head is a matrix of its own, and it is missing", config.path)
        return tensors
    return {name: one for name, one in tensors.items() if not name.endswith("lm_head.weight")}


def _type_of(kind: str, tensors: Iterable[Source]) -> str:
    """The type of matrices: "auto" is that of most of the checkpoint's numbers, as far as GGUF has it."""
    if kind != "auto":
        return kind.upper()
    sizes: dict[str, int] = {}
    for one in tensors:
        if len(one.shape) >= 2:
            sizes[one.kind] = sizes.get(one.kind, 0) + one.size
    most = max(sizes, key=lambda name: sizes[name], default="F32")
    return most if most in ("F32", "F16", "BF16") else "BF16"


def _count(output: Iterable[Written]) -> int:
    return sum(math.prod(one.shape) for one in output)


def _place(name: str) -> tuple[int, int, str]:
    """Tensors of a layer together, layers in their order, the head behind them; the order of a pass through them."""
    _, stack, rest = name.partition("blk.")
    if not stack:
        return (2 if name.startswith("output") else 0), 0, name
    number = rest.partition(".")[0]
    return 1, int(number) if number.isdecimal() else 0, name


def _notes(config: Config, family: Family, tensors: Mapping[str, Source]) -> list[str]:
    notes = []
    if any("vision" in name or "visual" in name or "audio_tower" in name for name in tensors):
        notes.append("the model's parts for pictures and sounds are left out")
    scaling = config.first(("rope_parameters", "rope_scaling"), {})
    if scaling.get("truncate") is False:
        notes.append("YaRN's ramp is rounded to whole dimensions, as in llama.cpp: GGUF has no key for truncate")
    window, longest = (config.first((name,)) for name in ("sliding_window", "max_position_embeddings"))
    is_ignored = "sliding_window" in family.without_effect.split() and config.first(("use_sliding_window",), True)
    if is_ignored and isinstance(window, int) and isinstance(longest, int) and window < longest:
        notes.append(f"attention's window of {window} tokens has no key in GGUF: beyond it, all tokens are seen")
    return notes
