"""Vectors on standard output: lines as they come, or all of them at the end."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import numpy as np

from llamachat.errors import UsageError
from llamachat.terminal.schema import versioned

if TYPE_CHECKING:
    from llamachat.engine.arrays import NDArray


def check_target(form: str) -> None:
    """Raises UsageError where the bytes of a NumPy file would be written to a terminal."""
    if form == "npy" and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("the bytes of a NumPy file are not for a terminal: redirect them into a file, > FILE")


class Vectors:
    """Prints what embeddings are made of. form: json, jsonl, csv or npy; pooling: see `engine.embedding.Pooling`."""

    def __init__(self, form: str, pooling: str) -> None:
        self._form, self._pooling = form, pooling
        self._records: list[dict[str, object]] = []
        self._rows: list[NDArray[np.float32]] = []
        self._count = 0

    def add(self, n_tokens: int, vector: NDArray[np.float32]) -> None:
        """Takes the next text's: float32 [width], or [n_tokens, width] without pooling."""
        number, self._count = self._count, self._count + 1
        if self._form == "npy":
            self._rows.append(vector)
        elif self._form == "csv":
            for row in np.atleast_2d(vector):
                print(number, *map(_text, row), sep=",")
        else:
            record = {"index": number, "n_tokens": n_tokens, **self._named(vector)}
            if self._form == "json":
                self._records.append(record)
            else:
                print(json.dumps(versioned(record)))

    def end(self) -> None:
        """Prints what comes when all are there."""
        if self._form == "json":
            print(json.dumps(versioned({"pooling": self._pooling, "texts": self._records})))
        elif self._form == "npy":
            memory = io.BytesIO()
            np.save(memory, np.concatenate([np.atleast_2d(row) for row in self._rows]))
            sys.stdout.buffer.write(memory.getvalue())
            sys.stdout.flush()

    def _named(self, vector: NDArray[np.float32]) -> dict[str, object]:
        if self._pooling == "rank":
            scores = [float(_text(score)) for score in vector]
            return {"score": scores[0], **({"scores": scores} if len(scores) > 1 else {})}
        numbers = [[float(_text(x)) for x in row] for row in np.atleast_2d(vector)]
        return {"embeddings": numbers} if self._pooling == "none" else {"embedding": numbers[0]}


def _text(x: np.float32) -> str:
    """A float32 in as few digits as it has."""
    return np.format_float_positional(x, unique=True, trim="0")
