"""A loaded model: the file, its tokenizer, its weights on a backend; and the contexts made from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from llamachat import beginning
from llamachat.engine.adapters import NONE, Adapters, Opened, Woven, open_adapters
from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.choose import DEFAULT, choose
from llamachat.engine.backend.interface import Backend, Device, Forward, LoadedModel, Settings, Sizes, StateSizes
from llamachat.engine.context import Context
from llamachat.engine.gguf import GgufFile, TensorInfo, open_gguf, typed
from llamachat.engine.graph import Graph, Node, Role, Tensor, states, uses
from llamachat.engine.header import Templates
from llamachat.engine.memory import MemoryPlan, available_memory, check_adapters_fit, check_cache_fits, plan_memory
from llamachat.engine.models import ModelSpec, describe
from llamachat.engine.overrides import Override, Overrides, Value
from llamachat.engine.plan import Measured, Plan, measured
from llamachat.engine.positions import check_factors
from llamachat.engine.quants.tensors import decode, read
from llamachat.engine.reading_context import Encoder, ReadingContext
from llamachat.engine.self_extend import GroupedPositions
from llamachat.engine.state.cache_types import CacheType, check_cache_types
from llamachat.engine.state.checkpoints import how_many
from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import LlamaChatError, ModelFileError, UsageError

beginning.give_back_blas()

LoadProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded: the keyword arguments of `Model`.

    isa: the instruction set (default: the best; also LLAMACHAT_ISA). n_ctx, cache_type, cache_type_v: what the memory
    plan reserves for each of n_contexts contexts, see `Model.context`; n_ctx None is the model's own up to 8192, less
    if memory asks for it. progress(what, done, total) is called while weights are packed. backend: a name of
    `backend.choose.BACKENDS`. adapters: LoRA and control vectors, see `Model.adapt`. overrides: metadata in place of
    the file's, texts as "llama.rope.freq_base=float:500000" or {key: value}.
    keep_packed: bytes on disk that packed weights of all models may take together; `Model.close` then writes those of
    this one, and the next start with it need not pack them. note: gets sentences for a person, about that above all.
    embeds: load only what embeddings need (of an encoder-decoder the encoder, of a decoder all but the output matrix).
    causal: whether tokens see only those before them; None: as the file says.
    """

    isa: str | None = None
    n_ctx: int | None = None
    cache_type: CacheType = "f16"
    cache_type_v: CacheType | None = None
    n_contexts: int = 1
    progress: LoadProgress | None = None
    backend: str = DEFAULT
    adapters: Adapters = NONE
    overrides: Iterable[str | Override] | Mapping[str, Value] | Overrides = ()
    keep_packed: int = 0
    note: Callable[[str], None] = lambda sentence: None
    embeds: bool = False
    causal: bool | None = None


