"""Compares the types that mixes give tensors with those of llama.cpp's own function; nothing is quantised.

    python tools/quantize_types.py PYTHON [--write] [NAME...]

PYTHON has llama-cpp-python. Every golden model (or those named) is taken as it is, with 16 layers and rows eight times
as long, so that mixes tell layers apart and super-blocks fit, and with 80 layers; before them the models of
tests/prepare/mixed_models.py. --write writes down what llama.cpp gives those, for the tests.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "prepare"))

from mixed_models import MODELS, Shapes, digest  # type: ignore[import-not-found]

from llamachat.engine.gguf import open_gguf, typed, write_gguf
from llamachat.prepare.quantize.facts import facts_of
from llamachat.prepare.quantize.mixes import MIXES
from llamachat.prepare.quantize.roles import is_quantised
from llamachat.prepare.quantize.rules import choose, fitting, in_order

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT.parent / "shared" / "golden" / "archs"
PEER = ROOT / "tools" / "quantize_peer.py"
KNOWN = ROOT / "tests" / "prepare" / "mixed_types.json"


def grown(metadata: Mapping[str, object], shapes: Shapes, n_layers: int, by: int) -> tuple[dict[str, object], Shapes]:
    """The model with its blocks repeated, and rows `by` times as long."""
    architecture = metadata["general.architecture"]
    key = f"{architecture}.block_count"
    old = typed(metadata, key, int, "a number", 0)
    found, tensors = dict[str, object](), Shapes()
    for name, value in metadata.items():
        if isinstance(value, np.ndarray) and name.startswith(f"{architecture}.") and value.size == old:
            value = np.resize(value, n_layers)
        found[name] = value
    found[key] = n_layers
    for name, shape in shapes.items():
        wide = (*shape[:-1], shape[-1] * by) if len(shape) > 1 else shape
        match = re.match(r"(.*)blk\.(\d+)\.(.*)", name)
        if match is None:
            tensors[name] = wide
            continue
        for i in range(int(match[2]), n_layers, old):
            tensors[f"{match[1]}blk.{i}.{match[3]}"] = wide
    return found, tensors


def golden(names: list[str]) -> Iterator[tuple[str, dict[str, object], Shapes]]:
    """The golden models, as they are and grown."""
    for path in sorted(GOLDEN.glob("*.gguf")):
        if names and path.stem not in names:
            continue
        file = open_gguf(path)
        metadata = dict(file.metadata)
        shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
        yield f"{path.stem} as it is", metadata, shapes
        for layers, by in ((16, 8), (80, 4)):
            yield f"{path.stem}, {layers} layers", *grown(metadata, shapes, layers, by)


class Peer:
    """llama.cpp's function in another process."""

    def __init__(self, python: str) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [python, str(PEER)], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request, see `quantize_peer.py`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def ours(metadata: Mapping[str, object], shapes: Shapes, mix: str, importance: bool) -> dict[str, str]:
    """Types of all tensors."""
    facts = facts_of(metadata, shapes, importance=importance)
    chosen = {name: shapes[name] for name in in_order(shapes) if is_quantised(name, shapes[name])}
    types = choose(MIXES[mix], facts, chosen.items())
    return {name: fitting(types[name], shape[-1]) if name in types else "F32" for name, shape in shapes.items()}


class Comparison:
    """Counts, and what llama.cpp gives: {title: {mix: digest}}; a mix with importance ends in +."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self.peer, self.path, self.importance = peer, folder / "model.gguf", folder / "importance.npz"
        np.savez(self.importance, nothing=np.ones(1, np.float32))
        self.n_compared = self.n_different = 0
        self.refused = Counter[str]()

    def compare(self, title: str, metadata: Mapping[str, object], shapes: Shapes) -> dict[str, str]:
        """All mixes of a model; what differs is printed."""
        tensors = [(name, "F32", shape, lambda shape=shape: np.zeros(shape, "f4")) for name, shape in shapes.items()]
        write_gguf(self.path, metadata, tensors)
        found = {}
        for mix in MIXES.values():
            for given in (False, True):
                importance = str(self.importance) if given else None
                answer = self.peer.ask(source=str(self.path), number=mix.number, importance=importance)
                if answer["rc"]:
                    self.refused[f"{mix.name}: {' '.join(answer['log'])[-90:].strip()}"] += 1
                    continue
                theirs, own = answer["types"], ours(metadata, shapes, mix.name, given)
                assert theirs.keys() == shapes.keys()
                found[mix.name + "+" * given] = digest(theirs)
                self._count(f"{title}: {mix.name}{' with importance' * given}", theirs, own)
        return found

    def _count(self, title: str, theirs: Mapping[str, str], own: Mapping[str, str]) -> None:
        different = [f"{name} {kind} not {own[name]}" for name, kind in theirs.items() if own[name] != kind]
        self.n_compared += len(theirs)
        self.n_different += len(different)
        if different:
            print(f"{title}: {len(different)} differ: {', '.join(different[:3])}")


def main() -> int:
    """Prints differences; the exit code says whether there are any."""
    python, *names = sys.argv[1:]
    writes = "--write" in names
    peer = Peer(python)
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(peer, Path(folder))
        known = {model.title: comparison.compare(model.title, model.metadata(), model.shapes()) for model in MODELS}
        for title, metadata, shapes in () if writes else golden(names):
            comparison.compare(title, metadata, shapes)
    peer.close()
    if writes:
        KNOWN.write_text(json.dumps(known, indent=1) + "\n")
    for why, count in comparison.refused.items():
        print(f"llama.cpp refuses {count} times {why}")
    print(f"{comparison.n_compared} types compared, {comparison.n_different} differ")
    return int(comparison.n_different > 0)


if __name__ == "__main__":
    sys.exit(main())
