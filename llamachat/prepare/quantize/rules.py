"""Which type a mix gives a tensor: rules as data, the first that applies. The facts are those of llama.cpp.

Its `llama_tensor_get_type_impl` decides with counters that pass through the tensors in the order of their layers and
names; so does `choose`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from llamachat.engine.gguf import BY_NAME
from llamachat.prepare.quantize.mixes import MIXES, Mix
from llamachat.prepare.quantize.roles import VALUES, Role, layer_of, role_of


@dataclass(frozen=True)
class Facts:
    """What the choice depends on besides a tensor.

    n_gqa: query heads that share a key head, 0 where there are none. n_layers: blocks of the model. is_70b: of 80
    layers. is_tied: there is no `output.weight`. importance: whether a matrix is given.
    """

    architecture: str
    n_layers: int
    n_gqa: int = 1
    n_experts: int = 0
    is_70b: bool = False
    is_tied: bool = False
    n_values: int = 0
    importance: bool = False

    @property
    def is_falcon(self) -> bool:
        """Whether it is a Falcon, whose attention output and feed-forward share an input."""
        return self.architecture == "falcon"


@dataclass(frozen=True)
class Place:
    """A tensor: its role, columns, whether it is a stack of matrices, and where it stands among n of its role."""

    facts: Facts
    mix: str
    role: Role
    n_columns: int
    is_stack: bool
    i: int
    n: int


Test = Callable[[Place], bool]


def _always(_: Place) -> bool:
    return True


def _first(share: int) -> Test:
    return lambda place: place.i < place.n // share


def _below(number: int) -> Test:
    return lambda place: place.i < number


def _inner(place: Place) -> bool:
    return place.n // 8 <= place.i < 7 * place.n // 8


def _more(place: Place) -> bool:
    """The first and the last eighth, and every third between them."""
    i, n = place.i, place.n
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def _shared(place: Place) -> bool:
    return place.facts.n_gqa >= 4


def _eight(place: Place) -> bool:
    return place.facts.n_experts == 8


def _important(place: Place) -> bool:
    return place.facts.importance


def _falcon(place: Place) -> bool:
    return place.facts.is_falcon


def _all(*tests: Test) -> Test:
    return lambda place: all(test(place) for test in tests)


def _no(test: Test) -> Test:
    return lambda place: not test(place)


@dataclass(frozen=True)
class Rule:
    """The type of tensors of these roles in these mixes ("": in all), where the test holds; None: the mix's base."""

    roles: frozenset[Role]
    mixes: str
    type: str | None
    test: Test = field(default=_always)

    def holds(self, place: Place) -> bool:
        """Whether it applies."""
        return place.role in self.roles and (not self.mixes or place.mix in self.mixes.split()) and self.test(place)


def _rules(roles: Role | Iterable[Role], *rows: tuple[object, ...]) -> list[Rule]:
    of = frozenset({roles} if isinstance(roles, Role) else roles)
    return [Rule(of, *row) for row in rows]  # type: ignore[arg-type]


LOW: Final = "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M"
_IQ1, _IQ2 = "IQ1_S IQ1_M", "IQ2_S IQ2_M"
_ODD: Test = lambda place: _falcon(place) or place.n_columns % BY_NAME[_base(place.mix)].block != 0  # noqa: E731
_MANY: Test = lambda place: _shared(place) or place.facts.n_experts >= 4  # noqa: E731
_EIGHT_OUTPUT = "Q2_K IQ3_XS IQ3_XXS Q3_K_S Q3_K_M IQ4_NL Q4_K_S Q4_K_M IQ3_S IQ3_M IQ4_XS"

OUTPUT_RULES: Final = _rules(
    (Role.OUTPUT, Role.EMBEDDING),
    ("MXFP4", "Q8_0"),
    ("", "Q8_0", _ODD),
    (f"{LOW} IQ3_XXS", "Q5_K"),
    ("Q8_0", None),
    ("", "Q6_K"),
)
"""Of the last matrix, or of the embeddings where they are that, too."""

