"""Headers of all golden models, spoilt: each is prepared as a model is, or refused in one line that names the place.

`LLAMACHAT_FUZZ=N` sets how many random ones there are of all models together. A failure names its seed.
"""

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import headers
import pytest
from golden_models import FOLDER, NAMES
from memory_peak import peak_memory

from llamachat.engine.gguf import GgufFile, open_gguf, write_gguf
from llamachat.engine.models import family_of
from llamachat.errors import LlamaChatError

N_RANDOM = int(os.environ.get("LLAMACHAT_FUZZ", "400"))
N_RUN = max(20, N_RANDOM // 50)
MOST_MEMORY = 512 << 20
ENDS_OF_LAYERS = ("blk.0.", "blk.1.", "enc.blk.0.", "dec.blk.0.")


def header_of(name: str) -> GgufFile:
    return open_gguf(FOLDER / f"{name}.gguf")


KNOWN = [name for name in NAMES if not headers.outcome(header_of(name))]


@pytest.mark.parametrize("name", KNOWN)
def test_a_tensor_that_is_missing_or_has_another_shape_is_named(name: str) -> None:
    file = header_of(name)
    known = ("this tensor is missing", "this tensor is not known")
    for tensor in file.tensors.values():
        if ".blk." in f".{tensor.name}" and not tensor.name.startswith(ENDS_OF_LAYERS):
            continue
        said = headers.outcome(headers.with_tensor(file, tensor.name, None))
        stem = tensor.name.removesuffix(".weight")
        assert not said or stem in said or any(one in said for one in known), f"{tensor.name}: {said}"
        shapes = {tensor.shape[::-1], (*tensor.shape[:-1], tensor.shape[-1] + 1), (2, 3, *tensor.shape)[-4:]}
        for shape in shapes - {tensor.shape}:
            said = headers.outcome(headers.with_tensor(file, tensor.name, headers.reshaped(tensor, shape)))
            assert said, f"{tensor.name} {tensor.shape} may be {shape}"


ABSURD = (None, 0, 2**31 - 1, 2**63, -1, "")


@pytest.mark.parametrize("name", KNOWN)
def test_counts_that_are_absurd_are_refused_or_cost_nothing(name: str) -> None:
    file = header_of(name)
    without_effect = family_of(file.metadata)[1].without_effect
    with peak_memory() as peak:
        for key in headers.own_keys(file):
            for value in ABSURD:
                said = headers.outcome(headers.with_metadata(file, **{key: value}))
                name = key.partition(".")[2]
                must = name in without_effect or not name.endswith(("_count", "_length", "_size", "_rank"))
                assert value != -1 or said or must, f"{key} is accepted as -1"
    assert peak.bytes < MOST_MEMORY


@pytest.mark.parametrize("name", KNOWN)
def test_random_damage_is_refused_in_one_line(name: str) -> None:
    file = header_of(name)
    with peak_memory() as peak:
        for number in range(-(-N_RANDOM // len(KNOWN))):
            seed = f"{name} {number}"
            try:
                headers.outcome(headers.damaged(file, random.Random(seed)))
            except Exception as error:
                pytest.fail(f"Random({seed!r}): {type(error).__name__}: {str(error)[:300]}")
    assert peak.bytes < MOST_MEMORY


WORKER = """
import os, resource, signal, sys
from llamachat.engine.model import Model
from llamachat.engine.embedding import Embedder
from llamachat.errors import LlamaChatError
for line in sys.stdin:
    path = line.strip()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        code = 0
        try:
            with Model(path, 1, n_ctx=64) as model:
                try:
                    model.context(64).eval([1, 2, 3, 1])
                except LlamaChatError:
                    code = 3
        except LlamaChatError as error:
            code = 3 if str(error).isprintable() else 4
        except BaseException as error:
            print(repr(error)[:300], file=sys.stderr)
            code = 5
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def spoilt(name: str, path: Path, rng: random.Random) -> None:
    """Writes a damaged model that is a file still: what changes are numbers of the header and of the weights."""
    file = header_of(name)
    for _ in range(40):
        changed = headers.damaged(file, rng)
        try:
            headers.prepare(changed)
            tensors = [
                (one.name, one.type.name, one.shape, one.data[: one.n_bytes])
                for one in changed.tensors.values()
                if len(one.data) == one.n_bytes
            ]
            write_gguf(path, dict(changed.metadata), tensors)
            break
        except (LlamaChatError, struct.error, ValueError):
            continue
    else:
        path.write_bytes(Path(file.path).read_bytes())
    if rng.random() < 0.3:
        content = bytearray(path.read_bytes())
        for _ in range(5):
            content[rng.randrange(len(content) // 2, len(content))] = rng.choice((0, 127, 128, 255))
        path.write_bytes(bytes(content))


def test_what_passes_is_loaded_and_evaluated_without_a_crash(tmp_path: Path) -> None:
    rng = random.Random("models that are run")
    names = [rng.choice(KNOWN) for _ in range(N_RUN)]
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    codes: dict[str, str] = {}
    with worker:
        for number, name in enumerate(names):
            path = tmp_path / "spoilt.gguf"
            spoilt(name, path, random.Random(f"run {number}"))
            worker.stdin.write(f"{path}\n")
            worker.stdin.flush()
            codes[f"run {number} {name}"] = worker.stdout.readline().strip()
        worker.stdin.close()
        said = worker.stderr.read() if worker.stderr else ""
    assert {seed: code for seed, code in codes.items() if code not in ("0", "3")} == {}, said
    assert "0" in codes.values()
