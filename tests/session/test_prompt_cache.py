"""Prompt caches on disk: what comes back is what was kept, and what is damaged is never used."""

import json
import os
import random
import stat
import struct

import numpy as np
import pytest
from context_operations import MOVABLE

from llamachat.engine.gguf.fingerprint import fingerprint
from llamachat.engine.model import Model
from llamachat.errors import LlamaChatError, ModelFileError, UsageError
from llamachat.session.files import _scratch
from llamachat.session.packing import Packing
from llamachat.session.prompt_cache import UnusableCache, open_prompt_cache, write_prompt_cache

SETTINGS = {"model": "abc", "cache_layout": "1 f16"}
TOKENS = [5, 7, 9]
MEMORY = np.random.default_rng(0).integers(0, 255, 5_000_000, dtype=np.uint8)
N_MUTATIONS = int(os.environ.get("LLAMACHAT_FUZZ", "5000"))


@pytest.fixture
def tiny_llama(golden):
    return golden / "archs" / "llama.gguf"


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "cache.safetensors"
    write_prompt_cache(path, TOKENS, MEMORY, SETTINGS)
    return path


def filled(path, settings=SETTINGS, n_bytes=5_000_000, parts=lambda _: ()):
    found = open_prompt_cache(path, settings, parts)
    memory = np.zeros(n_bytes, np.uint8)
    found.fill(memory)
    return found.tokens, memory


def test_what_was_kept_comes_back(kept):
    tokens, memory = filled(kept)
    assert tokens == TOKENS
    np.testing.assert_array_equal(memory, MEMORY)


def test_the_file_is_a_safetensors_file_for_its_owner_only(kept):
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    raw = kept.read_bytes()
    header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    assert header["__metadata__"]["model"] == "abc"
    assert header["tokens"]["dtype"] == "I32"
    assert header["cache"]["data_offsets"][1] == len(raw) - 8 - struct.unpack("<Q", raw[:8])[0]


@pytest.mark.parametrize(("name", "said"), [("model", "another model"), ("cache_layout", "another cache layout")])
def test_a_cache_of_something_else_is_refused_by_name(kept, name, said):
    with pytest.raises(UnusableCache, match=said):
        filled(kept, {**SETTINGS, name: "other"})


def test_an_old_file_stays_until_the_new_one_is_whole(kept, monkeypatch):
    before = kept.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(LlamaChatError, match="no space left"):
        write_prompt_cache(kept, [1], MEMORY[:10], SETTINGS)
    assert kept.read_bytes() == before
    assert [*kept.parent.iterdir()] == [kept]


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LlamaChatError, match="cannot be written"):
        write_prompt_cache(tmp_path / "file" / "cache", [1], MEMORY[:10], SETTINGS)


@pytest.mark.parametrize("content", [b"x", b"GGUF" * 9, struct.pack("<Q", 4) + b"null", b"\xff" * 100])
def test_what_is_no_prompt_cache_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UnusableCache):
        filled(tmp_path / "x")


def test_a_file_that_is_not_there_is_told_apart(tmp_path):
    (tmp_path / "empty").touch()
    for name in ("absent", "empty"):
        with pytest.raises(FileNotFoundError):
            open_prompt_cache(tmp_path / name, SETTINGS)


@pytest.mark.parametrize("packing", [None, Packing("f16", [(300, "f32")])], ids=["own type", "another type"])
def test_mutated_files_never_give_anything_else(tmp_path, packing):
    path, chance = tmp_path / "cache", random.Random(1)
    memory = np.arange(750, dtype=np.float32).view(np.uint8)
    write_prompt_cache(path, TOKENS, memory, SETTINGS, packing)
    good = path.read_bytes()
    n_refused = 0
    for _ in range(N_MUTATIONS):
        raw = bytearray(good)
        match chance.randrange(4):
            case 0:
                raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
            case 1:
                del raw[chance.randrange(len(raw)) :]
            case 2:
                at, to = chance.randrange(len(raw)), chance.randrange(len(raw))
                raw[at : at + 16] = raw[to : to + 16]
            case 3:
                raw += bytes(chance.randrange(1, 40))
        path.write_bytes(raw)
        try:
            tokens, found = filled(path, n_bytes=len(memory), parts=lambda _: packing.parts if packing else ())
        except (UnusableCache, FileNotFoundError):  # an empty file is as none
            n_refused += 1
            continue
        assert tokens == TOKENS
        np.testing.assert_array_equal(found, memory)
    assert n_refused > N_MUTATIONS // 2


def test_what_is_no_file_is_neither_read_nor_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UnusableCache, match="not a file"):
            filled(path)
        with pytest.raises(UnusableCache, match="not a file"):
            write_prompt_cache(path, TOKENS, MEMORY, SETTINGS)


