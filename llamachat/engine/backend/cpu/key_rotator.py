"""The K-shift: cached keys are read, rotated to their new positions and stored in other cells.

A key in the cache has been rotated by its position already. Rotating it again by the difference of two positions moves
it, because rotations add up (Su et al. 2021, arXiv 2104.09864); keys of a layer without rope are only moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.cache import CacheLayout, key_values
from llamachat.engine.backend.cpu.engine import BATCH, Engine
from llamachat.engine.backend.cpu.jit.kernel import ROW, ROW_BYTES
from llamachat.engine.backend.cpu.kernels.cache import LoadKeys, StoreKeys
from llamachat.engine.backend.cpu.kernels.rope import Rope
from llamachat.engine.backend.cpu.program import Arguments, Launch, Region, build
from llamachat.engine.backend.cpu.rope_tables import write_angles
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.graph import RopeSpec
from llamachat.engine.state.spec import KeyValueSpec


class KeyRotator:
    """Moves and rotates the keys of all layers, for the caches of one layout."""

    def __init__(self, engine: Engine, layout: CacheLayout) -> None:
        self._engine, self._layout = engine, layout
        states = key_values(layout.states)
        self._rows = Buffer(ROW_BYTES * BATCH)
        # A table of differences: one row for each token of a step. YaRN's magnitude is in the keys already.
        self._tables = {spec: Buffer(4 * spec.n_rot * BATCH) for spec in map(_rotation, states) if spec is not None}
        self._program = build([launch for state in states for launch in self._launches(state)], engine.compiler)

    def rotate(self, cache: int, sources: np.ndarray, targets: np.ndarray, differences: np.ndarray) -> None:
        """Keys of the cells `sources` go to the cells `targets`, rotated by `differences` positions; all int64 [n].

        cache: the address of the first cell. Both rise, and targets[i] <= sources[i]: no key is overwritten before it
        is read.
        """
        for start in range(0, len(sources), BATCH):
            some = slice(start, start + BATCH)
            self._rotate(cache, sources[some], targets[some], differences[some])

    def _rotate(self, cache: int, sources: np.ndarray, targets: np.ndarray, differences: np.ndarray) -> None:
        n = len(sources)
        rows = self._rows.view(np.int64, (BATCH, len(ROW)))
        for i, values in enumerate((cache, targets, np.arange(n), sources)):
            rows[:n, i] = values
        for spec, table in self._tables.items():
            angles = table.view(np.float32, (BATCH, 2, spec.n_rot // 2))[:n]
            write_angles(angles, replace(spec, magnitude=1.0), self._engine.weights.values, differences)
        step = Step()
        step.set(n_tokens=n, rows=self._rows.address)
        self._engine.pool.run(self._program.address, self._program.n_launches, step)

    def _launches(self, state: KeyValueSpec) -> Sequence[Launch]:
        shape, place = self._layout.shape, self._layout.layers[state.layer]
        stride = 4 * state.n_head * state.key_dim
        x, cache = Region(stride * BATCH), Region(0, no_address=True)
        cached: Arguments = {"x": x, "at": place.keys, "stride": stride, "n_head_kv": state.n_head}
        cached |= {"chunk_bytes": self._layout.chunk_bytes, "cache": cache}
        launches = [Launch(LoadKeys(state.key_dim, shape.type_k), cached)]
        spec = _rotation(state)
        if spec is not None:
            rotated: Arguments = {"x": x, "table": self._tables[spec].address, "heads": state.n_head}
            kernel = Rope(state.key_dim, spec.n_rot, spec.order)
            launches.append(Launch(kernel, {**rotated, "stride": stride}))
        return [*launches, Launch(StoreKeys(state.key_dim, shape.type_k), cached)]


def _rotation(state: KeyValueSpec) -> RopeSpec | None:
    assert state.rotation is None or isinstance(state.rotation, RopeSpec)
    return state.rotation
