"""What a backend is: how a kind of machine keeps weights and the state of sequences, and evaluates batches.

A `Backend` is opened with settings and becomes a `Device`, which loads weights and becomes a `LoadedModel`; that one
prepares a `Forward` for states of one shape, which makes states and runs batches. Above them nobody knows addresses,
threads, instruction sets or where memory lies: arrays that go in or out are NumPy's, on the host.

A backend that is written elsewhere implements these five and is entered in `choose.BACKENDS`; `SequenceState` is in
`engine/state/sequence.py`, `Batch` in `engine/batch.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

    from llamachat.engine.arrays import NDArray
    from llamachat.engine.batch import Batch, Outputs
    from llamachat.engine.cancellation import Cancellation
    from llamachat.engine.gguf import GgufFile, TensorInfo
    from llamachat.engine.graph import Node
    from llamachat.engine.plan import Plan
    from llamachat.engine.quants import Format
    from llamachat.engine.state.cache_types import CacheType
    from llamachat.engine.state.sequence import SequenceState
    from llamachat.engine.state.spec import StateSpec
    from llamachat.engine.state.windows import Ring


@dataclass(frozen=True)
class Settings:
    """What a person may say of a backend; each reads what concerns it. None: the best that is there.

    threads: how many work on a step. isa: the instruction set. stores: whether it may keep compiled code on disk.
    keep_packed: bytes that weights in the backend's own form may take on disk, those of all models together. note: gets
    sentences for a person.
    """

    threads: int | None = None
    isa: str | None = None
    stores: bool = True
    keep_packed: int = 0
    note: Callable[[str], None] = lambda sentence: None


@dataclass(frozen=True)
class Detail:
    """Something to know of a backend on this machine: a name and a value for programs, text for a person."""

    name: str
    value: object
    text: str
    problem: bool = False


@dataclass(frozen=True)
class Sizes:
    """Bytes that a model takes beside the states of its sequences: weights as they are kept, room for a step.

    scratch_per_token: of that room, what grows with each token of the longest context.
    """

    weights: int
    scratch: int
    scratch_per_token: int


@dataclass(frozen=True)
class LayerSize:
    """Bytes of a token's keys and values in a layer. kept, seen: how many tokens are kept, and seen by one; 0: all."""

    n_bytes: int
    kept: int = 0
    seen: int = 0


@dataclass(frozen=True)
class StateSizes:
    """Bytes of a sequence's state: recurrent states, layers that keep keys and values, those of an encoder."""

    recurrent: int
    layers: tuple[LayerSize, ...]
    encoder: int = 0

    @property
    def per_token(self) -> int:
        """Bytes that one token takes in all layers."""
        return sum(layer.n_bytes for layer in self.layers)

    def cache(self, n_tokens: int) -> int:
        """Bytes that n_tokens take."""
        return sum(layer.n_bytes * min(n_tokens, layer.kept or n_tokens) for layer in self.layers)

    def read(self, n_past: int) -> int:
        """Bytes that a token after n_past others reads."""
        return sum(layer.n_bytes * min(n_past, layer.seen or n_past) for layer in self.layers)


@dataclass(frozen=True)
class Limits:
    """How many rows a batch may have: contiguous ones, rows of different sequences, and rows from the first wanted.

    texts: how many texts a batch may consist of, where a text must be in one step (`Plan.needs_whole`).
    """

    contiguous: int
    apart: int
    outputs: int
    texts: int = 1


class Backend(Protocol):
    """A kind of machine. Stateless; asking it costs nothing."""

    def describe(self, settings: Settings) -> Iterator[Detail]:
        """What there is to know of this machine for it (`doctor`); settings that cannot be are a problem, no error."""
        ...

    def state_sizes(self, states: Sequence[StateSpec], type_k: CacheType, type_v: CacheType) -> StateSizes:
        """What a sequence of a model with these states takes. Raises Unsupported for a kind that it does not know."""
        ...

    def stored_bytes(self, tensor: TensorInfo) -> int:
        """Bytes that a step reads of a matrix once it is packed, without padding. Raises Unsupported for its type."""
        ...

    def open(self, settings: Settings) -> Device:
        """The machine with these settings. Raises UsageError for settings that it cannot have."""
        ...