RULES: Final = [
    *_rules(tuple(Role), ("MXFP4", "MXFP4", lambda place: place.is_stack), ("MXFP4", "Q8_0")),
    *_rules(
        Role.EMBEDDING,
        ("IQ1_S IQ1_M IQ2_XXS IQ2_XS", "Q2_K"),
        (f"{_IQ2} IQ3_XXS", "IQ3_S"),
        ("TQ1_0 TQ2_0 Q2_0", "Q4_K"),
    ),
    *_rules(VALUES, (LOW, "Q4_K", _MANY), (_IQ2, "IQ3_S"), (LOW, "Q2_K")),
    *_rules(Role.K, (LOW, "Q4_K", _eight)),
    *_rules(Role.DOWN, (_IQ2, "IQ3_S", _first(8)), (LOW, "Q2_K", _first(8))),
    *_rules(Role.ATTN_OUTPUT, (LOW, "Q5_K", _eight), (_IQ1, "IQ2_XXS"), (_IQ2, "IQ3_S")),
    *_rules(tuple(Role), (LOW, None)),
    *_rules(
        VALUES,
        ("", "Q8_0", _eight),
        ("Q2_K Q2_K_S IQ3_XXS IQ3_XS IQ3_S", "Q4_K", _shared),
        ("Q2_K", "Q3_K"),
        ("IQ3_XXS", "IQ3_S", _no(_important)),
        ("IQ3_M", "Q4_K"),
        ("Q3_K_M", "Q5_K", _below(2)),
        ("Q3_K_M", "Q4_K"),
        ("Q3_K_L", "Q5_K"),
        ("IQ4_NL IQ4_XS", "Q5_K", _shared),
        ("Q4_K_M Q5_K_M", "Q6_K", _more),
        ("Q4_K_S", "Q5_K", _below(4)),
    ),
    *_rules(Role.K, ("", "Q8_0", _eight)),
    *_rules((Role.K, Role.Q), ("IQ3_XS", "IQ3_XXS"), ("IQ3_XXS", "IQ2_S")),
    *_rules(
        Role.DOWN,
        ("Q2_K", "Q3_K"),
        ("Q2_K_S", "Q4_K", _first(8)),
        ("IQ3_XXS", "Q4_K", _all(_no(_important), _first(8))),
        ("IQ3_XXS", "Q3_K", _no(_important)),
        ("Q3_K_M", "Q5_K", _first(16)),
        ("Q3_K_M", None, _all(_falcon, _no(_more))),
        ("Q3_K_M", "Q4_K"),
        ("IQ3_M", "Q4_K", _first(8)),
        ("IQ3_M", "Q4_K", _all(_eight, _more)),
        ("Q3_K_L", "Q4_K", _falcon),
        ("Q3_K_L", "Q5_K"),
        ("Q4_K_M", "Q6_K", _all(_falcon, _first(16))),
        ("Q4_K_M", "Q5_K", _all(_falcon, _more)),
        ("Q4_K_M Q5_K_M", "Q6_K", _all(_more, lambda place: not _falcon(place) or place.mix == "Q5_K_M")),
        ("IQ4_NL IQ4_XS", "Q5_K", _all(_no(_important), _first(8))),
        ("Q4_K_S", "Q5_K", _all(_no(_falcon), _first(8))),
        ("Q4_0", "Q4_1", _all(_important, _first(8))),
        ("Q5_0", "Q5_1", _all(_important, _first(8))),
    ),
    *_rules(
        Role.ATTN_OUTPUT,
        ("Q3_K_L", "Q4_K", _falcon),
        ("", None, _falcon),
        (_EIGHT_OUTPUT, "Q5_K", _eight),
        ("", None, _eight),
        ("Q2_K", "Q3_K"),
        ("IQ3_XXS", "IQ3_S"),
        ("Q3_K_M IQ3_M", "Q4_K"),
        ("Q3_K_L", "Q5_K"),
    ),
    *_rules((Role.GATE, Role.UP), ("IQ3_XS", "IQ3_XXS", _inner)),
]

RAISED: Final = {"Q3_K": "Q5_K", "Q4_K": "Q5_K"}
"""What values get where eight query heads share them (a Llama of 80 layers): they are small there."""

FALLBACKS: Final = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_0", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
    "NVFP4": "MXFP4",
    "Q1_0": "Q4_0",
}
"""What a matrix gets whose rows are not whole blocks; where that does not fit either, F16. llama.cpp has none for the
last two, and refuses them."""

FLOAT_TYPES: Final = frozenset({"F32", "F16", "BF16"})

NEEDS_IMPORTANCE: Final = frozenset({"IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_M", "IQ1_S"})


def _base(mix: str) -> str:
    return MIXES[mix].base


def choose(mix: Mix, facts: Facts, tensors: Iterable[tuple[str, Sequence[int]]]) -> dict[str, str]:
    """The type of each tensor of name and shape, rows first, which come in llama.cpp's order (`in_order`).

    What does not fit a tensor's rows is left to `fitting`.
    """
    if mix.base in FLOAT_TYPES:
        return {name: mix.base for name, _ in tensors}
    seen = Counter[str]()
    found = dict[str, str]()
    for name, shape in tensors:
        role = role_of(name)
        kind = "attn_v" if role in VALUES else str(role)
        is_head = role is Role.OUTPUT or (role is Role.EMBEDDING and facts.is_tied)
        i = layer_of(name) if facts.n_experts > 1 and mix.name not in LOW.split() else -1
        i = seen[kind] if i < 0 or role in VALUES else i
        is_stack = len(shape) > 2 and shape[-3] > 1
        n = facts.n_values if role in VALUES else facts.n_layers
        place = Place(facts, mix.name, role, shape[-1], is_stack, i, n)
        seen[kind] += not is_head
        rule = next((rule for rule in (OUTPUT_RULES if is_head else RULES) if rule.holds(place)), None)
        kind = mix.base if rule is None or rule.type is None else rule.type
        is_raised = facts.is_70b and role in VALUES and mix.name not in (*LOW.split(), "MXFP4")
        found[name] = RAISED.get(kind, kind) if is_raised else kind
    return found


def in_order(names: Iterable[str]) -> list[str]:
    """By layer, then by name: as llama.cpp comes to them."""
    return sorted(names, key=lambda name: (layer_of(name), name))


def fitting(kind: str, n_columns: int) -> str:
    """The type, or what takes its place in rows of so many columns."""
    for one in (kind, FALLBACKS.get(kind, "F16")):
        if n_columns % BY_NAME[one].block == 0:
            return one
    return "F16"


def needs_importance(name: str, kind: str, mix: Mix) -> bool:
    """Whether a tensor cannot be of a type without an importance matrix."""
    if role_of(name) in (Role.OUTPUT, Role.EMBEDDING):
        return False
    return kind in NEEDS_IMPORTANCE or (kind == "Q2_K" and mix.name == "Q2_K_S")
