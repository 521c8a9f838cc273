"""Caches in files of another type than in memory."""

import numpy as np
import pytest

from llamachat.engine.gguf.fingerprint import fingerprint
from llamachat.engine.model import Model
from llamachat.session.packing import PACKINGS, Packing
from llamachat.session.prompt_cache import UnusableCache, open_prompt_cache, write_prompt_cache

RANDOM = np.random.default_rng(5)
WIDTH = {"f32": np.float32, "f16": np.float16}


def memory_of(name, n=4096):
    return (RANDOM.standard_normal(n).astype(WIDTH[name]) * 3).view(np.uint8)


def there_and_back(packing, memory):
    found = np.zeros_like(memory)
    packed = packing.packed(memory)
    assert packed.nbytes == packing.size(memory.nbytes)
    packing.unpack(packed, found)
    return packed, found


@pytest.mark.parametrize(("name", "to"), [("f16", "f16"), ("f16", "f32"), ("f32", "f32")])
def test_a_type_that_holds_all_values_gives_them_back_to_the_bit(name, to):
    memory = memory_of(name)
    np.testing.assert_array_equal(there_and_back(Packing(to, [(memory.nbytes // 2, name)]), memory)[1], memory)


@pytest.mark.parametrize(("to", "error"), [("q8_0", 0.5 / 127 + 2**-10), ("bf16", 2**-8), ("f16", 2**-11)])
@pytest.mark.parametrize("name", ["f32", "f16"])
def test_other_types_are_as_near_as_they_can_be(name, to, error):
    memory = memory_of(name)
    _, found = there_and_back(Packing(to, [(memory.nbytes // 4, name)]), memory)
    old, new = (one.view(WIDTH[name]).astype(np.float32).reshape(-1, 32) for one in (memory, found))
    largest = np.abs(old).max(axis=1, keepdims=True) if to == "q8_0" else np.abs(old)
    assert (np.abs(new - old) <= largest * error * 1.01 + 1e-7).all()


def test_q8_0_is_half_as_large_as_f16_and_a_sixteenth_more():
    memory = memory_of("f16")
    packed, _ = there_and_back(Packing("q8_0", [(memory.nbytes, "f16")]), memory)
    assert packed.nbytes == memory.nbytes * 34 // 64


def test_parts_in_blocks_stay_and_gaps_are_left_out():
    parts = [(64, "f16"), (34, "q8_0"), (30, "")]
    memory = RANDOM.integers(0, 100, 3 * 128, dtype=np.uint8)
    memory.reshape(3, 128)[:, 98:] = 0
    packed, found = there_and_back(Packing("q8_0", parts), memory)
    assert packed.nbytes == 3 * 68
    np.testing.assert_array_equal(found.reshape(3, 128)[:, 64:98], memory.reshape(3, 128)[:, 64:98])


def test_what_a_type_cannot_hold_becomes_its_largest_number():
    memory = np.full(32, 1e30, np.float32).view(np.uint8)
    for to in ("f16", "q8_0"):
        found = there_and_back(Packing(to, [(128, "f32")]), memory)[1].view(np.float32)
        assert np.isfinite(found).all()
        assert (found > 60000).all()


@pytest.mark.parametrize("to", PACKINGS)
@pytest.mark.parametrize("cache_type", ["f16", "f32", "bf16"])
def test_a_context_that_was_kept_in_another_type_goes_on_nearly_as_before(golden, tmp_path, cache_type, to):
    path, ids = tmp_path / "cache", [int(t) for t in RANDOM.integers(0, 80, 300)]
    with Model(golden / "archs" / "llama.gguf", 1, n_ctx=600, cache_type=cache_type) as model:
        context, other = model.context(600), model.context(600)
        settings = {"model": fingerprint(model.file), "cache_layout": context.layout}
        context.eval(ids)
        write_prompt_cache(path, ids, context.memory(300), settings, Packing(to, context.parts(300)))
        expected = context.eval([3])
        found = open_prompt_cache(path, settings, other.parts)
        other.restore(found.tokens, found.fill)
        logits = other.eval([3])
        if to in (cache_type, "f32"):
            np.testing.assert_array_equal(logits, expected)
        else:
            assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()
        with pytest.raises(UnusableCache, match="not known here"):
            open_prompt_cache(path, settings)
