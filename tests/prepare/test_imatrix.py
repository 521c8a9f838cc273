"""Importance matrices: the sums are those of exact arithmetic, and no way of making one loses or doubles anything."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from golden_models import file_of
from lettered import with_letters

from llamachat.engine.graph import ExpertLinear, Linear
from llamachat.engine.model import Model
from llamachat.engine.quants.tensors import decode, read
from llamachat.engine.reference import Evaluation, value
from llamachat.errors import ModelFileError, UsageError
from llamachat.prepare.imatrix import Collected, Collector, fingerprint
from llamachat.prepare.imatrix_file import write_imatrix
from llamachat.prepare.imatrix_making import Unfinished, collect
from llamachat.prepare.imatrix_statistics import layer_statistics, tensor_statistics
from llamachat.prepare.importance import read_importance
from llamachat.prepare.windows import Windows

TEXT = "0123456789ABCDEFGHIJ" * 8
N_CTX = 48


def exact(model: Model, windows: Windows) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of every matrix of a layer, by the float64 reference: sums of squares and numbers of inputs."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def load(name: str) -> np.ndarray:
        tensor = model.file.tensors[name]
        return decode(tensor, read(model.file, tensor))

    for i in range(len(windows)):
        state = Evaluation(load, np.array(windows.read(i)), n_ctx=windows.n_ctx)
        for node in model.graph.nodes:
            state.values[node] = value(node, state)
            if not isinstance(node, Linear | ExpertLinear) or not node.weight.name.startswith("blk."):
                continue
            x, chosen, n = state.values[node.x], np.zeros(windows.n_ctx, int), 1
            if isinstance(node, ExpertLinear):
                chosen, n = state.values[node.chosen][:, 0], node.weight.shape[0]
            x = np.repeat(x, len(chosen) // len(x), axis=0)
            sums = np.stack([(x[chosen == one] ** 2).sum(0) for one in range(n)])
            before = found.get(node.weight.name, (0, 0))
            found[node.weight.name] = (before[0] + sums, before[1] + np.bincount(chosen, minlength=n))
    return found


@pytest.fixture(scope="module", params=["llama", "llama-moe", "mamba2"])
def lettered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_letters(file_of(request.param), tmp_path_factory.mktemp("letters") / f"{request.param}.gguf")


def test_the_sums_are_those_of_exact_arithmetic(lettered: Path) -> None:
    with Model(lettered, n_ctx=N_CTX) as model:
        windows = Windows.of(model.tokenize(TEXT), model.tokenizer, N_CTX, most=2)
        found, wanted = Collected(N_CTX), exact(model, windows)
        collector = Collector(model, N_CTX)
        for i in range(len(windows)):
            collector.read(windows, i, found)
    assert sorted(found.sums) == sorted(wanted)
    for name, (squares, counts) in wanted.items():
        np.testing.assert_array_equal(found.sums[name].counts, counts)
        assert np.abs(found.sums[name].squares - squares).sum() < 2e-3 * squares.sum()
    assert collector.loss is not None


def test_measuring_changes_no_logit(lettered: Path) -> None:
    with Model(lettered, n_ctx=N_CTX) as model:
        windows = Windows.of(model.tokenize(TEXT), model.tokenizer, N_CTX, most=1)
        collector = Collector(model, N_CTX)
        collector.read(windows, 0, Collected(N_CTX))
        logits = model.context().eval(windows.read(0), logits="all")[windows.first : -1].astype(np.float64)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), windows.following(0)]
    assert collector.loss is not None
    assert collector.loss.mean == pytest.approx(losses.mean(), abs=1e-9)


@pytest.fixture(scope="module")
def measured(pair: tuple[Path, Path]) -> tuple[Collected, list[Collected]]:
    """Of a text, and of its windows one by one."""
    with Model(pair[0], n_ctx=N_CTX) as model:
        windows = Windows.of(model.tokenize(TEXT), model.tokenizer, N_CTX)
        collector = Collector(model, N_CTX, process_output=True)
        whole, parts = Collected(N_CTX, ["text"]), [Collected(N_CTX, [f"part {i}"]) for i in range(len(windows))]
        for i, part in enumerate(parts):
            collector.read(windows, i, whole)
            collector.read(windows, i, part)
    return whole, parts


@pytest.mark.parametrize("form", ["gguf", "dat"])
def test_a_file_gives_back_the_means_and_parts_add_up(form, measured, tmp_path: Path) -> None:
    whole, parts = measured
    write_imatrix(tmp_path / "whole", whole, form)
    found = read_importance(tmp_path / "whole")
    assert "output.weight" in found.entries
    assert (found.n_chunks, found.datasets) == (3, ("text",))
    for name, sums in whole.sums.items():
        np.testing.assert_allclose(found.entries[name].means(), (sums.squares / sums.counts[:, None])[0], rtol=1e-5)
    added = Collected(N_CTX)
    for i, part in enumerate(parts):
        write_imatrix(tmp_path / f"{i}", part, form)
        added.merge(read_importance(tmp_path / f"{i}"))
    assert added.datasets == ["part 0", "part 1", "part 2"]
    for name, sums in whole.sums.items():
        np.testing.assert_allclose(added.sums[name].squares, sums.squares, rtol=1e-5)
        np.testing.assert_array_equal(added.sums[name].counts, sums.counts)


def test_the_reader_of_the_gguf_package_takes_it(measured, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    write_imatrix(tmp_path / "out.gguf", measured[0])
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    assert reader.fields["imatrix.chunk_size"].contents() == N_CTX
    names = {tensor.name for tensor in reader.tensors}
    assert {"blk.0.attn_q.weight.in_sum2", "blk.0.attn_q.weight.counts"} <= names


def test_sums_of_another_model_or_window_are_refused(measured, tmp_path: Path) -> None:
    write_imatrix(tmp_path / "one", measured[0])
    with pytest.raises(UsageError, match="is made of windows of 48 tokens"):
        Collected(512).merge(read_importance(tmp_path / "one"))
    other = Collected(N_CTX)
    other.add("blk.0.attn_q.weight", type(measured[0].sums["blk.0.attn_q.weight"])(np.ones((1, 7)), np.ones(1)))
    with pytest.raises(UsageError, match="they are of different models"):
        other.merge(read_importance(tmp_path / "one"))


def test_what_was_interrupted_goes_on_and_is_the_same(pair, tmp_path: Path) -> None:
    with Model(pair[0], n_ctx=N_CTX) as model:
        windows = Windows.of(model.tokenize(TEXT), model.tokenizer, N_CTX)
        kept = Unfinished.beside(tmp_path / "out.gguf", fingerprint(model, windows))
        collector = Collector(model, N_CTX)
        straight = Collected(N_CTX)
        collect(collector, windows, straight, kept, 0)
        assert not kept.path.exists()

        def stop(done: int, total: int | None, what: str) -> None:
            if done == 2 * N_CTX:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            collect(collector, windows, kept.load(N_CTX), kept, 0, stop)
        found = kept.load(N_CTX)
        assert found.n_chunks == 2
        assert Unfinished(kept.path, "something else").load(N_CTX).n_chunks == 0
        collect(collector, windows, found, kept, 0)
    for name, sums in straight.sums.items():
        np.testing.assert_allclose(found.sums[name].squares, sums.squares, rtol=1e-6)
    assert found.n_chunks == straight.n_chunks == 3


def test_statistics_are_of_the_mean_squares(measured, tmp_path: Path) -> None:
    write_imatrix(tmp_path / "one", measured[0])
    found = read_importance(tmp_path / "one")
    q = next(one for one in tensor_statistics(found) if (one.layer, one.tensor) == (1, "attn_q"))
    before, values = (found.entries[f"blk.{i}.attn_q.weight"].means().astype(float) for i in (0, 1))
    assert q.total == pytest.approx(values.sum())
    assert q.cosine == pytest.approx(before @ values / np.linalg.norm(before) / np.linalg.norm(values))
    shares = values / values.sum()
    assert q.entropy == pytest.approx(-(shares * np.log2(shares)).sum())
    assert [one.layer for one in layer_statistics(found)] == sorted(
        {one.layer for one in tensor_statistics(found)} - {-1}
    )


def test_the_command_measures_adds_up_and_shows(pair, program, tmp_path: Path) -> None:
    out, more = tmp_path / "out.gguf", tmp_path / "sum.dat"
    done = program("imatrix", "-m", pair[0], "-p", TEXT, "-c", N_CTX, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "perplexity" in done.stderr
    assert done.stdout == ""
    assert program("imatrix", "-m", pair[0], "-p", TEXT, "-c", N_CTX, "-o", out).returncode == 2
    done = program("imatrix", "--in-file", out, "--in-file", out, "-o", more, "--output-format", "dat")
    assert (done.returncode, read_importance(more).n_chunks) == (0, 6), done.stderr
    shown = program("imatrix", "--show-statistics", "--in-file", out)
    assert "attn_q" in shown.stdout
    assert shown.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.gguf", "sum.dat"]


def test_ctrl_c_keeps_what_is_done_and_no_result(pair, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    (tmp_path / "text").write_text(TEXT * 200)
    words = ["imatrix", "-m", pair[0], "-f", tmp_path / "text", "-c", N_CTX, "-o", out, "--save-frequency", 1]
    work = subprocess.Popen([sys.executable, "-m", "llamachat", *map(str, words)], stderr=subprocess.PIPE, text=True)
    partial = tmp_path / "out.gguf.partial"
    for _ in range(600):
        if partial.exists():
            break
        time.sleep(0.05)
    work.send_signal(signal.SIGINT)
    said = work.communicate(timeout=30)[1]
    assert work.returncode == 130
    assert "the same command goes on behind them" in said
    assert not out.exists()
    assert read_importance(partial).n_chunks > 0


def test_what_is_no_importance_matrix_is_refused(pair, program, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        read_importance(pair[0])
    done = program("imatrix", "--in-file", pair[0], "-o", tmp_path / "out.gguf")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