def test_a_link_stays_one(tmp_path, kept):
    (tmp_path / "link").symlink_to(kept)
    write_prompt_cache(tmp_path / "link", [1], MEMORY, SETTINGS)
    assert (tmp_path / "link").is_symlink()
    assert filled(kept)[0] == [1]


def test_what_a_killed_program_has_left_is_swept_away_and_what_is_being_written_stays(tmp_path, kept):
    left, other = tmp_path / f".{kept.name}.abcdefgh.part", tmp_path / ".other.abcdefgh.part"
    for path in (left, other):
        path.touch()
    handle, being_written = _scratch(kept)
    write_prompt_cache(kept, TOKENS, MEMORY, SETTINGS)
    assert {one.name for one in tmp_path.iterdir()} == {kept.name, other.name, os.path.basename(being_written)}
    os.close(handle)


@pytest.mark.parametrize("cache_type", ["f16", "f32", "bf16"])
def test_a_resumed_context_gives_the_same_bits(tiny_llama, tmp_path, cache_type):
    path = tmp_path / "cache"
    ids = [int(t) for t in np.random.default_rng(3).integers(0, 80, 300)]
    with Model(tiny_llama, 1, n_ctx=600, cache_type=cache_type) as model:
        settings = {"model": fingerprint(model.file), "cache_layout": model.context(600).layout}
        context = model.context(600)
        context.eval(ids)
        write_prompt_cache(path, ids, context.memory(len(ids)), settings)
        expected = context.eval([3])
        found = open_prompt_cache(path, settings)
        other = model.context(600)
        other.restore(found.tokens, found.fill)
        np.testing.assert_array_equal(other.eval([3]), expected)
        damaged = bytearray(path.read_bytes())
        damaged[-1] ^= 1
        path.write_bytes(damaged)
        other.truncate(0)
        with pytest.raises(UnusableCache, match="checksum"):
            other.restore(found.tokens, open_prompt_cache(path, settings).fill)
        assert other.tokens == []


def test_what_is_not_as_if_evaluated_anew_is_known_as_such(tiny_llama):
    with Model(tiny_llama, 1, n_ctx=64) as model:
        context = model.context(64)
        context.eval(list(range(20)))
        context.remove(5, 10)
        memory = context.memory(15).copy()
        with pytest.raises(UsageError, match="15 are evaluated"):
            context.memory(16)
        other = model.context(64)
        other.restore(context.tokens, lambda target: np.copyto(target, memory), context.n_reusable)
        assert (other.tokens, other.n_reusable) == (context.tokens, 5)
        np.testing.assert_array_equal(other.eval([3]), context.eval([3]))
        grouped = model.context(64, self_extend=(2, 8))
        with pytest.raises(UsageError, match="Self-Extend"):
            grouped.memory(0)


def test_a_fingerprint_tells_files_apart(tiny_llama, tmp_path):
    with Model(tiny_llama, 1, n_ctx=64) as model:
        first = fingerprint(model.file)
    raw = tiny_llama.read_bytes()
    for place in (-1, -len(raw) // 3, -1001):  # any byte of the weights
        other = bytearray(raw)
        other[place] ^= 1
        (tmp_path / "other.gguf").write_bytes(other)
        with Model(tmp_path / "other.gguf", 1, n_ctx=64) as model:
            assert fingerprint(model.file) != first
    with Model(tiny_llama, 1, n_ctx=64) as model:
        assert fingerprint(model.file) == first


def test_every_architecture_goes_on_to_the_bit(golden, tmp_path):
    """All golden models whose architecture the engine knows, the kept prefix being all, most and some of the text."""
    path, n_models = tmp_path / "cache", 0
    for file in (golden / "archs" / f"{name}.gguf" for name in MOVABLE):  # the others: context_operations.py
        try:
            model = Model(file, 1, n_ctx=600)
        except (ModelFileError, UsageError):  # an encoder, or fewer positions than the text has
            continue
        n_models += 1
        with model:
            ids = [int(t) for t in np.random.default_rng(3).integers(0, 80, 300)]
            fresh, context = model.context(600), model.context(600)
            expected = fresh.eval([*ids, 3])
            context.eval(ids)
            settings = {"model": fingerprint(model.file), "cache_layout": context.layout}
            write_prompt_cache(path, ids, context.memory(300), settings)
            for n_kept in (300, 257, 17):
                other = model.context(600)
                found = open_prompt_cache(path, settings)
                other.restore(found.tokens, found.fill, n_lost=context.n_lost)
                other.truncate(n_kept)
                np.testing.assert_array_equal(other.eval([*ids[n_kept:], 3]), expected, err_msg=file.stem)
    assert n_models >= 9
