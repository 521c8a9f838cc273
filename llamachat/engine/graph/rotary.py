"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864)."""

from dataclasses import dataclass
from typing import Literal

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats
from llamachat.errors import ShapeError

RopeOrder = Literal["adjacent", "halves"]


@dataclass(frozen=True)
class RopeSpec:
    """Angles of a rotary embedding: position * base^(-2i/n_rot) / scale / factors[i], with YaRN's ramp if ext_factor.

    order: "adjacent" rotates pairs (2i, 2i+1), "halves" (i, i + n_rot/2); dimensions from n_rot on stay.
    magnitude multiplies cos and sin. yarn_*: Peng et al. 2023 (arXiv 2309.00071), as in llama.cpp's `rope_yarn`;
    yarn_original is the original context length, 0 means no YaRN.
    """

    n_rot: int
    base: float
    order: RopeOrder
    scale: float = 1.0
    factors: Tensor | None = None
    magnitude: float = 1.0
    yarn_original: int = 0
    yarn_beta_fast: float = 32.0
    yarn_beta_slow: float = 1.0


@dataclass(frozen=True, eq=False)
class Rope(Node):
    """x seen as heads of `head_dim`, each rotated by its token's position."""

    x: Node
    spec: RopeSpec
    head_dim: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        n_rot = self.spec.n_rot
        if n_rot > self.head_dim or n_rot % 2 or self.x.width % self.head_dim:
            raise ShapeError(f"rope of {n_rot} dimensions does not fit heads of {self.head_dim} in {self.x.width}")
        floats("rope", self.x)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The factors of its angles, if it has any."""
        return (Use(self.spec.factors, Role.ANGLES),) if self.spec.factors is not None else ()

    @property
    def rotates(self) -> bool:
        """That is what it does."""
        return True
