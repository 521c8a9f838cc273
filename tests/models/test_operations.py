"""Every architecture x every operation on a context: as evaluating anew, or refused, and nothing lost."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from context_operations import OPERATIONS, ROWS, Bench, NotAsAnew, Row, table
from golden_models import DECODERS
from leaky import leaky_file

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.model import Model
from llamachat.errors import UsageError

CASES = [pytest.param((row, name), id=f"{row.name}-{name}") for row in ROWS for name in row.models]


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, golden: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Row, Model]]:
    row, name = request.param
    if name != "leaky":
        path = with_positions(golden / "archs" / f"{name}.gguf", row.n_ctx, tmp_path_factory)
        with Model(path, 1, n_ctx=row.n_ctx) as model:
            yield row, model
        return
    with leaky_file(tmp_path_factory.mktemp("own") / "leaky.gguf") as path, Model(path, 1, n_ctx=row.n_ctx) as model:
        yield row, model


def with_positions(path: Path, n: int, folders: pytest.TempPathFactory) -> Path:
    """The file; where its learned positions are fewer than n, a copy with n of them."""
    file, name = open_gguf(path), "position_embd.weight"
    if name not in file.tensors or file.tensors[name].shape[0] >= n:
        return path
    metadata = dict(file.metadata.items())
    metadata[f"{metadata['general.architecture']}.context_length"] = n
    table = np.asarray(file.tensors[name].data).view(np.float32).reshape(file.tensors[name].shape)
    table = np.random.default_rng(2).permuted(np.resize(table, (n, table.shape[1])), axis=1)
    tensors = [(one.name, one.type.name, one.shape, np.asarray(one.data)) for one in file.tensors.values()]
    tensors = [(name, "F32", table.shape, table.view(np.uint8)) if one[0] == name else one for one in tensors]
    copy = folders.mktemp("positions") / path.name
    write_gguf(copy, metadata, tensors)
    return copy


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_as_evaluating_anew_or_refused(case: tuple[Row, Model], operation: str, tmp_path: Path) -> None:
    row, model = case
    bench = Bench(model, tmp_path, row)
    if operation in row.inexact:
        with pytest.raises(NotAsAnew):
            OPERATIONS[operation](bench)
        return
    if operation not in row.refused:
        OPERATIONS[operation](bench)
        return
    with pytest.raises(UsageError) as caught:
        OPERATIONS[operation](bench)
    assert row.refused[operation] in str(caught.value)
    bench.same(bench.last, [*bench.last.tokens, 5, 6])


def test_every_golden_model_is_in_the_table() -> None:
    assert {name for row in ROWS for name in row.models} == {*DECODERS, "leaky"}


def test_the_documentation_has_this_table() -> None:
    """`python tools/make_context_docs.py` writes it."""
    assert table() in (Path(__file__).resolve().parents[2] / "docs" / "architecture.md").read_text("utf-8")
