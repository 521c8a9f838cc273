"""A base model's log-probabilities in a file: written as the field's tool does, and compared with."""

import json
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.model import Model
from llamachat.errors import ModelFileError
from llamachat.prepare.divergence import compare, log_softmax
from llamachat.prepare.logits_file import KeptRows, compare_with, open_logits, rounded, write_logits
from llamachat.prepare.windows import Windows

TEXT = "0123456789ABCDEFGHIJ" * 6
N_CTX = 32


def test_rounding_is_of_16_bits_down_to_24_below_the_likeliest() -> None:
    logits = np.array([[1.0, 3.0, -2.5, -100.0, 2.0], [5.0] * 5], np.float32)
    raw = rounded(logits)
    assert raw.shape == (2, 10)
    assert raw[0, 4:9].tolist() == [60074, 65535, 50517, 0, 62804]
    found = KeptRows(raw, 5).rows(0, 2)
    wanted = np.maximum(log_softmax(logits), log_softmax(logits).max(1, keepdims=True) - 24)
    assert np.abs(found - wanted).max() < 24 / 65535


@pytest.fixture(scope="module")
def kept(pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "base.dat"
    with Model(pair[0], n_ctx=N_CTX) as model:
        windows = Windows.of(model.tokenize(TEXT), model.tokenizer, N_CTX)
        write_logits(path, model.context(), windows, model.n_vocab)
    return path


def test_the_header_is_that_of_the_field(kept: Path) -> None:
    raw = kept.read_bytes()
    n = 3
    assert raw[:8] == b"_logits_"
    assert np.frombuffer(raw, "<i4", 3, 8).tolist() == [N_CTX, 80, n]
    assert len(raw) == 8 + 12 + 4 * N_CTX * n + n * (N_CTX - 1 - N_CTX // 2) * 2 * (4 + 80)


def test_compared_with_the_file_a_model_is_as_far_as_from_the_model(pair: tuple[Path, Path], kept: Path) -> None:
    with Model(pair[0], n_ctx=N_CTX) as base, Model(pair[1], n_ctx=N_CTX) as model:
        windows = Windows.of(model.tokenize(TEXT), model.tokenizer, N_CTX)
        exact = compare(base.context(), model.context(), windows)
        with open_logits(kept) as file:
            np.testing.assert_array_equal(file.tokens, windows.tokens)
            found = compare_with(file, model.context(), windows)
            own = compare_with(file, base.context(), windows)
    np.testing.assert_allclose(found.kl, exact.kl, atol=5e-4)
    np.testing.assert_allclose(found.nll_base, exact.nll_base, atol=5e-4)
    assert np.abs(own.kl).max() < 5e-4
    assert own.same_top.mean() > 0.95


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda raw: b"no" + raw, "is no file of log-probabilities", id="another file"),
        pytest.param(lambda raw: raw[:-1], "bytes, not the", id="cut"),
        pytest.param(lambda raw: raw[:12] + b"\xff\xff\xff\xff" + raw[16:], "in the vocabulary", id="no vocabulary"),
        pytest.param(lambda raw: raw[:20] + b"\xff\xff\0\0" + raw[24:], "not in its vocabulary", id="a wrong token"),
    ],
)
def test_what_is_none_is_refused(change, said: str, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(change(kept.read_bytes()))
    with pytest.raises(ModelFileError, match=said), open_logits(tmp_path / "wrong"):
        pass


def test_the_command_writes_and_compares(pair: tuple[Path, Path], program, tmp_path: Path) -> None:
    base = tmp_path / "base.dat"
    done = program("perplexity", "-m", pair[0], "-p", TEXT, "-c", N_CTX, "--kl-divergence-base", base)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("perplexity ")
    words = ("perplexity", "-m", pair[1], "--kl-divergence-base", base, "--kl-divergence", "--output", "json")
    record = json.loads(program(*words).stdout)
    assert record["n_ctx"] == N_CTX
    assert record["kl_mean"] > 0
    assert program("perplexity", "-m", pair[1], "--kl-divergence").returncode == 2
