"""Weights into blocks, format by format: weights per second of one thread, the time to compile, errors beside ggml's.

    python benchmarks/quantisers.py --formats Q4_K Q6_K --ggml /path/to/llama_cpp/lib/libggml-base.so

Weights are normal numbers, importances are those of a column's squared activations (log-normal). Each figure is the
best of -r runs, ours and ggml's in turns. `cold` is the first call, with nothing compiled. Errors are relative, the
square root of the weighted squared error, ours in parts of ggml's. Rows are printed as Markdown.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from engines import markdown_table

from llamachat.engine.backend import choose
from llamachat.engine.backend.interface import Settings
from llamachat.engine.gguf.types import BY_NAME
from llamachat.engine.quants import BLOCK_FORMATS, FORMATS, Format

ROWS, COLUMNS = 128, 4096
NOT_IN_GGML = ("Q2_0_128", "Q8_1", "Q8_K")
NEEDS_IMPORTANCE = ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M")

Encode = Callable[[Format, np.ndarray, "np.ndarray | None"], np.ndarray]


def ggml(path: str) -> Encode:
    """ggml's quantisers, one thread."""
    library = ctypes.CDLL(path)
    quantize = library.ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]

    def encode(fmt: Format, rows: np.ndarray, importance: np.ndarray | None) -> np.ndarray:
        out = np.empty((len(rows), rows.shape[1] // fmt.block * fmt.layout.itemsize), np.uint8)
        given = None if importance is None else importance.ctypes.data
        quantize(BY_NAME[fmt.name].id, rows.ctypes.data, out.ctypes.data, 0, *rows.shape, given)
        return out

    return encode


def error(fmt: Format, x: np.ndarray, data: np.ndarray, importance: np.ndarray | None) -> float:
    """Relative, weighted."""
    counts = np.ones(x.shape[1]) if importance is None else importance
    y = fmt.decode(data).reshape(x.shape)
    return float(np.sqrt((counts * (y - x) ** 2).sum() / (counts * x**2).sum()))


def cold_s(fmt: Format, x: np.ndarray) -> float:
    """Seconds of the first call beyond those of the second, with nothing on disk."""
    device = choose.choose().open(Settings(threads=1, stores=False))
    device.encode(FORMATS["F16"], x[:1])
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        device.encode(fmt, x[:1])
        seconds.append(time.perf_counter() - start)
    device.close()
    return seconds[0] - seconds[1]


def measure(name: str, peer: Encode | None, runs: int) -> list[dict[str, Any]]:
    """A row without and one with importances."""
    rng, fmt = np.random.default_rng(1), FORMATS[name]
    x = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    importance = np.exp(rng.standard_normal(COLUMNS)).astype(np.float32)
    device = choose.quantiser(1)
    rows = []
    for counts in (None, importance):
        of_ggml = peer if name not in NOT_IN_GGML and (counts is not None or name not in NEEDS_IMPORTANCE) else None
        engines: dict[str, Encode] = {"llamachat": device.encode} | ({"ggml": of_ggml} if of_ggml else {})
        best, found = dict.fromkeys(engines, 1e9), {}
        for _ in range(runs):
            for engine, encode in engines.items():
                start = time.perf_counter()
                found[engine] = encode(fmt, x, counts)
                best[engine] = min(best[engine], time.perf_counter() - start)
        errors = {engine: error(fmt, x, data, counts) for engine, data in found.items()}
        row = {"format": name, "importance": "no" if counts is None else "yes"}
        row |= {f"{engine} M/s": f"{x.size / seconds / 1e6:.0f}" for engine, seconds in best.items()}
        row |= {"error": f"{errors['llamachat']:.4f}"}
        rows.append(row | ({"of ggml's": f"{errors['llamachat'] / errors['ggml']:.3f}"} if of_ggml else {}))
    device.close()
    rows[0]["cold ms"] = f"{1e3 * cold_s(fmt, x):.0f}"
    return rows


def main() -> None:
    """Measures the formats that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", nargs="+", default=list(BLOCK_FORMATS), help="formats (default: all)")
    parser.add_argument("--ggml", help="ggml's base library, to be measured beside")
    parser.add_argument("-r", type=int, default=3, help="runs of each (default: 3)")
    chosen = parser.parse_args()
    peer = ggml(chosen.ggml) if chosen.ggml else None
    columns = ("format", "importance", "llamachat M/s", "ggml M/s", "error", "of ggml's", "cold ms")
    rows = [row for name in chosen.formats for row in measure(name, peer, chosen.r)]
    print(markdown_table(columns, [[row.get(column, "") for column in columns] for row in rows]))


if __name__ == "__main__":
    main()
