"""The language of hyperparameters: a frozen dataclass whose fields say which metadata key they are read from.

Metadata come from an untrusted file: every value is checked for its type and range before anything is computed from
it. What the keys mean is the architectures' business (llama.py, gemma3.py, ...).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from numbers import Integral, Real
from typing import Any, Final, Generic, Protocol, TypeVar

from llamachat.errors import ModelFileError, Unsupported

MISSING: Final = object()
LARGEST_COUNT: Final = 2**31 - 1
LOWEST: Final[Mapping[object, float]] = {int: 1, float: 0.0}
LONGEST_ARRAY: Final = 65_536
"""A per-layer array longer than this is no per-layer array; it is refused before its values are looked at."""

Earlier = Mapping[str, Any]
"""The fields that were read before, by field name, and `rows`: {tensor name: its first dimension}."""


Value = TypeVar("Value", int, float, bool)


class PerLayer(tuple[Value, ...], Generic[Value]):
    """A parameter with a value for each layer: `p.n_ff[layer]`. In a table of tensors its name means the layer's."""

    __slots__ = ()


class Params(Protocol):
    """The fields that every architecture's parameters share; counts, and whether tokens see only those before them."""

    @property
    def n_vocab(self) -> int: ...  # noqa: D102
    @property
    def n_embd(self) -> int: ...  # noqa: D102
    @property
    def n_layer(self) -> int: ...  # noqa: D102
    @property
    def context_length(self) -> int: ...  # noqa: D102
    @property
    def causal(self) -> bool: ...  # noqa: D102


P = TypeVar("P")


@dataclass(frozen=True)
class Key:
    """Where a field comes from: the metadata key `<architecture>.<name>` and what its value may be."""

    name: str
    default: object
    only: tuple[object, ...]
    low: float | None
    high: float
    parse: Callable[[object], object] | None
    per_layer: type[object] | None


def key(
    name: str,
    default: object = MISSING,
    *,
    only: tuple[object, ...] = (),
    low: float | None = None,
    high: float = LARGEST_COUNT,
    parse: Callable[[object], object] | None = None,
    per_layer: type[object] | None = None,
) -> Any:
    """A dataclass field read from `<architecture>.<name>`; int, float, str or bool as annotated.

    default: a value, or a function of the earlier fields; without it the key must exist. only: the values that the
    forward pass knows. low, high: the range of a number, both included; low is 1 for integers and 0 for floats.
    parse: for a value of another form; raises ValueError saying what it should have been. per_layer: int, float or
    bool for a `PerLayer` field, whose key holds one value for all of `n_layer` layers or one for each.
    """
    return field(metadata={"key": Key(name, default, only, low, high, parse, per_layer)})


def present(tensor: str) -> Any:
    """A dataclass field, a truth value: whether the file has a tensor of that name. No metadata key sets it."""
    return field(metadata={"key": Key("", lambda earlier: tensor in earlier["rows"], (), None, 1, None, None)})


def same_as(name: str) -> Callable[[Earlier], Any]:
    """A default: the value of an earlier field."""
    return lambda earlier: earlier[name]


def read_params(cls: type[P], metadata: Mapping[str, object], architecture: str, rows: Mapping[str, int]) -> P:
    """An instance of the dataclass `cls`, whose fields were made by `key`, from a file's metadata.

    rows: {tensor name: first dimension}, for defaults that look there. Raises ModelFileError for a missing key or a
    value that makes no sense, Unsupported for a value that the architecture does not know here.
    """
    earlier: dict[str, Any] = {"rows": rows}
    for name, kind, source in _keys(cls):
        where = f"{architecture}.{source.name}"
        value = metadata.get(where, MISSING) if source.name else MISSING
        if value is MISSING:
            value = _default(source.default, earlier, where)
        n_layer = earlier.get("n_layer", 0)
        one = _layers(value, n_layer, source, where) if source.per_layer else _checked(value, kind, source, where)
        earlier[name] = one
    del earlier["rows"]
    return cls(**earlier)


def keys_read(cls: type[object]) -> frozenset[str]:
    """The metadata keys, without the architecture's prefix, that `read_params` looks at."""
    return frozenset(source.name for _, _, source in _keys(cls) if source.name)


