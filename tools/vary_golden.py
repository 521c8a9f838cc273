"""Compares logits with llama.cpp's on variations of the golden models: longer texts, changed settings.

    python tools/vary_golden.py --peer-python PYTHON [NAME...]

PYTHON has llama-cpp-python. Each golden model is evaluated with a text of 300 tokens, and then once for each of its
settings that changes results, with another value. A line for each where both answers differ, or only one is refused.
GELU is looked up in a table of halves there, so that an NMSE of 1e-5 counts as equal.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.model import Model
from llamachat.errors import LlamaChatError

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
golden = importlib.import_module("golden_models")

N_TOKENS = 300
CLOSE = 1e-5
TOKENS = [int(token) for token in np.random.default_rng(5).integers(1, 80, N_TOKENS)]

PEER = f"""
import os, sys
import numpy as np
import llama_cpp
quiet = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(quiet, None)
tokens, n_ctx = {TOKENS}, {N_TOKENS}
for path in sys.argv[1:]:
    if os.fork() == 0:
        try:
            model = llama_cpp.Llama(path, n_ctx=n_ctx, n_batch=n_ctx, n_threads=1, n_threads_batch=1, logits_all=True,
                                    verbose=False, type_k=0, type_v=0, yarn_beta_fast=-1.0, yarn_beta_slow=-1.0)
            model.eval(tokens)
            np.save(path + ".npy", np.array(model.scores[:n_ctx]))
        except Exception as error:
            print(path, error, file=sys.stderr)
        os._exit(0)
    os.wait()
"""

LEFT = (".vocab_size", ".block_count", ".embedding_length", ".context_length", "head_count", "key_length",
        "value_length", "feed_forward_length", "expert_count", ".dimension_sections", "shared_count",
        "leading_dense", "state_size", "inner_size", "conv_kernel", "time_step_rank", "wkv.", "time_mix", "time_decay",
        "lora", "nextn", "group_count", "l_cache", "pooling", "token_shift", "token_type", "dimension_count",
        "length_mla", "length_swa", "_length_per_layer")  # fmt: skip
"""Parts of the names of settings that belong to shapes of tensors."""


def changed(key: str, value: object) -> list[object]:
    """Other values of a setting."""
    if key.endswith(LEFT) or any(part in key for part in LEFT):
        return []
    if isinstance(value, bool | np.bool_):
        return [not value]
    if isinstance(value, str):
        return [other for other in ("none", "linear", "yarn") if other != value] if key.endswith("scaling.type") else []
    if isinstance(value, int | np.integer):
        return [max(1, int(value) // 2)] if "window" in key else [int(value) + 1]
    if isinstance(value, float | np.floating):
        return [float(value) * 1.5] if value else [0.5]
    return []


def variations(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """(what was changed, file) of a golden model."""
    file = open_gguf(golden.FOLDER / f"{name}.gguf")
    metadata = dict(file.metadata.items())
    tensors = [(one.name, one.type.name, one.shape, np.asarray(one.data)) for one in file.tensors.values()]
    prefix = f"{metadata['general.architecture']}."

    def written(what: str, settings: Mapping[str, object]) -> tuple[str, Path]:
        path = folder / f"{name}-{len(list(folder.iterdir()))}.gguf"
        write_gguf(path, settings, tensors)
        return what, path

    yield written("as it is", metadata)
    for key, value in metadata.items():
        for other in changed(key, value) if key.startswith(prefix) else ():
            yield written(f"{key} {value} -> {other}", {**metadata, key: other})
        if key.startswith(prefix) and key.count(".") > 1 and changed(key, value):
            yield written(f"without {key} ({value})", {k: v for k, v in metadata.items() if k != key})


def ours(path: Path) -> np.ndarray | str:
    """Logits float32 [n_tokens, n_vocab], or the refusal."""
    try:
        with Model(path, 2, n_ctx=N_TOKENS) as model:
            return model.context(N_TOKENS, "f32").eval(TOKENS, "all")
    except LlamaChatError as error:
        return str(error)
    except Exception as error:  # whatever a setting brings down is what is looked for
        return f": a defect: {error!r}"


def verdict(what: str, path: Path) -> str:
    """A line where both do not agree."""
    found, at = ours(path), Path(f"{path}.npy")
    theirs = np.load(at) if at.exists() else None
    if isinstance(found, str):
        return "" if theirs is None else f"{what}: refused here: {found.partition(': ')[2]}"
    if theirs is None:
        return f"{what}: refused there"
    distance = golden.nmse(found, theirs)
    return "" if distance <= CLOSE else f"{what}: NMSE {distance:.1e}"


def main() -> None:
    """Prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    for name in given.names or golden.DECODERS:
        with tempfile.TemporaryDirectory() as folder:
            made = list(variations(name, Path(folder)))
            paths = [str(path) for _, path in made]
            command, environment = [given.peer_python, "-c", PEER, *paths], os.environ | {"GGML_NO_BACKTRACE": "1"}
            subprocess.run(command, check=False, capture_output=True, env=environment)
            lines = [line for what, path in made if (line := verdict(what, path))]
            read = sum(Path(f"{path}.npy").exists() for _, path in made)
            print(f"{name}: {len(made)} files, {read} read there, {len(lines)} differ", *lines, sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
