"""Snapshots: KV caches of chats within a budget; the least recently used is deleted first."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from llamachat.errors import LlamaChatError
from llamachat.session.files import sweep
from llamachat.session.prompt_cache import KeptPrompt, UnusableCache, open_prompt_cache, write_prompt_cache

SUFFIX = ".safetensors"


class Snapshots:
    """A folder of prompt caches, one for each chat, of at most `budget` bytes together."""

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder, self._budget = folder, budget

    def keep(self, chat: int, tokens: Sequence[int], memory: np.ndarray, settings: Mapping[str, str]) -> bool:
        """Writes a chat's snapshot (memory: uint8 [n_bytes]) and makes room for it; False where it alone is too large.

        Raises LlamaChatError where it cannot be written; the previous one stays then.
        """
        if memory.nbytes > self._budget:
            self.drop(chat)
            return False
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LlamaChatError(f"{self._folder}: the snapshot cannot be saved: {error.strerror}") from error
        sweep(self._folder)
        self._make_room(memory.nbytes, chat)
        write_prompt_cache(self._path(chat), tokens, memory, settings, follow=False)
        return True

    def open(self, chat: int, settings: Mapping[str, str]) -> KeptPrompt | None:
        """A chat's snapshot if there is an intact one with these settings; it counts as used now."""
        path = self._path(chat)
        if path.is_symlink():  # not ours: what it leads to is neither read nor written
            return None
        try:
            kept = open_prompt_cache(path, settings)
        except (FileNotFoundError, UnusableCache):
            return None
        with suppress(OSError):
            os.utime(path)
        return kept

    def drop(self, chat: int) -> None:
        """Deletes a chat's snapshot, if that can be done."""
        _unlink(self._path(chat))

    def tidy(self, chats: Sequence[int]) -> None:
        """Deletes the snapshots of other chats, and unfinished files of killed programs."""
        known = {self._path(chat).name for chat in chats}
        sweep(self._folder)
        for path in self._folder.glob(f"[0-9]*{SUFFIX}"):
            if path.name not in known:
                _unlink(path)

    def _make_room(self, n_bytes: int, chat: int) -> None:
        kept = [found for path in self._folder.glob(f"[0-9]*{SUFFIX}") if (found := _use(path)) is not None]
        others = sorted(found for found in kept if found[2] != self._path(chat))
        total = n_bytes + sum(size for _, size, _ in others)
        for _, size, path in others:
            if total <= self._budget:
                return
            _unlink(path)
            total -= size

    def _path(self, chat: int) -> Path:
        return self._folder / f"{chat}{SUFFIX}"


def _use(path: Path) -> tuple[int, int, Path] | None:
    """When a file was used last, its size, and itself; None if it is gone."""
    try:
        stat = path.lstat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, path


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