def rows_of(*tensors: str) -> Callable[[Earlier], int]:
    """A default: the first dimension of the first of these tensors that the file has; raises ModelFileError without."""

    def rows(earlier: Earlier) -> int:
        found = [int(earlier["rows"][tensor]) for tensor in tensors if tensor in earlier["rows"]]
        if not found:
            raise ModelFileError("the file has no such tensor", where=tensors[0])
        return found[0]

    return rows


def quotient_of(whole: str, parts: str) -> Callable[[Earlier], int]:
    """A default: field `whole` divided by field `parts`; raises ModelFileError where that leaves a remainder."""

    def quotient(earlier: Earlier) -> int:
        if earlier[whole] % earlier[parts]:
            raise ModelFileError(
                f"{whole} {earlier[whole]} cannot be divided into {parts} {earlier[parts]} equal parts"
            )
        return int(earlier[whole] // earlier[parts])

    return quotient


def require(condition: bool, sentence: str, where: str = "") -> None:
    """Raises ModelFileError with the sentence unless the condition holds: for rules between fields."""
    if not condition:
        raise ModelFileError(sentence, where=where)


def shown(value: object) -> str:
    """A value of an untrusted file for a message: printable and short."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:60]}...")
    return str(value) if isinstance(value, Real) else "an array"


def _keys(cls: type[object]) -> list[tuple[str, object, Key]]:
    return [(f.name, f.type, f.metadata["key"]) for f in fields(cls)]  # type: ignore[arg-type]


def _default(default: object, earlier: Earlier, where: str) -> object:
    if default is MISSING:
        raise ModelFileError("this metadata key is missing, and the model cannot be computed without it", where=where)
    if not callable(default):
        return default
    try:
        return default(earlier)
    except ModelFileError as error:
        if error.where:
            raise
        raise type(error)(f"is missing, and {error}", where=where) from None


def _checked(value: object, kind: object, source: Key, where: str) -> object:
    """The value as the field's type, if it is one of those allowed."""
    if source.parse:
        try:
            result = source.parse(value)
        except ValueError as error:
            raise ModelFileError(f"is {shown(value)}, must be {error}", where=where) from None
    else:
        result = _scalar(_only_value(value, where), kind, source, where)
    if source.only and result not in source.only:
        known = ", ".join(map(str, source.only))
        raise Unsupported(f"is {shown(result)}, which is not supported here (only {known})", where=where)
    return result


def _layers(value: object, n_layer: int, source: Key, where: str) -> PerLayer[Any]:
    """One value for each layer, of an array or a scalar."""
    if isinstance(value, PerLayer):  # a default that is another field
        return value
    if isinstance(value, str) or not isinstance(value, Iterable):
        return PerLayer([_checked(value, source.per_layer, source, where)] * min(n_layer, LONGEST_ARRAY))
    values = list(islice(value, LONGEST_ARRAY + 1))
    if len(values) != n_layer:
        raise ModelFileError(f"has {len(values)} values for {n_layer} layers", where=where)
    return PerLayer(_checked(one, source.per_layer, source, where) for one in values)


def _only_value(value: object, where: str) -> object:
    """The one value of an array that has the same for every layer; a scalar as it is."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    values = list(islice(value, LONGEST_ARRAY + 1))
    same = 0 < len(values) <= LONGEST_ARRAY and all(isinstance(item, Real | str) for item in values)
    if not same or any(item != values[0] for item in values):
        raise Unsupported("differs between layers, which is not supported here", where=where)
    return values[0]


def _scalar(value: object, kind: object, source: Key, where: str) -> object:
    if kind is bool or kind is str:
        if isinstance(value, kind):
            return value
        raise ModelFileError(f"is {shown(value)}, must be {'true or false' if kind is bool else 'a text'}", where=where)
    number = _number(value)
    low = source.low if source.low is not None else LOWEST[kind]
    if number is not None and low <= number <= source.high and (kind is float or isinstance(number, int)):
        return float(number) if kind is float else number
    what = "a whole number" if kind is int else "a number"
    raise ModelFileError(f"is {shown(value)}, must be {what} from {low:g} to {source.high:g}", where=where)


def _number(value: object) -> int | float | None:
    """A number of Python, also from one of NumPy (arrays hold them); None for what is no number, truth values too."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    return int(value) if isinstance(value, Integral) else float(value)
