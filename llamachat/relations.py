"""Settings that exclude or need one another, as data: one table for the command line, files, prompts' heads and chats.

A setting is called by its long option's name with `_`. `agreed` applies the table: of two settings that exclude one
another the nearer one counts, and a setting that needs another one waits for it. What is typed is never dropped: it is
refused in a sentence. A sentence has names in braces, which whoever asks spells (`--top-k` or `/set top_k`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.errors import UsageError

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Is:
    """A setting that has an effect: it has one of `values`; where none are named, it is given and not `off`."""

    name: str
    values: tuple[object, ...] = ()
    off: tuple[object, ...] = (None, False)

    def holds(self, values: Values) -> bool:
        """Whether it is so."""
        value = values.get(self.name)
        return value in self.values if self.values else value not in (*self.off, [], ())


Group = tuple[Is, ...]


def _any(*names: str) -> Group:
    return tuple(map(Is, names))


@dataclass(frozen=True)
class Exclude:
    """Of these groups of settings one has an effect at most.

    weak: the last group gives way to the others wherever it is set, unless it is typed. In `said`, {all}, {first} and
    {second} list the settings in effect, of all groups and of those two.
    """

    groups: tuple[Group, ...]
    said: str
    weak: bool = False

    @property
    def names(self) -> list[str]:
        """The settings that it is about."""
        return [one.name for group in self.groups for one in group]

    def broken(self, values: Values, _typed: Collection[str] = ()) -> bool:
        """Whether settings of two groups have an effect."""
        return sum(any(one.holds(values) for one in group) for group in self.groups) > 1

    def lists(self, values: Values) -> dict[str, list[str]]:
        """The names that the sentence lists."""
        found = [[one.name for one in group if one.holds(values)] for group in self.groups]
        return {"all": [name for names in found for name in names], "first": found[0], "second": found[1]}


@dataclass(frozen=True)
class Need:
    """Each of `options` means nothing without one of `needs`. typed: it has a default, and is in vain when typed.

    In `said`, {first} is the option in vain.
    """

    options: Group
    needs: Group
    said: str
    typed: bool = False

    @property
    def names(self) -> list[str]:
        """The settings that wait."""
        return [one.name for one in self.options]

    def met(self, values: Values) -> bool:
        """Whether there is what they need."""
        return any(one.holds(values) for one in self.needs)

    def broken(self, values: Values, typed: Collection[str] = ()) -> bool:
        """Whether one of them has an effect, without any that it needs; not where a caller has none of these."""
        known = any(one.name in values for one in self.needs)
        return known and not self.met(values) and bool(self._in_vain(values, typed))

    def lists(self, values: Values, typed: Collection[str] = ()) -> dict[str, list[str]]:
        """The names that the sentence lists."""
        return {"first": self._in_vain(values, typed)[:1]}

    def _in_vain(self, values: Values, typed: Collection[str]) -> list[str]:
        if self.typed:
            return [name for name in self.names if name in typed]
        return [one.name for one in self.options if one.holds(values)]


@dataclass(frozen=True)
class Fit:
    """Numbers that must go together. In `said`, {value[name]} is one of them."""

    names: tuple[str, ...]
    test: Callable[..., bool]
    said: str

    def broken(self, values: Values, _typed: Collection[str] = ()) -> bool:
        """Whether they do not; where one is missing they do."""
        found = [values.get(name) for name in self.names]
        return None not in found and not self.test(*found)


Relation = Exclude | Need | Fit

_GRAMMARS = _any("grammar", "grammar_file", "json_schema", "json_schema_file", "json")
_ANSWERS: Group = (Is("chat", (True,)), Is("template", ("chat",)))
_OF_ONE_ANSWER = (
    *_any("prompt_cache", "prompt_cache_all", "prompt_cache_ro", "prompt_cache_type", "lookup", "model_draft"),
    Is("grp_attn_n", off=(None, 1)),
)

RELATIONS: tuple[Relation, ...] = (
    Exclude(tuple((one,) for one in _GRAMMARS), "{all} exclude one another: give one of them"),
    Exclude((_any("tools"), _GRAMMARS), "{tools} has a grammar of its own: it cannot be combined with {second}"),
    Exclude(
        (_any("samplers"), _any("sampling_seq")),
        "{samplers} and {sampling_seq} both say which samplers there are: give one of them",
    ),
    Exclude(
        (_any("positional"), _any("text")),
        "the prompt is given twice, as {value[positional]!r} and with -p: give one of them",
    ),
    Exclude(
        ((Is("chat", (True,)),), (Is("template", ("raw",)),)),
        "{chat} and {template} raw exclude one another: give one of them",
    ),
    Exclude(
        ((Is("chat", (False,)),), (Is("template", ("chat",)),)),
        "{no_chat} and {template} chat exclude one another: give one of them",
    ),
    Exclude((_any("system"), _any("system_file")), "{all} exclude one another: give one of them"),
    Exclude(
        (_any("quiet"), _any("verbose", "timings")),
        "{quiet} and {verbose} or {timings} exclude one another: give one of them",
    ),
    Exclude((_any("rope_scale"), _any("rope_freq_scale")), "{all} say the same: give one of them"),
    Exclude((_any("lookup"), _any("model_draft")), "{lookup} and {model_draft}: only one of them can guess"),
    Exclude((_any("session"), _any("continue")), "{all} exclude one another: give one of them"),
    Exclude(
        ((Is("save", (False,)),), _any("session", "continue")),
        "{no_save} keeps nothing: it cannot be combined with {second}",
    ),
    Exclude(
        (_any("prompts"), _any("file")),
        "{prompts} and {file} exclude one another: each line of {prompts} is an input of its own",
        weak=True,
    ),
    Exclude(
        (_any("parallel", "prompts"), _OF_ONE_ANSWER),
        "{first} cannot be combined with {second}: they are for one answer",
        weak=True,
    ),
    Exclude((_any("infill"), _any("infill_at")), "{all} exclude one another: give one of them"),
    Exclude(
        (_any("infill", "infill_at"), (*_any("positional", "text", "prompt", "prompts", "parallel"), *_ANSWERS)),
        "{first} fills in the middle of a text: it cannot be combined with {second}",
        weak=True,
    ),
    Fit(
        ("draft_min", "draft_max"),
        lambda least, most: least <= most,
        "{draft_min} {value[draft_min]} is more than {draft_max} {value[draft_max]}",
    ),
    Fit(
        ("grp_attn_w", "grp_attn_n"),
        lambda width, group: width % group == 0,
        "{grp_attn_w} {value[grp_attn_w]} must be a multiple of {grp_attn_n} {value[grp_attn_n]}",
    ),
    Need(
        _any("control_vector_layer_range"),
        _any("control_vector", "control_vector_scaled"),
        "{control_vector_layer_range} says where vectors are added: give {control_vector}, too",
    ),
    Need(
        (Is("schema_unenforced", ("check",)),),
        _any("json_schema", "json_schema_file"),
        "{schema_unenforced} check needs {json_schema} or {json_schema_file}",
    ),
    Need(_any("var"), _any("prompt"), "{var} sets a variable of a prompt: give {prompt} NAME, too"),
    Need(
        _any("system", "system_file"),
        _ANSWERS,
        "{first} is part of a chat: give {chat} too, or put the text into the prompt",
    ),
    Need(
        _any("chat_template", "template_kwargs", "reasoning"),
        _ANSWERS,
        "{first} is part of a chat: give {chat} too",
        typed=True,
    ),
    Need(_any("logprobs"), (Is("output", ("json", "jsonl")),), "{logprobs} needs {output} json or jsonl"),
    Need(_any("lookup_cache_static"), _any("lookup"), "{lookup_cache_static} is asked by {lookup}: give that too"),
    Need(
        _any("draft_max"),
        _any("lookup", "model_draft"),
        "{draft_max} says how many tokens are guessed: give {lookup} or {model_draft}, too",
        typed=True,
    ),
    Need(
        _any("draft_min", "draft_p_min"),
        _any("model_draft"),
        "{draft_min} and {draft_p_min} say how a draft model guesses: give {model_draft}, too",
        typed=True,
    ),
    Need(
        _any("prompt_cache_all", "prompt_cache_ro", "prompt_cache_type"),
        _any("prompt_cache"),
        "{prompt_cache_all}, {prompt_cache_ro} and {prompt_cache_type} say more of {prompt_cache} FILE: give it, too",
    ),
)
"""In this order: a setting that is dropped because another one excludes it is no longer there for those who need it."""


@dataclass(frozen=True)
class Origin:
    """Where a setting was made. distance: 0 is the nearest; place: for messages."""

    distance: int
    place: str


def agreed(
    values: Values,
    defaults: Values,
    origins: Mapping[str, Origin],
    typed: Collection[str],
    relations: Iterable[Relation] = RELATIONS,
) -> dict[str, Any]:
    """The values, where those settings have their defaults that do not go with nearer ones.

    origins: of the values that are settings; typed: the names of those that the command line gives. Raises UsageError
    for typed ones that do not go together, and, with their places, for settings of one origin.
    """
    found = dict(values)
    for relation in relations:
        if relation.broken(found, typed):
            found = _resolved(relation, found, defaults, origins, typed)
    return found


def opposites(name: str) -> frozenset[str]:
    """The settings that exclude this one."""
    found = [one for one in RELATIONS if isinstance(one, Exclude) and name in one.names]
    groups = [group for one in found for group in one.groups if name not in [other.name for other in group]]
    return frozenset(other.name for group in groups for other in group)


def need_of(name: str) -> Need:
    """What a setting needs that means nothing alone. Raises KeyError for one that needs nothing."""
    for relation in RELATIONS:
        if isinstance(relation, Need) and name in relation.names:
            return relation
    raise KeyError(name)


def option_of(name: str) -> str:
    """A setting as an option of the command line: `top_k` as `--top-k`, `s` as `-s`."""
    return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"


def _resolved(
    relation: Relation, values: Values, defaults: Values, origins: Mapping[str, Origin], typed: Collection[str]
) -> dict[str, Any]:
    """The values without the settings that break the relation, the farthest first."""
    settings = sorted((name for name in relation.names if name in origins), key=lambda name: origins[name].distance)
    if not isinstance(relation, Need):
        _check_origins(relation, {**values, **{name: defaults[name] for name in relation.names if name in defaults}},
                       {name: values[name] for name in settings}, origins)  # fmt: skip
    weak = {one.name for one in relation.groups[-1]} if isinstance(relation, Exclude) and relation.weak else set()
    kept = {**values, **{name: defaults[name] for name in settings}}
    if relation.broken(kept, typed):
        raise UsageError(_sentence(relation, kept, typed))
    for name in sorted(settings, key=lambda name: name in weak):
        tried = {**kept, name: values[name]}
        kept = kept if relation.broken(tried, typed) else tried
    return kept


def _check_origins(relation: Exclude | Fit, bare: Values, settings: Values, origins: Mapping[str, Origin]) -> None:
    """Raises UsageError for settings of one origin that do not go together, not even with those farther away."""
    if isinstance(relation, Exclude) and relation.weak:
        return
    for distance in sorted({origins[name].distance for name in settings}):
        here = {name: value for name, value in settings.items() if origins[name].distance == distance}
        farther = {name: value for name, value in settings.items() if origins[name].distance >= distance}
        if relation.broken({**bare, **here}) and relation.broken({**bare, **farther}):
            places = " and ".join(dict.fromkeys(origins[name].place for name in here))
            raise UsageError(f"{places}: {_sentence(relation, {**bare, **here})}")


class _Spelled(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return option_of(name)


def _sentence(relation: Relation, values: Values, typed: Collection[str] = ()) -> str:
    lists: Mapping[str, Sequence[str]] = {}
    if isinstance(relation, Need):
        lists = relation.lists(values, typed)
    elif isinstance(relation, Exclude):
        lists = relation.lists(values)
    spelled = {name: " and ".join(map(option_of, names)) for name, names in lists.items()}
    return relation.said.format_map(_Spelled(spelled, value=values))
