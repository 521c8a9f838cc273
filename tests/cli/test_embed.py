"""`llamachat embed`: texts in, vectors out, as other commands behave."""

import io
import json
import subprocess
import sys
from pathlib import Path

import embedding_models
import numpy as np
import pytest

from llamachat import Model
from llamachat.errors import UsageError


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedding_models.write(tmp_path_factory.mktemp("encoder") / "letters.gguf")


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedding_models.write(tmp_path_factory.mktemp("reranker") / "ranks.gguf", classifier=True)


def embed(model: Path, *arguments: str, stdin: str = "", code: int = 0) -> bytes:
    """Standard output, or standard error where the exit code is none of success."""
    command = [sys.executable, "-m", "llamachat", "embed", "-m", str(model), *arguments]
    done = subprocess.run(command, input=stdin.encode(), capture_output=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr.decode()
    return done.stderr if code else done.stdout


def test_every_format_has_the_same_numbers(encoder: Path) -> None:
    lines = embed(encoder, "--output", "jsonl", stdin="a b\nc\n").decode().splitlines()
    records = [json.loads(line) for line in lines]
    assert [(one["v"], one["index"], one["n_tokens"]) for one in records] == [(1, 0, 4), (1, 1, 3)]
    wanted = np.array([one["embedding"] for one in records], np.float32)
    assert np.abs(np.linalg.norm(wanted, axis=1) - 1).max() < 1e-6
    whole = json.loads(embed(encoder, "--output", "json", "a b", "c"))
    assert whole["pooling"] == "cls"
    np.testing.assert_array_equal(np.array([one["embedding"] for one in whole["texts"]], np.float32), wanted)
    rows = np.loadtxt(io.BytesIO(embed(encoder, "--output", "csv", stdin="a b\nc")), delimiter=",", dtype=np.float32)
    np.testing.assert_array_equal(rows, np.hstack([[[0], [1]], wanted]).astype(np.float32))
    np.testing.assert_array_equal(np.load(io.BytesIO(embed(encoder, "--output", "npy", "a b", "c"))), wanted)
    with Model(encoder) as model:
        np.testing.assert_array_equal(model.embed(["a b", "c"]), wanted)


def test_blank_lines_are_no_texts(encoder: Path) -> None:
    lines = embed(encoder, stdin="a b\n\n  \nc\n").decode().splitlines()
    assert [(one["index"], one["n_tokens"]) for one in map(json.loads, lines)] == [(0, 4), (1, 3)]
    assert "there is no text" in embed(encoder, stdin="\n \n", code=2).decode()


def test_pooling_and_length_are_as_asked(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a b\nc\n")
    told = json.loads(embed(encoder, "--pooling", "none", "--normalize", "none", "-f", str(tmp_path / "text")))
    rows = np.array(told["embeddings"], np.float32)
    assert rows.shape == (5, embedding_models.N_EMBD)  # the file is one text
    with Model(encoder) as model:
        for pooling, wanted in (("mean", rows.astype(np.float64).mean(0)), ("cls", rows[0]), ("last", rows[-1])):
            found = model.embed(["a b\nc"], pooling, "none")  # type: ignore[arg-type]
            np.testing.assert_allclose(found[0], wanted, rtol=1e-6)
        assert isinstance(model.embed(["a"], "none"), list)
        assert model.embed([]).shape == (0, embedding_models.N_EMBD)  # type: ignore[union-attr]


def test_a_reranker_scores_documents(reranker: Path) -> None:
    lines = embed(reranker, "--query", "a b", "c", "d").decode().splitlines()
    scores = [json.loads(line)["score"] for line in lines]
    with Model(reranker) as model:
        np.testing.assert_array_equal(model.rerank("a b", ["c", "d"]), np.array(scores, np.float32))
        state = model.embed(["a b"], "none", "none")[0][0]
        both = [2, 4, 5, 3, 6, 3]  # [CLS] a b [SEP] c [SEP]
        with pytest.raises(UsageError, match="see rerank"):
            model.embed(["a"])
        from llamachat.engine.embedding import pair_tokens

        assert pair_tokens(model, "a b", "c") == both
        assert state.shape == (embedding_models.N_EMBD,)
    assert scores[0] != scores[1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "there is no text"),
        (("a " * 200,), 4, "the text has 202 tokens, more than the 128 of the context"),
        (("--query", "a", "b"), 2, "has no classifier (--query)"),
        (("--pooling", "rank", "b"), 2, "has no classifier (--pooling)"),
        (("--attention", "causal", "b"), 3, "cannot be causal"),
        (("--pooling", "middle", "b"), 2, "middle"),
        (("-f", "nowhere.txt"), 2, "nowhere.txt"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(encoder: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    error = embed(encoder, *arguments, code=code).decode()
    assert said in error
    assert "Traceback" not in error


def test_a_reranker_needs_a_query(reranker: Path) -> None:
    assert "give it with --query" in embed(reranker, "a", code=2).decode()


def test_an_encoder_writes_no_text(encoder: Path) -> None:
    command = [sys.executable, "-m", "llamachat", "run", "-m", str(encoder), "a"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr.decode().count("\n")) == (2, 1)
    assert "is an encoder" in done.stderr.decode()


def run(model: Path, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "llamachat", *arguments, "-m", str(model)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_an_encoder_decoder_answers_a_prompt(tmp_path: Path) -> None:
    path = embedding_models.write_t5(tmp_path / "letters-t5.gguf")
    answer = run(path, "run", "a b c", "-n", "8", "--temp", "0")
    other = run(path, "run", "d e", "-n", "8", "--temp", "0")
    assert (answer[0], other[0]) == (0, 0), answer[2]
    assert answer[1] != other[1]
    with Model(path) as model:
        for _ in range(2):
            events = model.generate("a b c", max_tokens=8, temp=0)
            assert "".join(event.text for event in events).strip() == answer[1].strip()
    for arguments, said in (
        (("run", "--chat", "a"), "does not chat"),
        (("chat", "a"), "does not chat"),
        (("run", "a", "--prompt-cache", str(tmp_path / "kept")), "cannot be kept"),
        (("perplexity", "-p", "a b c"), "must read one first"),
    ):
        code, _, error = run(path, *arguments)
        assert code == 2, (arguments, error)
        assert said in error
        assert "Traceback" not in error
    assert len(json.loads(embed(path, "a b"))["embedding"]) == 48
