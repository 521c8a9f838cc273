"""The benchmarks' own parts: models that they make, and tables of what they measured."""

import sys
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.gguf import open_gguf
from llamachat.engine.models import describe
from llamachat.engine.quants import FORMATS
from llamachat.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import bench_models  # noqa: E402
import formats  # noqa: E402
from blocks import KNOWN, random_rows  # noqa: E402

SMALL = bench_models.Shape(256, 2, 4, 2, 64, 512)


@pytest.mark.parametrize("name", FORMATS)
def test_random_blocks_of_every_format_are_small_and_finite(name: str) -> None:
    assert name in KNOWN or name in ("Q2_0_128", "Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"), (
        f"{name} is not measured"
    )
    if name in KNOWN:
        values = FORMATS[name].decode(random_rows(name, 3, 512).ravel())
        assert values.shape == (3 * 512,)
        assert 0 < np.abs(values).max() < 10


@pytest.mark.real
@pytest.mark.parametrize("kind", ["Q4_K_M", "IQ1_M", "F16"])
def test_models_have_the_layers_and_types_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smollm2: Path, kind: str
) -> None:
    monkeypatch.setattr(bench_models, "VOCABULARY", str(smollm2))
    path = tmp_path / "model.gguf"
    bench_models.make(path, SMALL, 2, kind)
    file = open_gguf(path)
    spec = describe(file.metadata, file.tensors, path)
    assert spec.params.n_layer == 2
    kinds = {name: tensor.type.name for name, tensor in file.tensors.items()}
    assert kinds["blk.0.ffn_down.weight"] == ("Q4_K" if kind == "Q4_K_M" else kind)
    assert kinds["blk.1.ffn_down.weight"] == kinds["output.weight"] == ("Q6_K" if kind == "Q4_K_M" else kind)


def row(kind: str, test: str, **speeds: float) -> dict:
    place = {"type": kind, "shape": "3b", "layers": 4, "threads": 2, "processor": "P", "engine": "E"}
    return {**place, "test": test, "tokens_per_s": speeds, "share": 0.875, "date": "2026-11-30 18:00"}


def test_the_better_peer_is_what_a_format_is_compared_with() -> None:
    peers = {"llama.cpp": 50.0, "ik_llama.cpp": 40.0}
    rows = [row("Q6_K", "tg", llamachat=60.0, **peers), row("Q4_0", "tg", llamachat=200.0)]
    (table,) = formats.tables(rows)
    assert table.splitlines()[2:] == [
        "| type | generation | llama.cpp | ik_llama.cpp | ratio | share |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| Q4_0 | 200 |  |  |  | 88 % |",
        "| Q6_K | 60.0 | 50.0 | 40.0 | 1.20 | 88 % |",
    ]


def test_a_later_row_of_the_same_measurement_counts(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert formats.read_rows(path) == []
    lines = [row("Q4_0", "tg", llamachat=1.0), row("Q4_0", "pp", llamachat=2.0), row("Q4_0", "tg", llamachat=3.0)]
    path.write_text("".join(formats.json.dumps(line) + "\n" for line in lines))
    assert [found["tokens_per_s"]["llamachat"] for found in formats.read_rows(path)] == [3.0, 2.0]


def test_a_type_that_does_not_fit_the_shape_is_said_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []
    arguments = ["--types", "Q4_K", "Q4_0", "--shape", "135m", "-t", "1", "--folder", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["formats.py", *arguments, "--results", str(tmp_path / "rows")])
    monkeypatch.setattr(formats, "_add_rows", lambda _chosen, _peers, _model, kind, _threads: measured.append(kind))

    def make(path: Path, shape: bench_models.Shape, _layers: int, kind: str) -> None:
        if shape.width % FORMATS[kind].block:
            raise UsageError("rows are not whole blocks")
        path.touch()

    monkeypatch.setattr(formats, "make", make)
    formats.run(formats.parse_arguments())
    assert measured == ["Q4_0"]
    assert "Q4_K: rows are not whole blocks" in capsys.readouterr().err
