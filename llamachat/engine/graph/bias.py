"""What is added to attention's scores because of the distance of key and query."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Role, Tensor, Use


@dataclass(frozen=True)
class PositionBias:
    """A number for each head and each distance key - query, the same in every layer that shares it.

    buckets [n_buckets, n_head]: learned, distances in buckets that grow (Raffel et al. 2020, arXiv 1910.10683). None:
    -slope * |distance|, slopes as of ALiBi (Press et al. 2021, arXiv 2108.12409) from `largest`, 0: none. both_ways:
    whether half of the buckets are for keys that come after the query. window: keys that are further away are not seen,
    on either side; 0: all are.
    """

    n_head: int
    buckets: Tensor | None = None
    both_ways: bool = False
    max_distance: int = 128
    largest: float = 0.0
    window: int = 0

    @property
    def weights(self) -> tuple[Use, ...]:
        """The buckets."""
        return (Use(self.buckets, Role.BIASES),) if self.buckets is not None else ()
