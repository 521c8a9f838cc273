"""Golden headers, whole and damaged: what a file goes through before its weights are read, and how it is spoilt."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from llamachat.engine.backend.choose import choose
from llamachat.engine.backend.interface import Settings
from llamachat.engine.gguf import BY_NAME, GgufFile, TensorInfo
from llamachat.engine.graph import Node, states
from llamachat.engine.memory import plan_memory
from llamachat.engine.models import describe
from llamachat.engine.plan import Plan
from llamachat.engine.state.cache_types import check_cache_types
from llamachat.errors import LlamaChatError

LONGEST_MESSAGE = 500
FREE = 16 << 30
NUMBERS = (0, 1, 2, 3, 7, 48, 65_536, 10**6, 2**31 - 1, 2**32 - 1, 2**63 - 1, -1, -(2**63), 0.5, 1e-30, 1e30)
OTHERS = (float("nan"), float("inf"), -float("inf"), True, False, "", "x" * 5000, "yarn", "a\nb")
ARRAYS = ([], [0], [1, 0], [-1, 2**31 - 1], [0.5] * 7, [2**40] * 64)

BACKEND = choose("cpu")


def prepare(file: GgufFile) -> list[Node]:
    """Described, drawn, planned, and its memory added up, as a model is before loading. Raises LlamaChatError."""
    spec = describe(file.metadata, file.tensors, file.path)
    nodes = spec.graph().nodes
    plan, device = Plan(nodes), BACKEND.open(Settings(threads=1))
    assert plan.body is not None
    assert plan.fusions is not None
    assert len(plan.head) > 0
    tensors = {name: replace(tensor, shape=spec.tensors[name].shape) for name, tensor in file.tensors.items()}
    sizes = device.sizes(nodes, tensors)
    check_cache_types(states(nodes), "f16", "f16")
    state = BACKEND.state_sizes(states(nodes), "f16", "f16")
    plan_memory(
        weight_bytes=sizes.weights,
        cache_bytes=lambda n: state.cache(n) + n * sizes.scratch_per_token,
        scratch_bytes=sizes.scratch + 4 * state.recurrent + state.encoder,
        requested_n_ctx=256,
        trained_n_ctx=spec.params.context_length,
        available=FREE,
    )
    return list(nodes)


def check_message(error: LlamaChatError) -> None:
    """One line, printable, not too long."""
    said = str(error)
    assert said.isprintable(), f"the message is not one printable line: {said[:LONGEST_MESSAGE]!r}"
    assert 10 < len(said) < LONGEST_MESSAGE, f"the message is {len(said)} long: {said[:200]}"


def outcome(file: GgufFile) -> str:
    """The sentence of the refusal, "" where there is none."""
    try:
        prepare(file)
    except LlamaChatError as error:
        check_message(error)
        return str(error)
    return ""


def with_metadata(file: GgufFile, **said: object) -> GgufFile:
    """The same tensors under other metadata; None: without the key."""
    found = {**{key: file.metadata[key] for key in file.metadata}, **said}
    return replace(file, metadata={key: value for key, value in found.items() if value is not None})


def with_tensor(file: GgufFile, name: str, tensor: TensorInfo | None) -> GgufFile:
    """Another tensor of that name, or none."""
    tensors = {key: value for key, value in file.tensors.items() if key != name}
    return replace(file, tensors=tensors if tensor is None else {**tensors, tensor.name: tensor})


def reshaped(tensor: TensorInfo, shape: tuple[int, ...]) -> TensorInfo:
    """A tensor of zeros of another shape; its bytes are there only where they are few."""
    n_bytes = int(np.prod([float(size) for size in shape])) // tensor.type.block * tensor.type.bytes
    return replace(tensor, shape=shape, n_bytes=n_bytes, data=np.zeros(min(max(n_bytes, 0), 1 << 16), np.uint8))


def own_keys(file: GgufFile) -> Iterator[str]:
    """The keys of the architecture."""
    yield from (key for key in file.metadata if not key.startswith(("general.", "tokenizer.", "split.")))


Damage = Callable[[GgufFile, random.Random], GgufFile]


def _number(file: GgufFile, rng: random.Random) -> GgufFile:
    return with_metadata(file, **{rng.choice([*own_keys(file)]): rng.choice(NUMBERS)})


def _other(file: GgufFile, rng: random.Random) -> GgufFile:
    return with_metadata(file, **{rng.choice([*own_keys(file)]): rng.choice(OTHERS)})


def _array(file: GgufFile, rng: random.Random) -> GgufFile:
    return with_metadata(file, **{rng.choice([*own_keys(file)]): rng.choice(ARRAYS)})


def _key_gone(file: GgufFile, rng: random.Random) -> GgufFile:
    return with_metadata(file, **{rng.choice([*own_keys(file)]): None})


def _renamed_key(file: GgufFile, rng: random.Random) -> GgufFile:
    old, new = rng.choice([*own_keys(file)]), rng.choice([*own_keys(file)])
    return with_metadata(file, **{new: file.metadata[old]})


def _tensor_gone(file: GgufFile, rng: random.Random) -> GgufFile:
    return with_tensor(file, rng.choice([*file.tensors]), None)


def _tensor_renamed(file: GgufFile, rng: random.Random) -> GgufFile:
    old, new = rng.choice([*file.tensors]), rng.choice([*file.tensors])
    return with_tensor(file, old, replace(file.tensors[old], name=new + rng.choice(("", "", "x"))))


def _shape(file: GgufFile, rng: random.Random) -> GgufFile:
    tensor = file.tensors[rng.choice([*file.tensors])]
    sizes = list(tensor.shape)
    at = rng.randrange(len(sizes)) if sizes else 0
    kind = rng.randrange(4)
    if kind == 0 and sizes:
        sizes[at] = rng.choice((1, 2, 5, 31, 4096, 2**31, 2**40))
    elif kind == 1:
        sizes = sizes[::-1]
    elif kind == 2:
        sizes = sizes[1:] or [1]
    else:
        sizes = [rng.choice((1, 2, 3)), *sizes][-4:]
    return with_tensor(file, tensor.name, reshaped(tensor, tuple(sizes)))


def _type(file: GgufFile, rng: random.Random) -> GgufFile:
    tensor = file.tensors[rng.choice([*file.tensors])]
    return with_tensor(file, tensor.name, replace(tensor, type=BY_NAME[rng.choice([*BY_NAME])]))


DAMAGES: tuple[Damage, ...] = (
    *(_number, _number, _number, _other, _array, _key_gone, _renamed_key),
    *(_tensor_gone, _tensor_renamed, _shape, _type),
)


def damaged(file: GgufFile, rng: random.Random) -> GgufFile:
    """One to three damages."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        file = rng.choice(DAMAGES)(file, rng)
    return file
