"""Embeddings of texts: one vector for each, of the hidden states of its tokens; and scores of a reranker.

Encoders read several texts in one step, one after the other without padding. Decoders read short texts in one step,
others one by one. Either way a text's numbers are those that it has alone, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, get_args

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.interface import Forward
from llamachat.engine.batch import Batch, Outputs, Wanted
from llamachat.engine.cancellation import Cancellation
from llamachat.engine.classifier import Classifier
from llamachat.engine.gguf import typed
from llamachat.engine.graph import RopeSpec, states
from llamachat.engine.inputs import token_inputs
from llamachat.engine.model import Model
from llamachat.engine.plan import Plan
from llamachat.engine.state.spec import KeyValueSpec
from llamachat.errors import ContextFull, ModelFileError, UsageError

Pooling = Literal["none", "mean", "cls", "last", "rank"]
POOLINGS: Final[tuple[Pooling, ...]] = get_args(Pooling)
"""What is made of the tokens' hidden states, in the order of the numbers that files have for it."""
Normalisation = Literal["none", "l1", "l2", "max"]
NORMALISATIONS: Final[tuple[Normalisation, ...]] = get_args(Normalisation)
SMALLEST_CONTEXT: Final = 512
Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]


class Embedder:
    """Embeds texts with one model. pooling: what the file says, unless it is given. Not for two threads at once.

    The model is one that was loaded to embed, an encoder, or any decoder. Raises UsageError for a pooling that the
    model cannot do, ModelFileError for one that the file does not mean.
    """

    def __init__(self, model: Model, pooling: Pooling | None = None) -> None:
        self.model, self._plan = model, Plan(model.nodes)
        self.pooling: Pooling = pooling or file_pooling(model)
        if self.pooling not in POOLINGS:
            raise UsageError(f"pooling is one of {', '.join(POOLINGS)}, not {pooling!r}", settings=("pooling",))
        self._classifier = Classifier.of(model) if self.pooling == "rank" else None
        if self._plan.hidden is None or any(rows.most for rows in self._plan.own_rows):
            raise UsageError(f"{model.title} was loaded to generate: load it to embed")
        self._cancellation = Cancellation()

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        if self._classifier is not None:
            return self._classifier.n_scores
        assert self._plan.hidden is not None
        return self._plan.hidden.width

    def embed(self, texts: Sequence[Sequence[int]], progress: Progress = lambda done, total: None) -> Iterator[Floats]:
        """Of each text's token ids, in their order: float32 [width], or [n_tokens, width] without pooling.

        progress(done, total) counts tokens. Raises before anything is evaluated: ContextFull for a text that is longer
        than the context, UsageError for one without tokens and for ids that are not in the vocabulary. Raises Cancelled
        when `cancel` was called.
        """
        self._check(texts)
        return self._embed(texts, progress)

    def cancel(self) -> None:
        """Stops the evaluation that runs, or the next one, from another thread."""
        self._cancellation.cancel()

    def _check(self, texts: Sequence[Sequence[int]]) -> None:
        most = self.model.plan.n_ctx
        for number, text in enumerate(texts, 1):
            which = f"text {number}" if len(texts) > 1 else "the text"
            if not len(text):
                raise UsageError(f"{which} is empty: it has no tokens")
            token_inputs(text, self._plan.n_vocab)
            if len(text) > most:
                said = f"{which} has {len(text)} tokens, more than the {most} of the context: shorten it"
                raise ContextFull(said, settings=("n_ctx",) if most < self.model.n_ctx_train else ())

    def _embed(self, texts: Sequence[Sequence[int]], progress: Progress) -> Iterator[Floats]:
        if not texts:
            return
        longest, total, done = max(map(len, texts)), sum(map(len, texts)), 0
        n_ctx = self.model.plan.n_ctx
        if not _size_matters(self.model):
            n_ctx = min(n_ctx, max(SMALLEST_CONTEXT, 1 << (longest - 1).bit_length()))
        forward = self.model.forward(n_ctx)
        for group in self._groups(texts, forward):
            found = self._hidden(group, forward) if len(group) > 1 or self._plan.needs_whole else [
                self._alone(group[0], n_ctx, forward)
            ]  # fmt: skip
            for text, rows in zip(group, found, strict=True):
                yield self._pooled(rows)
                done += len(text)
                progress(done, total)

    def _groups(self, texts: Sequence[Sequence[int]], forward: Forward) -> Iterator[list[Sequence[int]]]:
        """Neighbouring texts that fit a step."""
        limits = forward.limits
        rows, most = (
            (limits.contiguous, limits.texts)
            if self._plan.needs_whole
            else (min(limits.apart, limits.outputs), limits.apart)
        )
        group: list[Sequence[int]] = []
        for text in texts:
            if group and (sum(map(len, group)) + len(text) > rows or len(group) == most):
                yield group
                group = []
            group.append(text)
        yield group

    def _hidden(self, texts: list[Sequence[int]], forward: Forward) -> list[Floats]:
        """The hidden states of every token, of texts that are evaluated together: [n_tokens, width] of each."""
        lengths = [len(text) for text in texts]
        ids = np.array([token for text in texts for token in text], np.int32)
        positions = np.concatenate([np.arange(n) for n in lengths])
        whole = self._plan.needs_whole
        states = [forward.new_state()] if whole else [
            state for n in lengths for state in [forward.new_state()] * n
        ]  # fmt: skip
        batch = Batch(states, ids, positions, positions, len(ids), Wanted.HIDDEN, contiguous=whole, texts=lengths)
        assert self._plan.hidden is not None
        found = np.empty((len(ids), self._plan.hidden.width), np.float32)
        forward.run(batch, Outputs(found, found), self._cancellation)
        return np.split(found, np.cumsum(lengths)[:-1])

    def _alone(self, text: Sequence[int], n_ctx: int, forward: Forward) -> Floats:
        """The hidden states of a text, or the last token's where no others are needed: [n, width]."""
        only_last = self.pooling == "last" or (self.pooling == "rank" and not self.model.needs_whole)
        state, done, wanted = forward.new_state(), 0, len(text)
        assert self._plan.hidden is not None
        found = np.empty((1 if only_last else len(text), self._plan.hidden.width), np.float32)
        step = forward.limits.contiguous if only_last else min(forward.limits.contiguous, forward.limits.outputs)
        while done < wanted:
            n = min(step, wanted - done)
            places, ids = np.arange(done, done + n), np.array(text[done : done + n], np.int32)
            n_outputs = n if not only_last else int(done + n == wanted)
            out = found if only_last else found[done : done + n]
            batch = Batch([state], ids, places, places, n_outputs, Wanted.HIDDEN, contiguous=True)
            forward.run(batch, Outputs(out, out), self._cancellation)
            done += n
        return found

    def _pooled(self, states: Floats) -> Floats:
        if self.pooling == "none":
            return states
        if self.pooling == "mean":
            mean: Floats = (states.astype(np.float64).sum(0) / len(states)).astype(np.float32)
            return mean
        if self._classifier is not None:
            return self._classifier.scores(states[0] if self.model.needs_whole else states[-1])
        one: Floats = states[0 if self.pooling == "cls" else -1]
        return one


