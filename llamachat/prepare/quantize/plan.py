"""What becomes of each tensor of a file, before anything is read of its weights."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from llamachat.engine.gguf import BY_NAME, GgufFile, TensorInfo, tensor_bytes
from llamachat.engine.gguf.metadata import shown
from llamachat.engine.overrides import Override
from llamachat.engine.quants import BLOCK_FORMATS, FORMATS
from llamachat.errors import ModelFileError, Unsupported, UsageError
from llamachat.prepare.importance import Importance
from llamachat.prepare.quantize.facts import facts_of
from llamachat.prepare.quantize.mixes import Mix
from llamachat.prepare.quantize.roles import Role, is_quantised, role_of
from llamachat.prepare.quantize.rules import choose, fitting, in_order, needs_importance

Given = tuple[re.Pattern[str], str]
"""Tensors whose names a pattern is found in get a type."""


@dataclass(frozen=True)
class Wanted:
    """What a person asks for.

    mix: None keeps every type (COPY). pure: the mix's base type for all matrices. output_type, embedding_type: of
    `output.weight` and of the embeddings, in place of the mix's. given: patterns, of which the first that is found in a
    name counts. leave_output: `output.weight` keeps its type. allow_requantize: matrices that are quantised already may
    be quantised again. keep_split: as many files as the model has.
    """

    mix: Mix | None
    pure: bool = False
    output_type: str | None = None
    embedding_type: str | None = None
    given: tuple[Given, ...] = ()
    leave_output: bool = False
    allow_requantize: bool = False
    keep_split: bool = False
    overrides: tuple[Override, ...] = field(default=())


@dataclass(frozen=True)
class Step:
    """A tensor and the type that it gets. wanted: the type that does not fit its rows, where that is so."""

    tensor: TensorInfo
    type: str
    wanted: str | None = None

    @property
    def changes(self) -> bool:
        """Whether it gets another type."""
        return self.type != self.tensor.type.name

    @property
    def n_bytes(self) -> int:
        """Its size in the result."""
        return tensor_bytes(self.type, self.tensor.shape)


def given_type(text: str) -> Given:
    """Of "PATTERN=TYPE", as --tensor-type is written. Raises UsageError."""
    pattern, equals, kind = text.rpartition("=")
    if not (pattern and equals):
        raise UsageError(f"{text!r}: must be PATTERN=TYPE, as in ffn_down=Q6_K", settings=("tensor_type",))
    try:
        return re.compile(pattern, re.IGNORECASE), type_named(kind, "tensor_type")
    except re.error as error:
        raise UsageError(
            f"{text!r}: the pattern is no regular expression: {error}", settings=("tensor_type",)
        ) from None


def type_named(name: str, setting: str) -> str:
    """A tensor type that weights can be written in, from its name in capitals or not. Raises UsageError."""
    found = name.strip().upper()
    if found not in WRITABLE:
        raise UsageError(f"{name!r} is no tensor type: give one of {', '.join(WRITABLE)}", settings=(setting,))
    return found


WRITABLE: Final = tuple(name for name in FORMATS if name in BY_NAME and name not in ("Q8_1", "Q8_K", "Q2_0_128"))
"""Types of weights: not those of activations, and not a fork's."""


def plan_steps(file: GgufFile, wanted: Wanted, importance: Importance | None) -> list[Step]:
    """The tensors in the file's order, with their types.

    Raises UsageError where a matrix would be quantised again without leave, or does not fit a type that was asked for
    by name, and for a pattern that no tensor has; Unsupported where its type cannot be read.
    """
    _check_patterns(file, wanted)
    if wanted.mix is None:
        return [Step(tensor, tensor.type.name) for tensor in file.tensors.values()]
    types = _types(file, wanted, wanted.mix, importance is not None)
    steps = []
    for name, tensor in file.tensors.items():
        kind = types.get(name, tensor.type.name)
        explicit = _explicit(name, wanted)
        fits = fitting(kind, tensor.shape[-1])
        if fits != kind and explicit is not None:
            sentence = (
                f"{shown(name)}: rows of {tensor.shape[-1]} are not whole blocks of {kind}, {BY_NAME[kind].block}"
            )
            raise UsageError(sentence, settings=explicit)
        steps.append(Step(tensor, fits, kind if fits != kind else None))
    _check(steps, wanted)
    return steps


