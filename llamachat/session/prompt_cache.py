"""Prompt caches on disk: tokens, and the KV cache that a model has computed for them.

A file is in the safetensors format (https://huggingface.co/docs/safetensors): eight bytes with the header's length, the
header in JSON, then the tensors `tokens` (I32 [n]) and `cache` (U8 [bytes], as `Context.memory` gives it, or in another
type, which the metadata then names, see `packing`). The header's metadata name the model and settings;
`checksum` covers everything but itself: SHA-256 of the header without it, of the tokens, and of each SLICE of the
cache. A cache that does not match is never used.
"""

import hashlib
import json
import mmap
import os
import stat
import struct
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llamachat.errors import LlamaChatError
from llamachat.session.files import replace_file
from llamachat.session.packing import PACKINGS, Packing, Parts
from llamachat.session.room import no_room

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = "llamachat prompt cache 1"
SLICE = 2 << 20
LARGEST_HEADER = 1 << 20
LARGEST_TOKENS = 1 << 28
HASHERS = 2


class UnusableCache(LlamaChatError):
    """A prompt cache that cannot be used, with the reason."""


@dataclass(frozen=True)
class KeptPrompt:
    """An open, checked header. tokens: what was read; settings: model and settings; `fill` writes the cache.

    `fill` gets how a cache lies in memory, which it needs for a file of another type than the cache's.
    """

    path: Path
    tokens: list[int]
    settings: dict[str, str]
    fill: "Callable[[np.ndarray], None]"


def write_prompt_cache(
    path: Path,
    tokens: Sequence[int],
    memory: np.ndarray,
    settings: Mapping[str, str],
    packing: Packing | None = None,
    follow: bool = True,
) -> None:
    """Saves a prompt: the file is replaced whole or not at all. Raises LlamaChatError where it cannot be.

    memory: uint8 [n_bytes], what `Context.memory` gives for the tokens. packing: the file's own type; None for the
    memory as it is. follow: a link is followed, not replaced.
    """
    path = _regular(path) if follow else path
    ids = np.asarray(tokens, np.int32)
    if packing is not None:
        memory, settings = packing.packed(memory), {**settings, "packing": packing.type}
    table = {
        "tokens": {"dtype": "I32", "shape": [len(ids)], "data_offsets": [0, ids.nbytes]},
        "cache": {"dtype": "U8", "shape": [memory.nbytes], "data_offsets": [ids.nbytes, ids.nbytes + memory.nbytes]},
    }
    metadata = {"format": FORMAT, **settings, "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    slices = _digests(memory, lambda _: None)
    metadata["checksum"] = _checksum(metadata, table, ids.tobytes(), slices)
    header = json.dumps({"__metadata__": metadata, **table}).encode()
    header += b" " * (-len(header) % 8)
    n_bytes = len(header) + ids.nbytes + memory.nbytes
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, (struct.pack("<Q", len(header)), header, ids.tobytes(), memory))
    except OSError as error:
        said = no_room(error, path, n_bytes) or error.strerror or str(error)
        raise LlamaChatError(f"{path}: the prompt cache cannot be written: {said}") from error


