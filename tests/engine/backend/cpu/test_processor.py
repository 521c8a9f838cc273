"""The processor as a backend: what is asked of it before anything is loaded, and what it shares."""

import gc
import threading
from pathlib import Path

import pytest

from llamachat.engine.backend.choose import choose
from llamachat.engine.backend.cpu.kernels.cache_formats import CACHE_FORMATS
from llamachat.engine.backend.interface import Settings
from llamachat.engine.model import Model
from llamachat.engine.state.cache_types import CACHE_TYPES
from llamachat.errors import UsageError


def test_it_knows_every_cache_type() -> None:
    assert {name: found.block for name, found in CACHE_FORMATS.items()} == CACHE_TYPES


def test_it_describes_itself_with_the_settings_it_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_ISA", "generic")
    found = {detail.name: detail for detail in choose().describe(Settings(threads=3))}
    assert (found["threads"].value, found["instruction_set"].value) == (3, "generic")
    assert not any(detail.problem for detail in found.values())


def test_a_setting_that_cannot_be_is_described_as_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_ISA", "mmx")
    found = {detail.name: detail for detail in choose().describe(Settings())}
    assert found["instruction_set"].problem
    assert "unknown instruction set 'mmx'" in found["instruction_set"].text
    with pytest.raises(UsageError, match="mmx"):
        choose().open(Settings())


def test_it_starts_nothing_before_something_is_loaded_or_measured() -> None:
    before = threading.active_count()
    device = choose().open(Settings(threads=3, stores=False))
    assert (device.n_threads, threading.active_count()) == (3, before)
    assert device.bandwidth_meter(1 << 20)() > 0
    assert threading.active_count() == before + 2
    device.close()
    assert threading.active_count() == before


def test_a_closed_device_measures_nothing() -> None:
    unused = choose().open(Settings(threads=2, stores=False))
    unused.close()
    with pytest.raises(UsageError, match="closed"):
        unused.bandwidth_meter(1 << 20)


def test_every_thread_more_takes_addresses() -> None:
    one, five = (choose().open(Settings(threads=n)).reserved_addresses for n in (1, 5))
    assert five - one == 4 * (80 * 10**6)


def test_contexts_of_one_shape_share_what_runs_them_and_it_goes_with_the_last(golden: Path) -> None:
    with Model(golden / "archs" / "llama.gguf", 1) as model:
        one, same, other = (model._loaded.forward(n, "f16", "f16") for n in (100, 256, 300))
        assert one is same
        assert one is not other
        del one, same
        gc.collect()
        assert len(model._loaded._forwards) == 1
