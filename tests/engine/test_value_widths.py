"""Heads whose values have another width than their keys: kernels, cache, shift and files of such a model."""

from collections.abc import Iterator

import numpy as np
import pytest
from golden_models import nmse
from windowed import N_HEAD_KV, TOKENS, another, pair, windowed_gguf

from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.reference import evaluate
from llamachat.errors import UsageError

VALUE_DIM, KEY_DIM = 80, 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = windowed_gguf(tmp_path_factory.mktemp("widths") / "model.gguf", 40, value_dim=VALUE_DIM)
    with Model(path, 2) as loaded:
        yield loaded


def test_its_logits_are_those_of_its_reference(model: Model) -> None:
    spec = describe(model.file.metadata, model.file.tensors)
    wanted = evaluate(spec.graph(), lambda name: model.file.tensors[name].data.view(np.float32), TOKENS[:120])
    assert nmse(model.context(512, "f32").eval(TOKENS[:120], "all"), wanted) <= 1e-10


def test_logits_are_equal_to_the_bit_in_pieces_and_in_rings(model: Model) -> None:
    ring, whole = pair(model, 1100)
    wanted = whole.eval(TOKENS[:1000], "all")
    got = [ring.eval(TOKENS[i : i + n], "all") for i, n in ((0, 7), (7, 512), (519, 1), (520, 480))]
    np.testing.assert_array_equal(np.concatenate(got), wanted)
    for context in (ring, whole):
        context.remove(3, 500)
    np.testing.assert_array_equal(ring.eval([5, 6]), whole.eval([5, 6]))


def test_the_cache_is_as_large_as_keys_and_values_are(model: Model) -> None:
    assert pair(model, 512)[1].cache_bytes == 3 * 512 * N_HEAD_KV * 2 * (KEY_DIM + VALUE_DIM)


def test_what_was_computed_can_be_taken_over(model: Model) -> None:
    context = model.context(512)
    context.eval(TOKENS[:300])
    memory, other = context.memory(300).copy(), another(context)
    other.restore(TOKENS[:300], lambda room: np.copyto(room, memory), n_lost=0)
    np.testing.assert_array_equal(other.eval([3]), context.eval([3]))


def test_a_type_of_blocks_must_fit_what_is_kept_in_it(model: Model) -> None:
    assert np.isfinite(model.context(256, "q8_0", "f16").eval(TOKENS[:20])).all()
    with pytest.raises(UsageError, match="blocks of 32 values, which heads of 80 do not fill"):
        model.context(256, "f16", "q8_0")
