"""Tokens forgotten in the middle of a context, and positions shared by groups: cached keys turned in place."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.model import Model
from llamachat.engine.self_extend import GroupedPositions
from llamachat.errors import UsageError

NAMES = ("llama", "llama-bias", "llama-linear", "llama-rope-llama3", "llama-yarn", "gemma3")
PROMPT = [int(t) for t in np.random.default_rng(5).integers(0, 80, 900)]
LIMITS = {"f32": 1e-10, "f16": 1e-5, "bf16": 1e-3}


@pytest.fixture(scope="module", params=NAMES)
def shallow(request: pytest.FixtureRequest, golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A golden model's first layer: keys and values of one layer know nothing of the tokens before theirs."""
    file = open_gguf(golden / "archs" / f"{request.param}.gguf")
    metadata = dict(file.metadata.items())
    metadata[f"{metadata['general.architecture']}.block_count"] = 1
    tensors = [(t.name, t.type.name, t.shape, np.asarray(t.data)) for t in file.tensors.values()]
    kept = [entry for entry in tensors if not entry[0].startswith("blk.") or entry[0].startswith("blk.0.")]
    path = tmp_path_factory.mktemp("shallow") / "model.gguf"
    write_gguf(path, metadata, kept)
    with Model(path, 2) as model:
        yield model


@pytest.mark.parametrize("cache_type", LIMITS)
@pytest.mark.parametrize(("first", "last"), [(0, 1), (4, 37), (1, 600), (300, 899)])
def test_a_shift_equals_evaluating_what_is_left(shallow: Model, cache_type: str, first: int, last: int) -> None:
    shifted, fresh = shallow.context(1000, cache_type), shallow.context(1000, cache_type)
    shifted.eval(PROMPT)
    shifted.remove(first, last)
    left = PROMPT[:first] + PROMPT[last:]
    assert shifted.tokens == left
    fresh.eval(left)
    found, expected = (context.eval([5, 6, 7], "all") for context in (shifted, fresh))
    assert nmse(found, expected) <= LIMITS[cache_type]


def test_many_shifts_add_up(shallow: Model) -> None:
    shifted, fresh = shallow.context(1000, "f32"), shallow.context(1000, "f32")
    shifted.eval(PROMPT[:200])
    for _ in range(10):
        shifted.remove(3, 18)
    assert shifted.tokens == PROMPT[:3] + PROMPT[153:200]
    fresh.eval(shifted.tokens)
    assert nmse(shifted.eval([9]), fresh.eval([9])) <= 1e-10


@pytest.mark.parametrize("pieces", [(900,), (1, 511, 2, 386)])
def test_a_shift_does_not_depend_on_how_tokens_were_cut(shallow: Model, pieces: tuple[int, ...]) -> None:
    found = []
    for cut in ((900,), pieces):
        context = shallow.context(1000)
        for n in cut:
            context.eval(PROMPT[context.n_past : context.n_past + n])
        context.remove(10, 500)
        found.append(context.eval([1, 2]))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (3, 2), (0, 11)])
def test_what_is_not_there_cannot_be_forgotten(shallow: Model, first: int, last: int) -> None:
    context = shallow.context(100)
    context.eval(PROMPT[:10])
    with pytest.raises(UsageError, match=f"cannot forget tokens {first} to {last}: 10 are evaluated"):
        context.remove(first, last)
    context.remove(4, 4)
    assert context.tokens == PROMPT[:10]