def _size_matters(model: Model) -> bool:
    """Whether the size of a context changes its numbers: then that of the model holds, whatever the texts' lengths."""
    rotations = [state.rotation for state in states(model.nodes) if isinstance(state, KeyValueSpec)]
    return any(isinstance(one, RopeSpec) and one.long_factors is not None for one in rotations)


def pair_tokens(model: Model, query: str, document: str) -> list[int]:
    """Token ids of a query and a document as a reranker reads them.

    By the file's template for that (`tokenizer.chat_template.rerank`, with {query} and {document}), or one after the
    other, each closed as a text is. Raises UsageError for a model whose texts nothing closes.
    """
    template = typed(model.file.metadata, "tokenizer.chat_template.rerank", str, "a text", "")
    if template:
        before, _, behind = template.partition("{document}")
        pieces = [*_around(before, "{query}", query), (document, False), (behind, True)]
        return [
            token
            for text, special in pieces
            if text
            for token in model.tokenize(text, add_special=False, parse_special=special)
        ]
    tokenizer, first, second = model.tokenizer, model.tokenize(query), model.tokenize(document)
    if first == model.tokenize(query, add_special=False) or not first:
        raise UsageError(f"{model.title} has no template for a query and a document", settings=("query",))
    if tokenizer.add_bos and second[:1] == [tokenizer.bos]:
        second = second[1:]
    between = [tokenizer.separator] if tokenizer.add_eos and tokenizer.separator is not None else []
    return [*first, *between, *second]


def _around(text: str, mark: str, inserted: str) -> list[tuple[str, bool]]:
    """A template's text with what is inserted at its mark, and whether control tokens may be spelled there."""
    before, found, behind = text.partition(mark)
    return [(before, True), (inserted, False), (behind, True)] if found else [(before, True)]


def file_pooling(model: Model) -> Pooling:
    """What the file says of pooling; where it says nothing, the mean of an encoder's tokens, and a decoder's last.

    Raises ModelFileError for a number that stands for nothing.
    """
    name = f"{model.spec.architecture}.pooling_type"
    said = typed(model.file.metadata, name, int, "a whole number", 0)
    if not 0 <= said < len(POOLINGS):
        raise ModelFileError(f"is {said}: there is no such pooling", where=name)
    return POOLINGS[said] if said else "mean" if model.needs_whole else "last"


def normalised(vectors: Floats, how: Normalisation) -> Floats:
    """Each vector [..., width] divided by its length (l2), the sum (l1) or the largest (max) of its magnitudes.

    A vector of zeros stays. Raises UsageError for another word.
    """
    if how not in NORMALISATIONS:
        raise UsageError(f"normalisation is one of {', '.join(NORMALISATIONS)}, not {how!r}", settings=("normalize",))
    if how == "none":
        return vectors
    exact = vectors.astype(np.float64)
    if how == "l2":
        size = np.sqrt((exact * exact).sum(-1, keepdims=True))
    else:
        size = np.abs(exact).sum(-1, keepdims=True) if how == "l1" else np.abs(exact).max(-1, keepdims=True)
    found: Floats = (exact / np.where(size > 0, size, 1)).astype(np.float32)
    return found
