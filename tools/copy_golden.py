"""Copies the small set of golden data that lies in the repository, tests/golden, from all of it: ../shared/golden.

    python tools/copy_golden.py [FOLDER]

The engine's tests find everything they need in the set; what only all of the golden data has is skipped without it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "tests" / "golden"
SOURCE = ROOT.parent / "shared" / "golden"

MODELS = (
    "llama",
    "llama-tied",
    "llama-bias",
    "llama-hd",
    "llama-linear",
    "llama-rope-llama3",
    "llama-yarn",
    "gemma3",
    "gemma3-27b",
    "llama-moe",
    "gpt2",
    "mamba2",
    "bert",
)
VOCABULARIES = ("bert-bge", "phi-3")
ADAPTED = ("llama",)
REAL = ("SmolLM2-135M-Instruct.Q4_1", "gemma-3-270m-Q4_K_M")
LARGE = ("Qwen2.5-Coder-0.5B-Instruct.Q4_K_M",)
"""Real models that no test fetches."""


def files() -> list[str]:
    """Names of the files, relative to the folder of golden data."""
    models = [f"archs/{name}.{kind}" for name in MODELS for kind in ("gguf", "npz")]
    vocabularies = [f"tokenizers/ggml-vocab-{name}.gguf" for name in VOCABULARIES]
    cases = [f"tokenizers/{name}.json" for name in (*VOCABULARIES, *REAL)]
    kinds = ("-a.gguf", "-b.gguf", "-cvec.gguf", ".npz")
    models += [f"adapters/{name}{kind}" for name in ADAPTED for kind in kinds]
    return sorted(models + vocabularies + cases + [f"real/{name}.json" for name in (*REAL, *LARGE)])


def copy(source: Path, target: Path) -> int:
    """Copies every file, removes what is not of the set any more; bytes of all of them."""
    wanted = {target / name for name in files()}
    for path in [path for path in target.rglob("*") if path.is_file() and path.name != "README.md"]:
        if path not in wanted:
            path.unlink()
    for name in files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return sum(path.stat().st_size for path in wanted)


if __name__ == "__main__":
    n_bytes = copy(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE, TARGET)
    print(f"{TARGET.relative_to(ROOT)}: {len(files())} files, {n_bytes / 1e6:.2f} MB")