class Device(Protocol):
    """A backend with its settings. What it starts, it starts when something is first loaded or measured."""

    @property
    def title(self) -> str:
        """What a table of measurements calls it, "llvmlite avx2" for instance."""
        ...

    @property
    def n_threads(self) -> int:
        """Threads of this process that work on a step, the caller among them."""
        ...

    @property
    def reserved_addresses(self) -> int:
        """Bytes of addresses, not of memory, that what it starts takes beside a model, for where they are limited."""
        ...

    def sizes(self, nodes: Sequence[Node], tensors: Mapping[str, TensorInfo]) -> Sizes:
        """What a model of these operations and tensors takes. Raises Unsupported for what cannot be computed with."""
        ...

    def load(self, file: GgufFile, plan: Plan, progress: Callable[[int, int], None]) -> LoadedModel:
        """Loads the weights that the plan names; progress(done, total) counts bytes of the file.

        It is called as soon as loading has begun, and what it does then goes on beside that.

        Raises ModelFileError for a file that was cut or changed or holds values that are not finite.
        """
        ...

    def bandwidth_meter(self, n_bytes: int) -> Callable[[], float]:
        """Takes memory of n_bytes. Each call of what is returned reads it once: bytes per second, measured then.

        That is what bounds generation.
        """
        ...

    def product_rate(self, kind: str) -> float:
        """Operations per second of products with weights of that tensor type in registers, measured now.

        That is what bounds a prompt. Raises Unsupported for a type that it cannot compute with.
        """
        ...

    def encode(
        self,
        fmt: Format,
        rows: NDArray[np.float32],
        importance: NDArray[np.float32] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> NDArray[np.uint8]:
        """Weights [n, columns] as blocks of a format, uint8 [n, bytes of a row], with the scales of the least error.

        importance: of every column, not negative [columns]: what its squared error counts. meanwhile: called in this
        thread again and again; what it raises, or a signal, ends the work at once. NaN counts as 0, and what a block
        cannot hold saturates. The bits depend on no number of threads. Raises UsageError where blocks do not divide a
        row, or importances are none.
        """
        ...

    def close(self) -> None:
        """Ends what it started; what was loaded with it evaluates nothing more and raises UsageError."""
        ...


class LoadedModel(Protocol):
    """The weights of a model, ready."""

    @property
    def weight_bytes(self) -> int:
        """Memory that they take."""
        ...

    def keep(self) -> None:
        """Keeps on disk what makes the next start faster, where the settings ask for it; may take seconds."""
        ...

    def adapted(self, plan: Plan, tensors: Mapping[str, TensorInfo]) -> LoadedModel:
        """The same weights with another plan of the same states, in which adapters take part.

        tensors: theirs, float32 or float16 in memory, for the uses in roles that come with adapters.
        """
        ...

    def forward(self, n_ctx: int, type_k: CacheType, type_v: CacheType) -> Forward:
        """Prepares evaluations over states of at least n_ctx cells; sequences of one `Forward` can be in one batch.

        Equal shapes give the same object as long as it is in use.
        """
        ...


class Forward(Protocol):
    """The forward pass of a model over sequence states of one shape. One step at a time; several threads may ask."""

    @property
    def limits(self) -> Limits:
        """How large a batch may be."""
        ...

    @property
    def cache_types(self) -> tuple[CacheType, CacheType]:
        """The types of cached keys and values."""
        ...

    @property
    def layout(self) -> str:
        """How a state lies in memory: snapshots of equal layouts, of one model, mean the same."""
        ...

    @property
    def ring(self) -> Ring | None:
        """What layers with a window keep; None where every layer keeps all tokens."""
        ...

    def parts(self, n_cells: int) -> Sequence[tuple[int, str]]:
        """Of what a snapshot of n_cells repeats: bytes, and the cache type of the numbers in them.

        "" for what has no meaning, "raw" for what is kept as it is.
        """
        ...

    def new_state(self) -> SequenceState:
        """The state of a sequence that has not begun."""
        ...

    def run(self, batch: Batch, outputs: Outputs, cancellation: Cancellation) -> None:
        """Evaluates a batch: writes its rows' keys, values and recurrent states, and what is wanted of them to outputs.

        Equal to the bit however rows are divided into batches. Raises Cancelled where `cancellation` asks for it and
        ModelFileError where the model's file was cut or changed: recurrent states are then undefined, and the batch's
        cells hold nothing that may be read. The batch keeps to `limits` and has been checked: ids in the vocabulary,
        cells within the states.
        """
        ...