class Model(Templates):
    """A GGUF model, ready to evaluate.

    path: the file (the first part of a split one). threads: default is one per physical core. settings: fields of
    `LoadOptions`.

    Raises ModelFileError (the file), NotEnoughMemory (the plan), UsageError (threads, isa, backend,
    overrides that mean nothing for this model), TypeError for a setting that there is not.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None, **settings: Any) -> None:
        options = LoadOptions(**settings)
        self.backend: Backend = choose(options.backend)
        self._note = options.note
        self.device: Device = self.backend.open(
            Settings(threads, options.isa, keep_packed=options.keep_packed, note=options.note)
        )
        self.overrides = Overrides.of(options.overrides)
        file = self.overrides.apply(open_gguf(Path(path)))
        self.spec: ModelSpec = describe(file.metadata, file.tensors, path)
        self.file: GgufFile = _shaped(file, self.spec)
        self._graph: Graph = (self.spec.embedding_graph if options.embeds else self.spec.graph)(options.causal)
        self.adapters, woven = self._opened(options.adapters)
        self.nodes: Sequence[Node] = woven.nodes
        self.tensors: Mapping[str, TensorInfo] = {**self.file.tensors, **woven.tensors}
        sizes = self.device.sizes(self.nodes, self.tensors)
        self.cache_types: tuple[CacheType, CacheType] = (options.cache_type, options.cache_type_v or options.cache_type)
        self.plan: MemoryPlan = self._memory_plan(sizes, options.n_ctx, options.n_contexts)
        self._check_angles()
        tell = options.progress or (lambda what, done, total: None)
        begun = False

        def report(done: int, total: int) -> None:
            nonlocal begun
            if not begun:
                begun = True
                with suppress(LlamaChatError):  # raised again where somebody needs it
                    _ = self.tokenizer  # takes a tenth of a second, in which other threads load
            tell("packing weights", done, total)

        self._base: LoadedModel = self.device.load(self.file, Plan(self._graph.nodes), report)
        self._loaded = self._base.adapted(Plan(self.nodes), woven.tensors) if woven.tensors else self._base
        for remark in self.adapters.remarks:
            options.note(remark)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.device.close()

    def close(self) -> None:
        """Ends what the backend started; contexts of this model must not be used any more."""
        try:
            self._base.keep()
        finally:
            self.device.close()

    @property
    def graph(self) -> Graph:
        """The forward pass that contexts are made with from now on, adapters included."""
        return Graph(list(self.nodes))

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
        return self.spec.params.n_vocab

    @property
    def n_ctx_train(self) -> int:
        """The context that the model was trained with, in tokens."""
        return self.spec.params.context_length

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The file's tokenizer; ModelFileError where it has none, or one with more tokens than the model knows."""
        tokenizer = Tokenizer.from_metadata(self.file.metadata)
        if tokenizer.n_vocab > self.n_vocab:
            raise ModelFileError(
                f"the tokenizer has {tokenizer.n_vocab} tokens, the model only {self.n_vocab}",
                where=str(self.file.path),
            )
        for sentence in tokenizer.notes:
            self._note(sentence)
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
        or does not fit the model's heads, for more tokens than the model has positions, where positions cannot be
        shared, and for an encoder, which needs texts as a whole (`forward`); NotEnoughMemory for more than was planned
        if it does not fit what is free.
        """
        if self.needs_whole:
            raise UsageError(f"{self.title} is an encoder: it makes embeddings of texts and writes none")
        types = (cache_type, cache_type_v or cache_type) if cache_type else self.cache_types
        sizes = self._state_sizes(types)
        n_ctx = self.plan.n_ctx if n_ctx is None else n_ctx
        self._check_positions(n_ctx)
        if n_ctx > self.plan.n_ctx or types != self.cache_types:
            check_cache_fits(n_ctx, sizes.cache)
        refusals = (state.grouping_refusal for state in states(self.nodes))
        if self_extend and (reason := next(filter(None, refusals), "")):
            raise UsageError(f"this model's positions cannot be grouped: {reason}", settings=("self_extend",))
        forward = self._loaded.forward(n_ctx, *types)
        if self.reads_texts:
            if self_extend is not None:
                raise UsageError("an encoder-decoder cannot share positions (Self-Extend)", settings=("self_extend",))
            return ReadingContext(forward, Plan(self.nodes), n_ctx, self._encoder)
        return Context(forward, Plan(self.nodes), n_ctx, GroupedPositions(n_ctx, *self_extend) if self_extend else None)

    def adapt(self, adapters: Adapters, contexts: Iterable[Context] = ()) -> Sequence[str]:
        """Changes LoRA adapters and control vectors; what files say of themselves for a person is returned.

        Contexts that are made from now on have them. `contexts`, of this model, get them, too, and forget what was
        evaluated in them; others keep those that they have. Raises ModelFileError for files that are no adapters or
        belong to another model, NotEnoughMemory: then nothing has changed.
        """
        opened, woven = self._opened(adapters)
        tensors = {**self.file.tensors, **woven.tensors}
        added = self.device.sizes(woven.nodes, tensors).weights - self.plan.weights
        if added > 0:
            check_adapters_fit(added)
        plan = Plan(woven.nodes)
        self._loaded = self._base.adapted(plan, woven.tensors) if woven.tensors else self._base
        self.adapters, self.nodes, self.tensors = opened, woven.nodes, tensors
        self.plan = replace(self.plan, weights=self.plan.weights + added)
        for context in contexts:
            context.move(self._loaded.forward(context.n_ctx, *context.cache_types), plan)
        return opened.remarks

    def _opened(self, asked: Adapters) -> tuple[Opened, Woven]:
        """Adapters that fit the model, and its forward pass with them."""
        opened = open_adapters(asked, self.spec.architecture, self.spec.tensors, self._graph)
        return opened, opened.woven(self._graph, self._values)

    def _values(self, tensor: Tensor) -> NDArray[np.float32]:
        found = self.file.tensors[tensor.name]
        return decode(found, read(self.file, found))

    @property
    def reads_texts(self) -> bool:
        """Whether the model is an encoder-decoder that was loaded to answer texts; its contexts `read` them."""
        return bool(Plan(self.nodes).kept)

    @property
    def _encoder(self) -> Encoder:
        """What its contexts read texts with."""
        given = next(iter(Plan(self.nodes).given.values()))
        table = self.file.tensors[uses(self.nodes, Role.TABLE)[0].tensor.name]

        def embedded(text: Sequence[int]) -> NDArray[np.float32]:
            rows = np.empty((len(text), table.n_bytes // table.shape[0]), np.uint8)
            self.file.read_rows(table, text, rows)
            some = replace(table, shape=(len(text), given.width))
            found: NDArray[np.float32] = decode(some, rows.reshape(-1)).reshape(len(text), given.width)
            return found.astype(np.float32)

        start: int = self.spec.params.decoder_start  # type: ignore[attr-defined]
        return Encoder(given.name, given.rows.most, embedded, (start,))

    @property
    def needs_whole(self) -> bool:
        """Whether the model is an encoder: all tokens of a text must be in one step, because each sees all others."""
        return Plan(self.nodes).needs_whole

    def forward(self, n_ctx: int) -> Forward:
        """The forward pass over states of n_ctx tokens: of an encoder, over texts that have no more together.

        Raises UsageError for more tokens than the model has positions, NotEnoughMemory as `context`.
        """
        self._check_positions(n_ctx)
        if n_ctx > self.plan.n_ctx:
            sizes = self.device.sizes(self.nodes, self.tensors)
            check_cache_fits(
                n_ctx, lambda n: self._state_sizes(self.cache_types).cache(n) + n * sizes.scratch_per_token
            )
        return self._loaded.forward(n_ctx, *self.cache_types)

    def measuring(self, n_ctx: int) -> tuple[Forward, Sequence[Measured]]:
        """A forward pass that also sums the squares of what products read, and where: see `plan.measured`.

        Without adapters. Raises UsageError for more tokens than the model has positions.
        """
        self._check_positions(n_ctx)
        nodes, tensors = measured(self._graph.nodes)
        return self._base.adapted(Plan(nodes), {}).forward(n_ctx, *self.cache_types), tensors

    def _memory_plan(self, sizes: Sizes, n_ctx: int | None, n_contexts: int) -> MemoryPlan:
        """Raises NotEnoughMemory."""
        self._check_positions(n_ctx or 0)
        state = self._state_sizes(self.cache_types)
        copies = 2 + how_many(state.recurrent)  # the state itself, one in passing, and checkpoints
        return plan_memory(
            weight_bytes=sizes.weights,
            cache_bytes=lambda n: n_contexts * state.cache(n) + n * sizes.scratch_per_token,
            scratch_bytes=sizes.scratch + n_contexts * (copies * state.recurrent + state.encoder),
            requested_n_ctx=n_ctx,
            trained_n_ctx=self.spec.params.context_length,
            available=available_memory(reserved_addresses=self.device.reserved_addresses),
        )

    def _check_positions(self, n_ctx: int) -> None:
        """Raises UsageError for a context with more positions than the model has embeddings for."""
        n_positions = Plan(self.nodes).n_positions
        if n_positions and n_ctx > n_positions:
            said = f"the model has embeddings for {n_positions} positions: a context of {n_ctx} tokens is too long"
            raise UsageError(said, settings=("n_ctx",))

    def _state_sizes(self, types: tuple[CacheType, CacheType]) -> StateSizes:
        """What a sequence takes. Raises UsageError for types that are not known or do not fit the model's heads."""
        check_cache_types(states(self.nodes), *types)
        return self.backend.state_sizes(states(self.nodes), *types)

    def _check_angles(self) -> None:
        """Raises ModelFileError for factors of angles that are no positive numbers, before anything is packed."""
        for use in uses(self.nodes, Role.ANGLES):
            tensor = self.file.tensors[use.tensor.name]
            check_factors(decode(tensor, read(self.file, tensor)), tensor.name)


def _shaped(file: GgufFile, spec: ModelSpec) -> GgufFile:
    """The file, its tensors in the shapes that the architecture declares: files may add dimensions of 1."""
    tensors = {name: replace(tensor, shape=spec.tensors[name].shape) for name, tensor in file.tensors.items()}
    return replace(file, tensors=tensors)
