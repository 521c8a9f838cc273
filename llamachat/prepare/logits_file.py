"""Log-probabilities of a base model in a file, as llama.cpp's perplexity tool keeps them (`--kl-divergence-base`).

"_logits_", then 32-bit integers: tokens of a window (n_ctx), of the vocabulary, number of windows, and all windows'
tokens. Then for each scored token (`windows`: n_ctx - 1 - n_ctx // 2 of each window) two float32, `scale` and `least`,
and as many 16-bit numbers as the vocabulary has tokens, padded to an even number: ln p = scale * number + least. What
is more than 24 below the likeliest token counts as 24.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.events import EvaluatingContext
from llamachat.errors import ModelFileError
from llamachat.files import reason
from llamachat.prepare.divergence import Divergence, Divergences, Floats, follow, log_softmax
from llamachat.prepare.report import Report, silent
from llamachat.prepare.windows import Windows, read_window

MAGIC: Final = b"_logits_"
DEEPEST: Final = 24.0
STEPS: Final = 65535
MOST_TOKENS: Final = 1 << 31
HEADER: Final = len(MAGIC) + 12
N_HEAD: Final = 4
"""16-bit numbers that scale and least take."""


def row_bytes(n_vocab: int) -> int:
    """Bytes of a scored token."""
    return 2 * (N_HEAD + n_vocab + n_vocab % 2)


def file_bytes(windows: Windows, n_vocab: int) -> int:
    """The size of a file of these windows."""
    return HEADER + 4 * windows.tokens.size + len(windows) * windows.n_scored * row_bytes(n_vocab)


def rounded(logits: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Rows of logits [n, n_vocab] as they stand in a file: uint16 [n, row_bytes / 2]."""
    n, n_vocab = logits.shape
    out = np.zeros((n, row_bytes(n_vocab) // 2), np.uint16)
    largest = logits.max(1, keepdims=True)
    smallest = np.maximum(logits.min(1, keepdims=True), largest - np.float32(DEEPEST))
    total = np.log(np.exp((logits - largest).astype(np.float64)).sum(1, keepdims=True)).astype(np.float32)
    scale = (largest - smallest) / np.float32(STEPS)
    out[:, :N_HEAD] = np.concatenate([scale, smallest - largest - total], axis=1).view(np.uint16)
    steps = np.divide(logits - smallest, scale, out=np.zeros_like(logits), where=scale > 0)
    out[:, N_HEAD : N_HEAD + n_vocab] = np.clip(np.rint(steps), 0, STEPS)
    return out


def write_logits(
    path: Path, context: EvaluatingContext, windows: Windows, n_vocab: int, report: Report = silent
) -> Floats:
    """Evaluates the windows and writes what they give at once to the path; report counts tokens.

    The negative log-probabilities of the scored tokens are returned: float64 [n]. Raises as `read_window`, and OSError.
    """
    losses: list[Floats] = []
    total = len(windows) * windows.n_ctx
    with open(path, "wb") as file:
        file.write(MAGIC + np.array([windows.n_ctx, n_vocab, len(windows)], "<i4").tobytes())
        file.write(windows.tokens.astype("<i4").tobytes())
        for i in range(len(windows)):
            report(i * windows.n_ctx, total, "measuring")
            following = windows.following(i)

            def take(at: int, logits: NDArray[np.float32], following: NDArray[np.int32] = following) -> None:
                file.write(rounded(logits).tobytes())
                next_tokens = following[at : at + len(logits)]
                losses.append(-log_softmax(logits)[np.arange(len(logits)), next_tokens])

            read_window(context, windows.read(i), windows.first, take)
        report(total, total, "measuring")
    return np.concatenate(losses)


@dataclass
class LogitsFile:
    """An open file of a base. Not for two threads at once."""

    path: Path
    file: BinaryIO
    tokens: NDArray[np.int32]
    n_vocab: int

    def windows(self, bos: int | None) -> Windows:
        """Its windows; bos: what a model begins them with."""
        return Windows(self.tokens, bos)

    def of_window(self, i: int, windows: Windows) -> KeptRows:
        """The log-probabilities of window i. Raises ModelFileError where the file was cut."""
        n_bytes = windows.n_scored * row_bytes(self.n_vocab)
        self.file.seek(HEADER + 4 * self.tokens.size + i * n_bytes)
        raw = self.file.read(n_bytes)
        if len(raw) != n_bytes:
            raise ModelFileError("the file was cut while it was in use", self.path)
        return KeptRows(np.frombuffer(raw, "<u2").reshape(windows.n_scored, -1), self.n_vocab)


@dataclass(frozen=True)
class KeptRows:
    """The log-probabilities of one window, as `divergence.LogProbabilities`."""

    numbers: NDArray[np.uint16]
    n_vocab: int
    rounded: bool = True

    def rows(self, first: int, last: int) -> Floats:
        """Those of rows first to last - 1: float64 [n, n_vocab]."""
        some = self.numbers[first:last]
        scale, least = np.ascontiguousarray(some[:, :N_HEAD]).view(np.float32).T.astype(np.float64)[:, :, None]
        found: Floats = some[:, N_HEAD : N_HEAD + self.n_vocab] * scale + least
        return found


@contextmanager
def open_logits(path: Path) -> Iterator[LogitsFile]:
    """A file, checked. Raises ModelFileError for what is none, or not all of one."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise ModelFileError(reason(error), path) from error
    with file:
        head = file.read(HEADER)
        if len(head) != HEADER or not head.startswith(MAGIC):
            raise ModelFileError("is no file of log-probabilities, which begins with _logits_", path)
        n_ctx, n_vocab, n_windows = np.frombuffer(head, "<i4", 3, len(MAGIC)).tolist()
        if n_ctx < 4 or n_vocab < 1 or n_windows < 1 or n_ctx * n_windows > MOST_TOKENS:
            raise ModelFileError(f"says {n_windows} windows of {n_ctx} tokens, {n_vocab} in the vocabulary", path)
        wanted = HEADER + n_windows * (4 * n_ctx + (n_ctx - 1 - n_ctx // 2) * row_bytes(n_vocab))
        size = os.fstat(file.fileno()).st_size
        if size != wanted:
            raise ModelFileError(f"has {size} bytes, not the {wanted} that its header says", path)
        tokens = np.frombuffer(file.read(4 * n_ctx * n_windows), "<i4").reshape(n_windows, n_ctx)
        if tokens.min() < 0 or tokens.max() >= n_vocab:
            raise ModelFileError("has tokens that are not in its vocabulary", path)
        yield LogitsFile(path, file, tokens, n_vocab)


def compare_with(
    base: LogitsFile, context: EvaluatingContext, windows: Windows, report: Report = silent
) -> Divergences:
    """How far a model is from a base. Raises UsageError for another vocabulary, and as `read_window`."""
    found, total = Divergence(), len(windows) * windows.n_ctx
    for i in range(len(windows)):
        report(i * windows.n_ctx, total, "comparing")
        follow(context, windows, i, base.of_window(i, windows), found)
    report(total, total, "comparing")
    return found.whole
