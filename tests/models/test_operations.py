"""Every architecture x every operation on a context: as evaluating anew, or refused, and nothing lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from context_operations import OPERATIONS, ROWS, Bench, NotAsAnew, Row, table
from golden_models import DECODERS
from leaky import leaky_file

from llamachat.engine.model import Model
from llamachat.errors import UsageError

CASES = [pytest.param((row, name), id=f"{row.name}-{name}") for row in ROWS for name in row.models]


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, golden: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Row, Model]]:
    row, name = request.param
    if name != "leaky":
        with Model(golden / "archs" / f"{name}.gguf", 1, n_ctx=row.n_ctx) as model:
            yield row, model
        return
    with leaky_file(tmp_path_factory.mktemp("own") / "leaky.gguf") as path, Model(path, 1, n_ctx=row.n_ctx) as model:
        yield row, model


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
