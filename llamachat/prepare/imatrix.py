"""Importance matrices: sums of the squares of what every matrix of a model is multiplied with, over a text.

Column by column, experts apart. A quantiser weighs errors with them: columns whose inputs are large matter more. The
sums are made by the forward pass itself (`graph.Squares`), window by window, as llama.cpp's imatrix tool does it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.batch import Batch, Outputs, Wanted
from llamachat.engine.cancellation import Cancellation
from llamachat.engine.model import Model
from llamachat.engine.plan import Measured
from llamachat.engine.sampling.candidates import check_scores
from llamachat.errors import ModelFileError, UsageError
from llamachat.prepare.divergence import Estimate, log_softmax
from llamachat.prepare.importance import Importance
from llamachat.prepare.windows import Windows

OUTPUT = "output.weight"

Doubles = NDArray[np.float64]


@dataclass
class Sums:
    """Of one tensor: sums of squares, float64 [n_matrices, n_columns], and how many inputs there were, [n_matrices]."""

    squares: Doubles
    counts: Doubles

    def add(self, other: Sums, name: str) -> None:
        """Raises UsageError where the other one is of another model."""
        if self.squares.shape != other.squares.shape:
            one, two = list(self.squares.shape), list(other.squares.shape)
            raise UsageError(f"{name}: sums of shapes {one} and {two} cannot be added: they are of different models")
        self.squares += other.squares
        self.counts += other.counts


@dataclass
class Collected:
    """An importance matrix while it grows. datasets: names of the texts; n_chunks of chunk_size tokens are in it."""

    chunk_size: int
    datasets: list[str] = field(default_factory=list)
    n_chunks: int = 0
    sums: dict[str, Sums] = field(default_factory=dict)

    def add(self, name: str, sums: Sums) -> None:
        """Adds to the sums of a tensor. Raises UsageError as `Sums.add`."""
        if name in self.sums:
            self.sums[name].add(sums, name)
        else:
            self.sums[name] = sums

    def merge(self, found: Importance) -> None:
        """Adds what a file has. Raises UsageError where it is of another model, or of windows of another size."""
        if found.chunk_size not in (0, self.chunk_size):
            said = f"{found.path}: is made of windows of {found.chunk_size} tokens, not {self.chunk_size}"
            raise UsageError(said, settings=("window",))
        for name, entry in found.entries.items():
            # Without a size of windows the counts are windows, not tokens.
            times = 1.0 if found.chunk_size else float(self.chunk_size)
            squares = entry.sums.astype(np.float64) * times
            counts = np.broadcast_to(entry.counts, len(squares)).astype(np.float64) * times
            known = self.sums.get(name)
            if known is not None and squares.size == known.squares.size:
                squares = squares.reshape(known.squares.shape)
                counts = np.resize(counts, len(squares))
            self.add(name, Sums(squares, counts))
        self.datasets += [one for one in found.datasets if one not in self.datasets]
        self.n_chunks += found.n_chunks


class Collector:
    """Reads windows of a text with a model and collects what its matrices are multiplied with.

    process_output: the output matrix, too. scores: whether the text's perplexity is computed on the way. Raises
    UsageError for a model that writes no texts.
    """

    def __init__(self, model: Model, n_ctx: int, *, process_output: bool = False, scores: bool = True) -> None:
        if model.needs_whole or model.reads_texts:
            raise UsageError(f"{model.title} is no model that continues texts: it has no importance matrix")
        self._forward, tensors = model.measuring(n_ctx)
        self._measured = [one for one in tensors if one.tensor.startswith("blk.") or process_output]
        self._state, self._scores = self._forward.new_state(), scores
        self._n_vocab = model.n_vocab
        self._cancellation = Cancellation()
        self._losses: list[Doubles] = []

    @property
    def loss(self) -> Estimate | None:
        """The mean negative log-probability of the tokens that were scored; None where none were."""
        return Estimate.of(np.concatenate(self._losses)) if self._losses else None

    def read(self, windows: Windows, i: int, to: Collected) -> None:
        """Reads window i and adds what it gives. Raises ModelFileError for sums that are no numbers, Cancelled."""
        self._state.set_recurrent(None)
        self._evaluate(windows, i)
        for one in self._measured:
            to.add(one.tensor, self._of(one, windows.n_ctx))
        to.n_chunks += 1

    def _evaluate(self, windows: Windows, i: int) -> None:
        window, limits = np.array(windows.read(i), np.int32), self._forward.limits
        step = min(limits.contiguous, limits.outputs) if self._scores else limits.contiguous
        following, done = windows.following(i), 0
        while done < len(window):
            n = min(step, len(window) - done)
            first = max(done, windows.first)  # rows from here on are scored, but the last
            n_outputs = max(0, done + n - first) if self._scores else 0
            places, out = np.arange(done, done + n), np.empty((n_outputs, self._n_vocab), np.float32)
            batch = Batch([self._state], window[done : done + n], places, places, n_outputs, Wanted.LOGITS, None, True)
            self._forward.run(batch, Outputs(out, out), self._cancellation)
            scored = following[first - windows.first :][:n_outputs]
            if len(scored):
                check_scores(out[: len(scored)], all_finite=True)
                self._losses.append(-log_softmax(out[: len(scored)])[np.arange(len(scored)), scored])
            done += n

    def _of(self, one: Measured, n_tokens: int) -> Sums:
        """What a tensor's inputs gave in the last window."""
        spec, n_expert, width = one.by.state, one.by.n_expert, one.by.width
        values = self._state.recurrent_of(spec).astype(np.float64)
        if not np.isfinite(values).all():
            raise ModelFileError("its inputs are no numbers: no importance matrix can be made", where=one.tensor)
        squares = values[: n_expert * width].reshape(n_expert, width)
        if one.by.chosen is not None:
            return Sums(squares, values[n_expert * width :][:n_expert])
        whole = np.zeros((one.n_parts, width))
        whole[one.part] = squares[0]
        counts = np.zeros(one.n_parts)
        counts[one.part] = n_tokens * one.by.rows.times
        return Sums(whole, counts)


def fingerprint(model: Model, windows: Windows) -> str:
    """Tells one text, cut into windows, and one model's tensors from others: what was begun with both can go on."""
    found = hashlib.sha256(windows.tokens.tobytes() + str(windows.tokens.shape).encode())
    for name, tensor in model.file.tensors.items():
        found.update(f"{name} {tensor.type.name} {tensor.shape} ".encode())
    return found.hexdigest()
