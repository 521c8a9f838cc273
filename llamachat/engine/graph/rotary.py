"""What a token's position makes of queries and keys: a rotation (Su et al. 2021, arXiv 2104.09864), a temperature."""

from dataclasses import dataclass, replace
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
    yarn_original is the original context length, 0 means no YaRN, and yarn_share multiplies its ramp. long_factors take
    the place of factors in contexts for more than long_above tokens (LongRoPE, Ding et al. 2024, arXiv 2402.13753).
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
    yarn_share: float = 1.0
    long_factors: Tensor | None = None
    long_above: int = 0

    def in_context(self, n_ctx: int) -> "RopeSpec":
        """The one with the factors of a context for n_ctx tokens, and no others."""
        factors = self.long_factors if self.long_factors is not None and n_ctx > self.long_above else self.factors
        return replace(self, factors=factors, long_factors=None, long_above=0)


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
        both = self.spec.factors, self.spec.long_factors
        return tuple(Use(factors, Role.ANGLES) for factors in both if factors is not None)

    @property
    def rotates(self) -> bool:
        """That is what it does."""
        return True


@dataclass(frozen=True)
class TemperatureSpec:
    """Factors of queries that grow with the position: 1 + scale ln(1 + floor((position + offset) / length)).

    Nakanishi 2025 (arXiv 2501.19399), as Llama 4 and Mistral 3 have it: beyond `length` tokens attention stays sharp.
    """

    scale: float
    length: int
    offset: int = 0


@dataclass(frozen=True, eq=False)
class Temperature(Node):
    """x times the factor of its token's position."""

    x: Node
    spec: TemperatureSpec

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if self.spec.length < 1:
            raise ShapeError(f"temperature grows every {self.spec.length} tokens: at least 1 is needed")
        floats("temperature", self.x)