def simulated(n_tokens: int, group: int, width: int) -> list[int]:
    """Positions by llama.cpp's description: whole windows are divided as soon as they are full."""
    positions: list[float] = []
    done = 0
    for _ in range(n_tokens):
        following = positions[-1] + 1 if positions else 0
        while following >= done + width:
            windows = group * done // width
            gap = (width // group) * (group - 1)
            moved = [p + windows * gap if p >= done else p for p in positions]
            start = done + windows * gap
            divided = [p // group if start <= p < start + width else p for p in moved]
            end = width // group - windows * gap - width
            positions = [p + end if p >= start + width else p for p in divided]
            done += width // group
            following = positions[-1] + 1
        positions.append(following)
    return [int(p) for p in positions]


@pytest.mark.parametrize(("group", "width"), [(1, 8), (2, 8), (4, 64), (4, 4), (8, 64)])
def test_positions_are_grouped_as_described(group: int, width: int) -> None:
    plan = GroupedPositions(700, group, width)
    for n_past in range(700):
        while plan.room(n_past) <= 0:
            plan.regroup(n_past)
        plan.append(n_past, 1)
    assert plan.positions.tolist() == simulated(700, group, width)


@pytest.mark.parametrize("pieces", [(300,), (1,) * 300, (100, 7, 193)])
def test_grouped_positions_do_not_depend_on_how_tokens_were_cut(shallow: Model, pieces: tuple[int, ...]) -> None:
    context, whole = (shallow.context(400, "f32", self_extend=(4, 32)) for _ in range(2))
    for n in pieces:
        context.eval(PROMPT[context.n_past : context.n_past + n])
    whole.eval(PROMPT[:300])
    np.testing.assert_array_equal(context.eval([3]), whole.eval([3]))


def test_a_group_of_one_changes_nothing_to_speak_of(shallow: Model) -> None:
    plain, grouped = shallow.context(400, "f32"), shallow.context(400, "f32", self_extend=(1, 32))
    assert nmse(grouped.eval(PROMPT[:300]), plain.eval(PROMPT[:300])) <= 1e-12


def test_grouped_positions_stay_below_their_number(shallow: Model) -> None:
    context = shallow.context(900, "f32", self_extend=(8, 64))
    context.eval(PROMPT)
    context.truncate(100)
    assert np.isfinite(context.eval(PROMPT[100:800])).all()
    with pytest.raises(UsageError, match="cannot be shifted"):
        context.remove(0, 5)


@pytest.mark.parametrize("sizes", [(0, 8), (3, 8), (4, 0)])
def test_groups_that_do_not_fit_their_window_are_refused(shallow: Model, sizes: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"a width of .* must be a multiple of the group"):
        shallow.context(100, self_extend=sizes)


def test_only_what_knows_of_nothing_forgotten_is_reusable(shallow: Model) -> None:
    context = shallow.context(200)
    context.eval(PROMPT[:50])
    assert context.n_reusable == 50
    context.remove(10, 20)
    context.eval(PROMPT[:5])
    assert (context.n_past, context.n_reusable, context.fork().n_reusable) == (45, 10, 10)
    context.truncate(8)
    context.eval(PROMPT[:3])
    assert context.n_reusable == 11


def test_an_interrupted_shift_leaves_a_shorter_true_context(shallow: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    context, fresh = shallow.context(200), shallow.context(200)
    context.eval(PROMPT[:50])

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(context._state.layout, "move_values", interrupted)
        with pytest.raises(KeyboardInterrupt):
            context.remove(10, 20)
    assert context.tokens == PROMPT[:10]
    fresh.eval(PROMPT[:10])
    np.testing.assert_array_equal(context.eval([4, 5]), fresh.eval([4, 5]))


@pytest.mark.parametrize("n_past", [0, 20, 64, 65, 128, 129, 200])
def test_grouped_positions_are_reusable_where_they_are_as_if_evaluated_anew(shallow: Model, n_past: int) -> None:
    context, fresh = (shallow.context(400, "f32", self_extend=(4, 64)) for _ in range(2))
    context.eval(PROMPT[:200])
    context.truncate(n_past)
    assert context.n_reusable == (n_past if n_past in (0, 200) else 0)
    assert np.isfinite(context.eval([3])).all()
    if n_past in (0, 200):
        fresh.eval([*PROMPT[:n_past], 3])
        assert context._grouped.positions[: n_past + 1].tolist() == fresh._grouped.positions[: n_past + 1].tolist()


def test_an_interrupted_grouping_leaves_an_empty_true_context(shallow: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    context, fresh = (shallow.context(400, "f32", self_extend=(4, 64)) for _ in range(2))
    context.eval(PROMPT[:64])

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(context._forward, "rotate_keys", interrupted)
        with pytest.raises(KeyboardInterrupt):
            context.eval([1])
    assert context.tokens == []
    np.testing.assert_array_equal(context.eval(PROMPT[:70]), fresh.eval(PROMPT[:70]))
