"""A loaded model: the file, its tokenizer, the packed weights, the threads; and the contexts made from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from llamachat.engine.backend.cpu.cache import CacheShape, cache_bytes_per_token, check_cache_types, state_bytes
from llamachat.engine.backend.cpu.engine import Engine
from llamachat.engine.backend.cpu.forward import Forward
from llamachat.engine.backend.cpu.jit.compiler import Compiler, choose_isa
from llamachat.engine.backend.cpu.lower.scratch import scratch_bytes, scratch_bytes_per_token
from llamachat.engine.backend.cpu.weights import Weights, decode, format_of, memory_of, read
from llamachat.engine.backend.cpu.workers import WorkerPool, default_threads
from llamachat.engine.context import CacheType, Context
from llamachat.engine.gguf import GgufFile, open_gguf, typed
from llamachat.engine.graph import Node, Role, states, uses
from llamachat.engine.memory import MemoryPlan, available_memory, check_cache_fits, plan_memory
from llamachat.engine.models import ModelSpec, describe
from llamachat.engine.plan import Plan
from llamachat.engine.positions import check_factors
from llamachat.engine.self_extend import GroupedPositions
from llamachat.engine.state.checkpoints import MOST_CHECKPOINTS
from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import ModelFileError, UsageError

MAX_THREADS = 256
CHAT_TEMPLATE = "tokenizer.chat_template"
TOOL_TEMPLATE = f"{CHAT_TEMPLATE}.tool_use"
LoadProgress = Callable[[str, int, int], None]


class Model:
    """A GGUF model, ready to evaluate.

    path: the file (the first part of a split one). threads: default is one per physical core. isa: the instruction
    set (default: the best; also LLAMACHAT_ISA). n_ctx, cache_type, cache_type_v: what the memory plan reserves for
    each of n_contexts contexts, see `context`; n_ctx None is the model's own up to 8192, less if memory asks for it.
    progress(what, done, total) is called while weights are packed.

    Raises ModelFileError (the file), NotEnoughMemory (the plan), UsageError (threads, isa).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        threads: int | None = None,
        *,
        isa: str | None = None,
        n_ctx: int | None = None,
        cache_type: CacheType = "f16",
        cache_type_v: CacheType | None = None,
        n_contexts: int = 1,
        progress: LoadProgress | None = None,
    ) -> None:
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            said = f"the number of threads must be between 1 and {MAX_THREADS}, not {threads}"
            raise UsageError(said, settings=("threads",))
        file = open_gguf(Path(path))
        self.spec: ModelSpec = describe(file.metadata, file.tensors, path)
        self.file: GgufFile = _shaped(file, self.spec)
        nodes = self.spec.graph().nodes
        matrices, vectors = names(nodes, *PACKED), names(nodes, *READ_WHOLE)
        self._check_formats(names(nodes, *Role))
        types = (cache_type, cache_type_v or cache_type)
        chosen, tensors, n_threads = choose_isa(isa), self.file.tensors, threads or default_threads()
        self.plan: MemoryPlan = plan_memory(
            weight_bytes=memory_of(map(tensors.__getitem__, matrices), map(tensors.__getitem__, vectors), chosen.rows),
            cache_bytes_per_token=n_contexts * cache_bytes_per_token(states(nodes), *types)
            + scratch_bytes_per_token(nodes),
            scratch_bytes=scratch_bytes(nodes) + n_contexts * (1 + MOST_CHECKPOINTS) * state_bytes(states(nodes)),
            requested_n_ctx=n_ctx,
            trained_n_ctx=self.spec.params.context_length,
            available=available_memory(n_workers=n_threads - 1),
        )
        self._check_angles(nodes)
        compiler = Compiler(chosen)
        pool = WorkerPool(compiler, n_threads)
        weights = Weights(self.file, compiler, pool)
        tell = progress or (lambda what, done, total: None)
        weights.load(matrices, vectors, lambda done, total: tell("packing weights", done, total))
        self.cache_types: tuple[CacheType, CacheType] = types
        self._forwards: WeakValueDictionary[CacheShape, Forward] = WeakValueDictionary()
        self._engine = Engine(Plan(nodes), weights, compiler, pool, self.spec.params.n_vocab)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker threads; contexts of this model must not be used any more."""
        self._engine.pool.close()

    @property
    def name(self) -> str:
        """The model's own name, else the file's. Raises ModelFileError where it is no text."""
        return typed(self.file.metadata, "general.name", str, "a text", "") or Path(self.file.path).stem

    @property
    def title(self) -> str:
        """What a person calls the model: its file without the ending."""
        return Path(self.file.path).stem

    @property
    def n_vocab(self) -> int:
        """Number of tokens in the vocabulary."""
        return self._engine.n_vocab

    @property
    def n_ctx_train(self) -> int:
        """The context that the model was trained with, in tokens."""
        return self.spec.params.context_length

    @property
    def n_threads(self) -> int:
        """Threads that work on a step."""
        return self._engine.pool.n_threads

    @property
    def nodes(self) -> Sequence[Node]:
        """The operations of the forward pass."""
        return self._engine.plan.nodes

    @property
    def native(self) -> tuple[Compiler, WorkerPool]:
        """The compiler and the threads, for measurements."""
        return self._engine.compiler, self._engine.pool

    @property
    def isa(self) -> str:
        """The instruction set that the kernels are written for."""
        return self._engine.compiler.isa.name

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the file's chat template. Raises ModelFileError where it is no text."""
        return chat_template_of(self.file)

    @property
    def tool_template(self) -> str | None:
        """The file's chat template for chats with tools, where it has one of its own. Raises as `chat_template`."""
        return chat_template_of(self.file, TOOL_TEMPLATE)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The file's tokenizer; ModelFileError where it has none, or one with more tokens than the model knows."""
        tokenizer = Tokenizer.from_metadata(self.file.metadata)
        if tokenizer.n_vocab > self.n_vocab:
            raise ModelFileError(
                f"the tokenizer has {tokenizer.n_vocab} tokens, the model only {self.n_vocab}",
                where=str(self.file.path),
            )
        return tokenizer

    def tokenize(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """Token ids of a text; add_special adds what the model expects at the borders, parse_special reads <|...|>."""
        return self.tokenizer.encode(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, ids: Sequence[int]) -> str:
        """The text of token ids; bytes that are no UTF-8 become U+FFFD."""
        return self.tokenizer.decode(list(ids))

    def context(
        self,
        n_ctx: int | None = None,
        cache_type: CacheType | None = None,
        cache_type_v: CacheType | None = None,
        self_extend: tuple[int, int] | None = None,
    ) -> Context:
        """An empty context of n_ctx tokens; None: what the memory plan found.

        cache_type: of keys and values, or of the keys alone where cache_type_v is given; None: those of the model's
        constructor. self_extend: (group, width) of `GroupedPositions`. Raises UsageError for a type that is not known
        or does not fit the model's heads, NotEnoughMemory for more than was planned if it does not fit what is free.
        """
        types = (cache_type, cache_type_v or cache_type) if cache_type else self.cache_types
        check_cache_types(states(self.nodes), *types)
        n_ctx = self.plan.n_ctx if n_ctx is None else n_ctx
        shape = CacheShape.of(n_ctx, *types)
        if n_ctx > self.plan.n_ctx or types != self.cache_types:
            check_cache_fits(n_ctx, cache_bytes_per_token(states(self.nodes), *types))
        forward = self._forwards.get(shape)
        if forward is None:
            forward = self._forwards[shape] = Forward(self._engine, shape)
        return Context(forward, n_ctx, GroupedPositions(n_ctx, *self_extend) if self_extend else None)

    def _check_angles(self, nodes: Sequence[Node]) -> None:
        """Raises ModelFileError for factors of angles that are no positive numbers, before anything is packed."""
        for use in uses(nodes, Role.ANGLES):
            tensor = self.file.tensors[use.tensor.name]
            check_factors(decode(tensor, read(self.file, tensor)), tensor.name)

    def _check_formats(self, names: Sequence[str]) -> None:
        for name in names:
            format_of(self.file.tensors[name])


def _shaped(file: GgufFile, spec: ModelSpec) -> GgufFile:
    """The file, its tensors in the shapes that the architecture declares: files may add dimensions of 1."""
    tensors = {name: replace(tensor, shape=spec.tensors[name].shape) for name, tensor in file.tensors.items()}
    return replace(file, tensors=tensors)


def chat_template_of(file: GgufFile, key: str = CHAT_TEMPLATE) -> str | None:
    """The Jinja source of a file's chat template. Raises ModelFileError where it is no text."""
    return typed(file.metadata, key, str, "a text", "") if key in file.metadata else None


PACKED = (Role.MATRIX, Role.EXPERTS)
READ_WHOLE = (Role.VECTOR, Role.CONVOLUTION)


def names(nodes: Sequence[Node], *roles: Role) -> list[str]:
    """Names of the tensors that operations read in these roles, in order, each once."""
    return [use.tensor.name for use in uses(nodes, *roles)]
