"""`llamachat embed`: vectors of texts, and scores of documents for a query."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from llamachat.cli import loading
from llamachat.cli.options import ModelChoice
from llamachat.cli.prompt import STDIN, argument, read_file, read_files, read_stdin
from llamachat.errors import UsageError

if TYPE_CHECKING:
    from llamachat.engine.embedding import Embedder
    from llamachat.engine.model import Model

LARGEST_OFFER = 1_000_000
"""Texts of one call; all of them are in memory."""


class PoolingName(StrEnum):
    """What is made of the vectors of a text's tokens."""

    NONE = "none"
    MEAN = "mean"
    CLS = "cls"
    LAST = "last"
    RANK = "rank"


class Length(StrEnum):
    """What vectors are divided by."""

    NONE = "none"
    L1 = "l1"
    L2 = "l2"
    MAX = "max"


class Direction(StrEnum):
    """Which tokens a token sees."""

    CAUSAL = "causal"
    NON_CAUSAL = "non-causal"


class VectorFormat(StrEnum):
    """How vectors are printed."""

    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    NPY = "npy"


@dataclass(frozen=True)
class EmbeddingChoice:
    """What is made of the texts."""

    file: Annotated[
        list[Path] | None,
        Option("--file", "-f", metavar="FILE", help="A file that is one text; `-` is standard input. May be given "
               "several times."),
    ] = None  # fmt: skip
    query: Annotated[
        str | None,
        Option("--query", metavar="TEXT", help="Score the texts as answers to this one, with a reranker's classifier."),
    ] = None
    pooling: Annotated[
        PoolingName | None,
        Option(help="What is made of the vectors of a text's tokens: all of them (none), their mean, the first (cls), "
               "the last one, or a reranker's score (rank). [default: as the model's file says]"),
    ] = None  # fmt: skip
    normalize: Annotated[
        Length,
        Option(help="Divide vectors by their length (l2), or by the sum (l1) or the largest (max) of their "
               "magnitudes."),
    ] = Length.L2  # fmt: skip
    attention: Annotated[
        Direction | None,
        Option(help="Whether tokens see only those before them, or all of their text. [default: as the model's file "
               "says]"),
    ] = None  # fmt: skip
    output: Annotated[
        VectorFormat,
        Option(help="Output format: a JSON object for each text, one for all, lines of numbers behind the text's "
               "number, or the bytes of a NumPy file."),
    ] = VectorFormat.JSONL  # fmt: skip


def embed(
    model: ModelChoice,
    wanted: EmbeddingChoice,
    positional: Annotated[list[str] | None, Argument(metavar="TEXT...", help="Texts, or -f, standard input.")] = None,
) -> None:
    """Print embeddings of texts: vectors that are the closer the more alike the texts are.

    Each argument, each file (-f) and each line of standard input that is not blank is a text. With --query a reranker
    scores them.
    """
    from llamachat.terminal.status import Status
    from llamachat.terminal.vectors import Vectors, check_target

    texts = _texts(positional or (), wanted.file or ())
    check_target(wanted.output)
    status, causal = Status(), None if wanted.attention is None else wanted.attention is Direction.CAUSAL
    with loading.load_model(model, status, embeds=True, causal=causal) as loaded:
        from llamachat.engine.embedding import normalised  # numpy, which --help does without

        embedder = _embedder(loaded, wanted)
        tokens = _tokens(loaded, embedder, texts, wanted.query)
        out = Vectors(wanted.output, embedder.pooling)
        found = embedder.embed(tokens, lambda done, total: status.progress("embedding", done, total))
        for ids, vector in zip(tokens, found, strict=True):
            status.clear()
            out.add(len(ids), vector if embedder.pooling == "rank" else normalised(vector, wanted.normalize.value))
        status.clear()
        out.end()


def _embedder(model: "Model", wanted: EmbeddingChoice) -> "Embedder":
    """With the pooling that was asked for: a query asks for that of a reranker. Raises UsageError."""
    from llamachat.engine.embedding import Embedder

    if wanted.pooling is not None or wanted.query is None:
        return Embedder(model, None if wanted.pooling is None else wanted.pooling.value)
    try:
        return Embedder(model, "rank")
    except UsageError as error:
        raise UsageError(str(error), settings=("query",)) from None


def _texts(arguments: Sequence[str], files: Sequence[Path]) -> list[str]:
    """The texts that were given; lines of standard input where none are. Raises UsageError for none at all."""
    texts = [argument(text) for text in arguments]
    texts += [read_stdin() if file == STDIN else read_file(file) for file in files]
    if not texts:
        texts = [line for line in read_files((), stdin=True).split("\n") if line.strip()]
        if not texts:
            raise UsageError("there is no text: give one or more, -f FILE, or lines on standard input")
    if len(texts) > LARGEST_OFFER:
        raise UsageError(f"{len(texts)} texts are too many: at most {LARGEST_OFFER} are read")
    return texts


def _tokens(model: "Model", embedder: "Embedder", texts: Sequence[str], query: str | None) -> list[list[int]]:
    """Token ids of each text. Raises UsageError for a query without a reranker, and the other way round."""
    from llamachat.engine.embedding import pair_tokens

    if embedder.pooling == "rank":
        if query is None:
            raise UsageError(f"{model.title} scores texts as answers to another one: give it with --query TEXT")
        return [pair_tokens(model, argument(query), text) for text in texts]
    if query is not None:
        raise UsageError("--query needs the pooling of a reranker (--pooling rank)")
    return [model.tokenize(text) for text in texts]
