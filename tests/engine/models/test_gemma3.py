"""What is Gemma 3's own: windows, two rotary embeddings, the scales."""

from typing import Any

import numpy as np
import pytest

from llamachat.engine.graph import Attention, Embed, Rope
from llamachat.engine.models import describe
from llamachat.errors import ModelFileError


def nodes(model: Any, kind: type[Any], **more: object) -> list[Any]:
    metadata = model.metadata | {f"gemma3.{name}": value for name, value in more.items()}
    return [node for node in describe(metadata, model.tensors).graph().nodes if isinstance(node, kind)]


WINDOW = {"attention.sliding_window": 16}


@pytest.mark.parametrize(
    ("more", "windows"),
    [
        pytest.param({}, [0] * 7, id="no window"),
        pytest.param(WINDOW, [16] * 5 + [0, 16], id="every sixth is full"),
        pytest.param(WINDOW | {"attention.sliding_window_pattern": 2}, [16, 0] * 3 + [16], id="every second"),
        pytest.param(WINDOW | {"attention.sliding_window_pattern": 1}, [0] * 7, id="every one"),
        pytest.param(
            WINDOW | {"attention.sliding_window_pattern": np.array([0, 1, 1, 1, 1, 1, 1], bool)},
            [0] + [16] * 6,
            id="flags",
        ),
    ],
)
def test_the_layers_with_a_window_are_those_of_the_pattern(
    tiny_gemma3: Any, more: dict[str, object], windows: list[int]
) -> None:
    assert [node.window for node in nodes(tiny_gemma3, Attention, **more)] == windows


def test_window_layers_turn_with_their_own_base_and_no_scaling(tiny_gemma3: Any) -> None:
    scaling = {"rope.freq_base": 1e6, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    specs = [node.spec for node in nodes(tiny_gemma3, Rope, **WINDOW, **scaling)][::2]
    assert [(spec.base, spec.scale) for spec in specs[4:]] == [(1e4, 1.0), (1e6, 8.0), (1e4, 1.0)]


def test_embeddings_are_scaled_by_the_root_of_the_width(tiny_gemma3: Any) -> None:
    assert nodes(tiny_gemma3, Embed)[0].factor == 8.0


def test_scores_are_scaled_by_the_head_size(tiny_gemma3: Any) -> None:
    assert {node.scale for node in nodes(tiny_gemma3, Attention)} == {0.25}


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(0, id="zero"),
        pytest.param(True, id="one truth value"),
        pytest.param("6", id="a text"),
        pytest.param([0, 1], id="too few flags"),
        pytest.param([2] * 7, id="no flags"),
        pytest.param([[1]] * 7, id="arrays"),
    ],
)
def test_a_pattern_of_another_form_is_refused(tiny_gemma3: Any, pattern: object) -> None:
    with pytest.raises(ModelFileError, match="sliding_window_pattern"):
        nodes(tiny_gemma3, Attention, **{"attention.sliding_window_pattern": pattern})


def test_yarn_is_refused_because_window_layers_are_not_defined_with_it(tiny_gemma3: Any) -> None:
    with pytest.raises(ModelFileError, match=r"rope\.scaling\.type"):
        nodes(tiny_gemma3, Rope, **{"rope.scaling.type": "yarn"})
