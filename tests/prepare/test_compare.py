"""How far two models are from one another: against plain NumPy, and as a person sees it."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.model import Model
from llamachat.errors import UsageError
from llamachat.prepare.divergence import Divergences, compare
from llamachat.prepare.windows import Windows
from llamachat.terminal import comparison

TEXT = "0123456789ABCDEFGHIJ" * 8
N_CTX = 32


def ln_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_every_figure_is_that_of_plain_numpy(pair: tuple[Path, Path]) -> None:
    with Model(pair[0], n_ctx=N_CTX) as base, Model(pair[1], n_ctx=N_CTX) as model:
        ids = base.tokenize(TEXT)
        windows = Windows.of(ids, base.tokenizer, N_CTX)
        found = compare(base.context(), model.context(), windows)
        rows: list[list[np.ndarray]] = [[], []]
        for i in range(len(ids) // N_CTX):
            window = [base.tokenizer.bos, *ids[i * N_CTX + 1 : (i + 1) * N_CTX]]
            for kept, one in zip(rows, (base, model), strict=True):
                kept.append(one.context().eval(window, logits="all")[N_CTX // 2 : -1])
    assert len(windows) == 5
    p, q = (ln_softmax(np.concatenate(kept)) for kept in rows)
    next_tokens = np.concatenate([ids[i * N_CTX + N_CTX // 2 + 1 : (i + 1) * N_CTX] for i in range(len(windows))])
    at = np.arange(len(next_tokens))
    np.testing.assert_allclose(found.kl, (np.exp(p) * (p - q)).sum(1), atol=1e-9)
    np.testing.assert_allclose(found.nll_base, -p[at, next_tokens], atol=1e-9)
    np.testing.assert_allclose(found.nll, -q[at, next_tokens], atol=1e-9)
    np.testing.assert_allclose(found.delta_p, np.exp(q)[at, next_tokens] - np.exp(p)[at, next_tokens], atol=1e-9)
    np.testing.assert_array_equal(found.same_top, p.argmax(1) == q.argmax(1))
    assert found.ratio.mean == pytest.approx(np.exp((found.nll - found.nll_base).mean()))
    assert found.mean_kl.error == pytest.approx(found.kl.std(ddof=1) / np.sqrt(len(found.kl)))


def test_a_model_is_no_way_from_itself(pair: tuple[Path, Path]) -> None:
    with Model(pair[0], n_ctx=N_CTX) as model:
        windows = Windows.of(model.tokenize(TEXT), model.tokenizer, N_CTX, most=2)
        found = compare(model.context(), model.context(), windows)
    assert np.abs(found.kl).max() == 0
    assert found.same_top.all()
    assert found.ratio.mean == 1


def test_a_text_shorter_than_a_window_is_refused(pair: tuple[Path, Path]) -> None:
    with Model(pair[0], n_ctx=N_CTX) as model, pytest.raises(UsageError, match="fewer than a window of 512"):
        Windows.of(model.tokenize(TEXT), model.tokenizer, 512)


def test_the_plot_shows_shares_and_leaves_out_empty_ends() -> None:
    lines = list(comparison.plot(np.array([2e-3] * 3 + [0.2])))
    assert [line.split()[:2] for line in (lines[0], lines[-1])] == [["<", "0.003"], ["<", "0.3"]]
    assert [line.split()[-2] for line in (lines[0], lines[-1])] == ["75.0", "25.0"]
    assert lines[0].count("█") == 3 * lines[-1].count("█")
    assert max(map(len, lines)) <= 80


def test_what_is_no_number_is_null_in_json() -> None:
    found = Divergences(*(np.full(3, 1e3),) * 2, np.zeros(3), np.zeros(3), np.ones(3) > 0)
    assert json.loads(comparison.as_json({}, found))["ppl"] is None


def test_every_form_has_the_same_figures(pair: tuple[Path, Path], program) -> None:
    words = ("compare", *pair, "-p", TEXT, "-c", N_CTX)
    record = json.loads(program(*words, "--output", "json").stdout)
    (row,) = csv.DictReader(io.StringIO(program(*words, "-o", "csv").stdout))
    assert record.pop("v") == 1
    assert list(record) == list(row)
    assert float(row["kl_mean"]) == record["kl_mean"] > 0
    assert record["kl_median"] <= record["kl_90"] <= record["kl_99"] <= record["kl_99_9"] <= record["kl_max"]
    text = program(*words)
    assert f"{record['kl_mean']:.6f}" in text.stdout
    assert text.stderr == ""
    assert "\x1b" not in text.stdout