def open_prompt_cache(
    path: Path, settings: Mapping[str, str], parts: "Callable[[int], Parts]" = lambda _: ()
) -> KeptPrompt:
    """The prompt in a file, if it has these settings. parts: the layout of a cache of n tokens in memory.

    Raises FileNotFoundError, also for an empty file; UnusableCache, with the reason, for a file that is damaged or of
    another model or other settings. `fill` checks the cache itself and raises it, too.
    """
    try:
        with _regular(path).open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        if _is_empty(path):  # as mktemp makes one: nothing is kept yet
            raise FileNotFoundError(path) from error
        raise UnusableCache(f"{path} cannot be read as a prompt cache: {error}") from error
    header, start = _header(mapping, path)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise UnusableCache(f"{path} is not a prompt cache of this program")
    for name, value in settings.items():
        if metadata.get(name, "") != value:  # what was not there yet when a file was written is ""
            raise UnusableCache(f"{path} is of another {name.replace('_', ' ')}")
    ids, cache = (_tensor(header, name, mapping, start, path) for name in ("tokens", "cache"))
    if len(ids) % 4 or len(ids) > LARGEST_TOKENS or len(ids) + len(cache) + start != len(mapping):
        raise UnusableCache(f"{path} is damaged: its parts do not fill it")
    tokens = np.frombuffer(ids, np.int32)
    packing = _packing(metadata, parts(len(tokens)), path)

    def fill(memory: np.ndarray) -> None:
        n_bytes = memory.nbytes if packing is None else packing.size(memory.nbytes)
        if n_bytes != len(cache):
            raise UnusableCache(f"{path} is damaged: {len(cache)} bytes of cache for {len(tokens)} tokens")
        source = np.frombuffer(cache, np.uint8)
        read = memory if packing is None else np.empty(n_bytes, np.uint8)
        digests = _digests(read, lambda part: np.copyto(read[part], source[part]))
        expected = metadata.get("checksum")
        rest = {key: value for key, value in metadata.items() if key != "checksum"}
        if expected != _checksum(rest, header, bytes(ids), digests):
            raise UnusableCache(f"{path} is damaged: its checksum does not match")
        if packing is not None:
            packing.unpack(read, memory)

    return KeptPrompt(path, tokens.tolist(), metadata, fill)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def _packing(metadata: Mapping[str, Any], parts: Parts, path: Path) -> Packing | None:
    """How the file's cache is packed, if it is."""
    found = metadata.get("packing")
    if found is None:
        return None
    if found not in PACKINGS or not parts:
        raise UnusableCache(f"{path} has a cache of a type that is not known here")
    return Packing(found, parts)


def _regular(path: Path) -> Path:
    """A file's path, links followed. Raises UnusableCache for something else than a file."""
    path = Path(os.path.realpath(path))
    try:
        kind = path.stat().st_mode
    except OSError:
        return path
    if not stat.S_ISREG(kind):
        raise UnusableCache(f"{path} is not a file: a prompt cache is one, or a name where none is yet")
    return path


def _digests(memory: np.ndarray, prepare: "Callable[[slice], None]") -> list[bytes]:
    """SHA-256 of each slice, after `prepare` has been called for it; by a few threads."""

    def digest(start: int) -> bytes:
        part = slice(start, min(start + SLICE, memory.nbytes))
        prepare(part)
        return hashlib.sha256(memory[part].data).digest()

    with ThreadPoolExecutor(HASHERS) as pool:
        return list(pool.map(digest, range(0, memory.nbytes, SLICE)))


def _checksum(metadata: Mapping[str, Any], table: Mapping[str, Any], ids: bytes, slices: Sequence[bytes]) -> str:
    digest = hashlib.sha256(json.dumps([metadata, table], sort_keys=True).encode())
    digest.update(hashlib.sha256(ids).digest())
    for one in slices:
        digest.update(one)
    return digest.hexdigest()


def _header(mapping: mmap.mmap, path: Path) -> tuple[dict[str, Any], int]:
    """The header's JSON object, and where the data begins."""
    n_bytes = struct.unpack("<Q", mapping[:8])[0] if len(mapping) >= 8 else LARGEST_HEADER
    if n_bytes >= min(LARGEST_HEADER, len(mapping) - 8):
        raise UnusableCache(f"{path} is not a safetensors file, or is cut short")
    try:
        header = json.loads(mapping[8 : 8 + n_bytes])
    except (ValueError, RecursionError) as error:
        raise UnusableCache(f"{path} is damaged: its header is not JSON") from error
    if not isinstance(header, dict):
        raise UnusableCache(f"{path} is damaged: its header is not a JSON object")
    return header, 8 + n_bytes


def _tensor(header: Mapping[str, Any], name: str, mapping: mmap.mmap, start: int, path: Path) -> memoryview:
    entry = header.get(name)
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    whole = isinstance(offsets, list) and len(offsets) == 2 and all(type(one) is int for one in offsets)
    if not whole or not 0 <= offsets[0] <= offsets[1] <= len(mapping) - start:  # type: ignore[index]
        raise UnusableCache(f"{path} is damaged: {name} is not inside the file")
    return memoryview(mapping)[start + offsets[0] : start + offsets[1]]  # type: ignore[index]
