"""`llamachat quantize`: its table, its JSON, and one sentence for what cannot be done."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from llamachat.cli.app import run_app
from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.errors import LlamaChatError, UsageError

INTERRUPTS = int(os.environ.get("LLAMACHAT_INTERRUPTS", "3"))

METADATA = {"general.architecture": "llama", "llama.block_count": 1, "llama.attention.head_count": 4}
SHAPES = {"token_embd.weight": (64, 256), "output_norm.weight": (256,), "blk.0.ffn_down.weight": (64, 320)}


def made(path: Path, by: int = 1) -> Path:
    """A model with rows enough to be in the middle of."""
    shapes = {name: (shape[0] * by, shape[1]) if len(shape) > 1 else shape for name, shape in SHAPES.items()}
    values = np.random.default_rng(1).normal(size=64 * by * 320).astype(np.float32)
    tensors = [(name, "F32", shape, values[: int(np.prod(shape))]) for name, shape in shapes.items()]
    write_gguf(path, METADATA, tensors)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return made(tmp_path / "in.gguf")


def test_a_table_says_what_became_of_each_tensor(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_app(["quantize", str(model), str(tmp_path / "out.gguf"), "q6_k"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["TENSOR", "SHAPE", "FROM", "TO", "INSTEAD", "OF", "SIZE", "ERROR"]
    assert lines[1][:5] == ["token_embd.weight", "64x256", "F32", "Q6_K", "13"]
    assert lines[2][:6] == ["blk.0.ffn_down.weight", "64x320", "F32", "Q8_0", "Q6_K", "22"]
    assert 0 < float(lines[2][-1]) < float(lines[1][-1]) < 0.05
    assert " ".join(lines[3]) == "1 tensor keeps its type"
    assert " ".join(lines[5]).endswith("bits a weight")


def test_a_dry_run_says_sizes_and_writes_nothing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_app(["quantize", str(model), str(tmp_path / "out.gguf"), "IQ2_XS", "--dry-run", "--output", "json"])
    found = json.loads(capsys.readouterr().out)
    assert os.listdir(tmp_path) == ["in.gguf"]
    assert [one["to"] for one in found["tensors"]] == ["Q5_K", "F32", "IQ4_NL"]
    run_app(["quantize", str(model), str(tmp_path / "out.gguf"), "Q8_0", "--output", "json"])
    done = json.loads(capsys.readouterr().out)
    assert done["n_bytes"] == (tmp_path / "out.gguf").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in.gguf", "Q4_0"], "is the file that is read"),
        (["nowhere/out.gguf", "Q4_0"], "there is no folder"),
        (["there.gguf", "Q4_0"], "there is such a file already"),
        (["out.gguf", "Q9"], "'Q9' is no type"),
        (["out.gguf", "Q4_0", "--output-tensor-type", "Q9"], "'Q9' is no tensor type"),
        (["out.gguf", "Q4_0", "--tensor-type", "ffn_down"], "must be PATTERN=TYPE"),
        (["out.gguf", "Q4_0", "--tensor-type", "(=Q8_0"], "no regular expression"),
        (["out.gguf", "Q4_0", "--tensor-type", "ffn_dwon=Q8_0"], "no tensor of the file has such a name"),
        (["out.gguf", "Q8_0", "--token-embedding-type", "q2_k", "--imatrix", "none.dat"], "none.dat: no such file"),
        (["out.gguf", "Q4_0", "--imatrix", "there.gguf"], "is no importance matrix"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_nothing_is_written(
    arguments: list[str], said: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.gguf").write_bytes(b"before")
    before = model.read_bytes()
    with pytest.raises(LlamaChatError) as caught:
        run_app(["quantize", "in.gguf", *arguments])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["in.gguf", "there.gguf"]
    assert model.read_bytes() == before


def test_rows_that_do_not_fit_a_type_given_by_name_are_refused(tmp_path: Path) -> None:
    values = np.ones((4, 320), np.float32)
    write_gguf(tmp_path / "in.gguf", METADATA, [("token_embd.weight", "F32", values.shape, values)])
    with pytest.raises(UsageError, match="rows of 320 are not whole blocks of Q4_K, 256"):
        run_app(["quantize", str(tmp_path / "in.gguf"), "o.gguf", "Q8_0", "--token-embedding-type", "Q4_K"])


@pytest.mark.skipif(sys.platform == "win32", reason="signals of processes")
def test_signals_leave_what_was_there(tmp_path: Path) -> None:
    """Of three moments, one for each signal; LLAMACHAT_INTERRUPTS=50 tries as many."""
    made(tmp_path / "in.gguf", by=40)
    (tmp_path / "out.gguf").write_bytes(b"before")
    words = [sys.executable, "-m", "llamachat", "quantize", "in.gguf", "out.gguf", "Q5_1", "--overwrite"]
    chance = random.Random(1)
    for number in range(INTERRUPTS):
        kind = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[number % 3]
        with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            time.sleep(chance.uniform(0.1, 0.9))
            process.send_signal(kind)
            said = process.communicate()[1].decode()
        left = [name for name in os.listdir(tmp_path) if not name.startswith(".llamachat-")]
        assert sorted(left) == ["in.gguf", "out.gguf"]
        if process.returncode == 0:  # it was done before
            assert open_gguf(tmp_path / "out.gguf").metadata["general.file_type"] == 9
            (tmp_path / "out.gguf").write_bytes(b"before")
            continue
        assert process.returncode in (130, 143, -kind)
        assert (tmp_path / "out.gguf").read_bytes() == b"before"
        assert "Traceback" not in said
        if kind != signal.SIGKILL:
            assert process.returncode == -kind or len(said.splitlines()) <= 1
