"""Which adapters a model runs with, as a person asks for them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llamachat.errors import ModelFileError, UsageError


@contextmanager
def about(path: Path) -> Iterator[None]:
    """What is wrong in a file is said with its name."""
    try:
        yield
    except ModelFileError as error:
        raise type(error)(str(error), path) from None


Given = str | os.PathLike[str] | tuple[str | os.PathLike[str], float]
"""A file, or a file and its scale."""


@dataclass(frozen=True)
class Scaled:
    """A file and what its effect is multiplied by; 0 is without it."""

    path: Path
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Raises UsageError for a scale that is no finite number."""
        if not math.isfinite(self.scale):
            said = f"{self.path.name}: the scale of an adapter must be a finite number, not {self.scale}"
            raise UsageError(said, settings=("lora",))

    @classmethod
    def of(cls, given: Given) -> Scaled:
        """Of a path, or a path and a scale."""
        path, scale = given if isinstance(given, tuple) else (given, 1.0)
        return cls(Path(path), float(scale))


@dataclass(frozen=True)
class Adapters:
    """LoRA adapters, control vectors, and the layers to which the vectors go: first and last, counted from 0.

    layers None: all but the first, which has no direction.
    """

    lora: tuple[Scaled, ...] = ()
    vectors: tuple[Scaled, ...] = ()
    layers: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for a range of layers that is none."""
        if self.layers is not None and not 0 <= self.layers[0] <= self.layers[1]:
            first, last = self.layers
            said = f"layers {first} to {last} are no range: both count from 0, and the last is not before the first"
            raise UsageError(said, settings=("control_layers",))

    @classmethod
    def of(
        cls,
        lora: Iterable[Given] = (),
        control_vectors: Iterable[Given] = (),
        control_layers: tuple[int, int] | None = None,
    ) -> Adapters:
        """Of paths, or of paths with scales. Raises UsageError."""
        return cls(tuple(map(Scaled.of, lora)), tuple(map(Scaled.of, control_vectors)), control_layers)

    def __str__(self) -> str:
        """Files and scales, for a person; "" where there are none."""
        return ", ".join(f"{one.path} ({one.scale:g})" for one in (*self.lora, *self.vectors))

    @property
    def kept(self) -> str:
        """The same with the whole paths, to be kept with what the model wrote; "" where nothing changes the model."""
        some = (one for one in (*self.lora, *self.vectors) if one.scale)
        return ", ".join(f"{one.path.absolute()} ({one.scale:g})" for one in some)

    @property
    def active(self) -> bool:
        """Whether anything changes the model."""
        return any(one.scale for one in (*self.lora, *self.vectors))


NONE: Final = Adapters()
