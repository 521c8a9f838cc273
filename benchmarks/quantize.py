"""Quantising: llamachat and llama.cpp's own function on the same model: seconds, sizes, perplexities, KL divergences.

    python benchmarks/quantize.py smollm2 --peer-python /path/to/venv/bin/python -f README.md
    python benchmarks/quantize.py model-f16.gguf --imatrix model.imatrix.gguf --mix IQ3_XXS --mix Q4_K_M -t 2

The model is expanded to F32 first, also where it is quantised (then the loss is that of a second rounding, the same for
both). Each mix is written by `llamachat quantize` and by llama.cpp (llama-cpp-python in --peer-python), in turns, -r
times; the seconds are the least. `llamachat compare` then tells how far each result is from the F32 file on a text.
Files are made in --folder and removed afterwards. Rows are printed as Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from engines import has_peer, markdown_table

from llamachat.engine.gguf import open_gguf
from llamachat.prepare.importance import read_importance
from llamachat.prepare.quantize.mixes import Mix, mix_of

HERE = Path(__file__).resolve().parent
PEER = HERE.parent / "tools" / "quantize_peer.py"
MIXES = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K", "IQ4_XS", "IQ3_S")


def command(*words: object) -> list[str]:
    """A command line of llamachat."""
    return [sys.executable, "-m", "llamachat", *map(str, words)]


def timed(words: Sequence[str], text: str | None = None) -> tuple[float, str]:
    """Seconds of a program, whole, and what it printed. Raises SystemExit where it fails."""
    start = time.perf_counter()
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()[-500:]}")
    return time.perf_counter() - start, done.stdout


class Bench:
    """One model in a folder."""

    def __init__(self, chosen: argparse.Namespace, folder: Path) -> None:
        self.chosen, self.folder, self.full = chosen, folder, folder / "full.gguf"
        self.importance = None
        timed(command("quantize", chosen.model, self.full, "F32", "--allow-requantize", "--overwrite"))
        if chosen.imatrix is not None:
            self.importance = folder / "importance.npz"
            read = read_importance(chosen.imatrix)
            np.savez(self.importance, **{name: entry.means() for name, entry in read.entries.items()})

    def ours(self, mix: Mix) -> float:
        """Seconds."""
        words = command("quantize", self.full, self.folder / "ours.gguf", mix.name, "--overwrite", "-t", self.chosen.t)
        given = [] if self.importance is None else ["--imatrix", str(self.chosen.imatrix)]
        return timed([*words, *given])[0]

    def theirs(self, mix: Mix) -> float:
        """Seconds."""
        request: dict[str, Any] = {"source": str(self.full), "target": str(self.folder / "theirs.gguf")}
        request |= {"number": mix.number, "threads": self.chosen.t}
        request["importance"] = None if self.importance is None else str(self.importance)
        seconds, answer = timed([self.chosen.peer_python, str(PEER)], json.dumps(request) + "\n")
        if json.loads(answer)["rc"]:
            raise SystemExit(f"llama.cpp refuses {mix.name}: {json.loads(answer)['log']}")
        return seconds

    def distance(self, name: str) -> dict[str, Any]:
        """What `llamachat compare` says of a result."""
        words = command("compare", self.full, self.folder / name, "-f", self.chosen.f, "-c", self.chosen.c)
        return dict(json.loads(timed([*words, "--output", "json"])[1]))


def types(path: Path) -> dict[str, str]:
    """Types of all tensors."""
    return {name: tensor.type.name for name, tensor in open_gguf(path).tensors.items()}


def rows_of(bench: Bench, mix: Mix) -> list[str]:
    """A row of the table."""
    seconds = [(bench.ours(mix), bench.theirs(mix)) for _ in range(bench.chosen.r)]
    ours, theirs = (min(column) for column in zip(*seconds, strict=True))
    files = [bench.folder / name for name in ("ours.gguf", "theirs.gguf")]
    cells = [mix.name, f"{ours:.1f}", f"{theirs:.1f}", f"{files[0].stat().st_size / 1e6:.1f}"]
    cells.append("yes" if types(files[0]) == types(files[1]) else "NO")
    found = [bench.distance(path.name) for path in files] if bench.chosen.f else []
    for key in ("ppl", "kl_mean"):
        cells += [f"{one[key]:.5g}" for one in found] or ["", ""]
    return cells


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file, or a name from `llamachat models`")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has llama_cpp [this one]")
    parser.add_argument("--mix", action="append", help="a mix [several]")
    parser.add_argument("--imatrix", type=Path, help="an importance matrix")
    parser.add_argument("-f", type=Path, help="a text to compare the results on")
    parser.add_argument("-c", type=int, default=512, help="tokens of a window [512]")
    parser.add_argument("-t", type=int, default=2, help="threads [2]")
    parser.add_argument("-r", type=int, default=1, help="repetitions [1]")
    parser.add_argument("--folder", type=Path, help="where files are made [a temporary folder]")
    chosen = parser.parse_args()
    if not has_peer(chosen.peer_python):
        parser.error(f"llama_cpp is not installed for {chosen.peer_python} (--peer-python)")
    titles = ["mix", "s", "s llama.cpp", "MB", "same types", "PPL", "PPL llama.cpp", "KL", "KL llama.cpp"]
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        bench, rows = Bench(chosen, Path(folder)), []
        for name in chosen.mix or MIXES:
            mix = mix_of(name)
            assert mix is not None
            rows.append(rows_of(bench, mix))
            print(" ".join(rows[-1]), file=sys.stderr, flush=True)
    print(markdown_table(titles, rows))


if __name__ == "__main__":
    main()
