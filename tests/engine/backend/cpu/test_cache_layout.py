"""The places of all states in a sequence's memory: disjoint, within it, and used as one stretch."""

import numpy as np
import pytest

from llamachat.engine.backend.cpu.backend import Processor
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.cache import CacheLayout, CacheShape, LayerCache
from llamachat.engine.backend.cpu.kernels.cache_formats import CHUNK
from llamachat.engine.backend.cpu.program import ALIGN
from llamachat.engine.state.cache_types import check_cache_types
from llamachat.engine.state.spec import EncoderSpec, KeyValueSpec, RecurrentSpec, StateSpec
from llamachat.errors import Unsupported, UsageError

FULL, LATENT = KeyValueSpec(0, 2, 64, 64), KeyValueSpec(1, 1, 576, 512)
WINDOWED, NARROW = KeyValueSpec(2, 2, 32, 96, window=40), KeyValueSpec(3, 3, 16, 16, window=100)
SCAN, CONVOLUTION = RecurrentSpec(4, "scan", 4, 33), RecurrentSpec(4, "convolution", 3, 7)
ENCODER, SHORT = EncoderSpec(0, 2, 32, 64, n_rows=300), EncoderSpec(1, 1, 48, 48, n_rows=5)
MODELS: dict[str, list[StateSpec]] = {
    "all tokens": [FULL, LATENT],
    "windows": [FULL, WINDOWED, NARROW],
    "windows alone": [WINDOWED],
    "recurrent": [SCAN, CONVOLUTION],
    "an encoder": [FULL, ENCODER, SHORT],
    "everything": [FULL, LATENT, WINDOWED, NARROW, SCAN, CONVOLUTION, ENCODER, SHORT],
}


def mark(owner: np.ndarray, first: int, n_bytes: int, name: int) -> None:
    """Takes bytes that nobody has."""
    assert first >= 0
    assert first + n_bytes <= len(owner)
    assert (owner[first : first + n_bytes] == 0).all()
    owner[first : first + n_bytes] = name


def mark_cells(owner: np.ndarray, origin: int, place: LayerCache, name: int) -> None:
    """All chunks of a layer's keys and values."""
    for chunk in range(place.n_chunks):
        for at, row in ((place.keys, place.row_k), (place.values, place.row_v)):
            mark(owner, origin + at + chunk * place.chunk_bytes, row * place.n_head_kv * CHUNK, name)


@pytest.mark.parametrize("n_ctx", [256, 3000])
@pytest.mark.parametrize("types", [("f16", "f32"), ("q8_0", "f16")])
@pytest.mark.parametrize("name", MODELS)
def test_no_two_states_share_a_byte(name: str, types: tuple[str, str], n_ctx: int) -> None:
    states = [one for one in MODELS[name] if types[0] != "q8_0" or getattr(one, "key_dim", 32) % 32 == 0]
    layout = CacheLayout(states, CacheShape.of(n_ctx, *types))  # type: ignore[arg-type]
    owner = np.zeros(layout.n_bytes, np.uint8)
    origin = layout._first_cell
    for number, place in enumerate([*layout.layers.values(), *layout.encoder.values()], 1):
        mark_cells(owner, origin, place, number)
    for (layer, part), at in layout.recurrent.items():
        size = next(4 * one.n_values for one in states if isinstance(one, RecurrentSpec) and one.name == part)
        mark(owner, origin + at, size, 100 + layer)
    assert len(layout.encoder) == sum(isinstance(one, EncoderSpec) for one in states)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_used_is_one_stretch_around_the_first_cell(name: str) -> None:
    small, large = (CacheLayout(MODELS[name], CacheShape.of(n, "f16", "f16")) for n in (512, 3000))
    assert small.description == large.description
    for n_cells in (0, 1, 256, 257, 512):
        assert small.used_bytes(n_cells) == large.used_bytes(n_cells)
        memory, other = Buffer(small.n_bytes), Buffer(large.n_bytes)
        first, second = small.used(memory, n_cells), large.used(other, n_cells)
        assert first.nbytes == second.nbytes == small.used_bytes(n_cells)
        if first.nbytes:
            start, other_start = (int(x.ctypes.data) for x in (first, second))
            assert start - small.cells(memory) == other_start - large.cells(other)
        parts = sum(size for size, _ in large.parts(n_cells))
        assert large.used_bytes(n_cells) in (parts, parts * -(-n_cells // CHUNK))


def test_what_an_encoder_takes_is_planned() -> None:
    sizes = Processor().state_sizes([FULL, ENCODER, SHORT], "f16", "f16")
    assert sizes.encoder == 2 * CHUNK * (2 * 2 * (32 + 64)) + CHUNK * 2 * (48 + 48) + ALIGN
    assert sizes.cache(1000) == 1000 * 2 * 2 * (64 + 64), "its tokens take nothing of it"


def test_blocks_must_fit_an_encoder_s_heads_too() -> None:
    check_cache_types([FULL, ENCODER], "q8_0", "q8_0")
    with pytest.raises(UsageError, match="heads of 48 do not fill"):
        check_cache_types([FULL, SHORT], "q8_0", "f16")


def test_a_kind_of_state_that_has_no_place_is_refused_by_name() -> None:
    class Pages(StateSpec):
        """Kept by nobody."""

    with pytest.raises(Unsupported, match="does not know the state Pages"):
        Processor().state_sizes([FULL, Pages(1)], "f16", "f16")