def _check_patterns(file: GgufFile, wanted: Wanted) -> None:
    """A pattern that names nothing is a slip, which would show only in the result's size."""
    for pattern, kind in wanted.given:
        if not any(pattern.search(name) for name in file.tensors):
            raise UsageError(
                f"{pattern.pattern}={kind}: no tensor of the file has such a name", settings=("tensor_type",)
            )


def _types(file: GgufFile, wanted: Wanted, mix: Mix, importance: bool) -> dict[str, str]:
    """Types of the tensors that are quantised, before it is asked whether they fit."""
    values = ChainMap({one.key: one.value for one in wanted.overrides}, file.metadata)  # type: ignore[arg-type]
    facts = facts_of(values, file.tensors, importance=importance)
    found, left = dict[str, str](), dict[str, Sequence[int]]()
    for name in _order(file, wanted):
        tensor = file.tensors[name]
        if not is_quantised(name, tensor.shape, leave_output=wanted.leave_output):
            continue
        role = role_of(name)
        pattern = next((kind for pattern, kind in wanted.given if pattern.search(name)), None)
        if role is Role.EMBEDDING and wanted.embedding_type is not None:
            found[name] = wanted.embedding_type
        elif wanted.output_type is not None and (role is Role.OUTPUT or _is_head(role, facts.is_tied, pattern, wanted)):
            found[name] = wanted.output_type
        elif pattern is not None or wanted.pure:
            found[name] = pattern or mix.base
        else:
            left[name] = tensor.shape
    return found | choose(mix, facts, left.items())


def _is_head(role: Role, is_tied: bool, pattern: str | None, wanted: Wanted) -> bool:
    """Whether embeddings are the last matrix, too, and nothing else says what they get."""
    return role is Role.EMBEDDING and is_tied and pattern is None and not wanted.pure


def _explicit(name: str, wanted: Wanted) -> tuple[str, ...] | None:
    """The settings that gave a tensor a type by name; what they ask for has no substitute."""
    role = role_of(name)
    if role is Role.EMBEDDING and wanted.embedding_type is not None:
        return ("token_embedding_type",)
    return ("output_tensor_type",) if role is Role.OUTPUT and wanted.output_type is not None else None


def _order(file: GgufFile, wanted: Wanted) -> list[str]:
    """The order in which llama.cpp's counters pass the tensors: split files stay in theirs, if they stay split."""
    if wanted.keep_split and len(file.sources) > 1:
        return list(file.tensors)
    return in_order(file.tensors)


def _check(steps: Sequence[Step], wanted: Wanted) -> None:
    for step in steps:
        source, name = step.tensor.type.name, shown(step.tensor.name)
        if not step.changes:
            continue
        if source not in FORMATS:
            raise Unsupported(f"block type {source} cannot be turned into another", where=name)
        if source in BLOCK_FORMATS and not wanted.allow_requantize:
            sentence = f"{name} is {source} already, and {step.type} of it would lose more than of the original"
            raise UsageError(f"{sentence}; start from F32, F16 or BF16, or allow it", settings=("allow_requantize",))


def check_importance(steps: Sequence[Step], mix: Mix | None, importance: Importance | None) -> None:
    """Raises UsageError where types of few bits lack an importance matrix, ModelFileError where it has other sizes."""
    for step in steps if mix is not None else ():
        name, shape = step.tensor.name, step.tensor.shape
        if not step.changes:
            continue
        try:
            found = None if importance is None else importance.of(name, n_matrices(shape), shape[-1])
        except ModelFileError:
            if role_of(name) is not Role.EMBEDDING:
                raise
            found = None
        assert mix is not None
        if found is None and needs_importance(name, step.type, mix):
            where = "" if importance is None else f", and {importance.path} has none of it"
            sentence = (
                f"{shown(name)}: {step.type} needs an importance matrix{where}; make one of a text that is like its use"
            )
            raise UsageError(sentence, settings=("imatrix",))


def n_matrices(shape: Sequence[int]) -> int:
    """Matrices in a stack, of which each has columns of its own importance."""
    return shape[-3] if len(shape) > 2 else 1


def parts_of(file: GgufFile, steps: Sequence[Step], keep_split: bool) -> list[list[Step]]:
    """The steps of each file that is written."""
    if not keep_split or len(file.sources) < 2:
        return [list(steps)]
    found: dict[str, list[Step]] = {str(source.path): [] for source in file.sources}
    for step in steps:
        source = file.source_of(step.tensor)
        assert source is not None
        found[str(source.path)].append(step)
    return [part for part in found.values() if part]
