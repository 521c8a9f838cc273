"""`rope.*` keys become a RopeSpec."""

import math
from typing import Any

import pytest

from llamachat.engine.graph import Rope, RopeSpec
from llamachat.engine.models import describe

YARN = {"type": "yarn", "factor": 4.0, "original_context_length": 2048}


def spec_of(model: Any, **scaling: object) -> RopeSpec:
    metadata = model.metadata | {f"llama.rope.scaling.{name}": value for name, value in scaling.items()}
    return next(node.spec for node in describe(metadata, model.tensors).graph().nodes if isinstance(node, Rope))


@pytest.mark.parametrize(
    ("scaling", "scale"),
    [
        pytest.param({}, 1.0, id="nothing said"),
        pytest.param({"factor": 4.0}, 4.0, id="a factor alone is linear"),
        pytest.param({"type": "linear", "factor": 4.0}, 4.0, id="linear"),
        pytest.param({"type": "none", "factor": 4.0}, 1.0, id="none"),
        pytest.param(YARN, 4.0, id="yarn"),
    ],
)
def test_the_scale_is_the_factor_unless_the_type_is_none(
    tiny_llama: Any, scaling: dict[str, object], scale: float
) -> None:
    assert spec_of(tiny_llama, **scaling).scale == scale


@pytest.mark.parametrize(
    ("scaling", "magnitude"),
    [
        pytest.param({"factor": 4.0}, 1.0, id="linear has none"),
        pytest.param(YARN, 1 + 0.1 * math.log(4), id="yarn"),
        pytest.param(YARN | {"attn_factor": 0.5}, 0.5 * (1 + 0.1 * math.log(4)), id="times the file's factor"),
        pytest.param(YARN | {"factor": 0.5}, 1.0, id="never below one"),
    ],
)
def test_yarn_makes_cosines_and_sines_larger(tiny_llama: Any, scaling: dict[str, object], magnitude: float) -> None:
    assert spec_of(tiny_llama, **scaling).magnitude == pytest.approx(magnitude, rel=1e-15)


def test_the_original_context_matters_to_yarn_only(tiny_llama: Any) -> None:
    assert spec_of(tiny_llama, **YARN).yarn_original == 2048
    assert spec_of(tiny_llama, **(YARN | {"type": "linear"})).yarn_original == 0


def test_the_ramps_ends_are_read(tiny_llama: Any) -> None:
    spec = spec_of(tiny_llama, **YARN, yarn_beta_fast=16.0, yarn_beta_slow=2.0)
    assert (spec.yarn_beta_fast, spec.yarn_beta_slow) == (16.0, 2.0)


def test_the_factors_name_of_old_files_is_read(tiny_llama: Any) -> None:
    tiny_llama.metadata["llama.rope.scale_linear"] = 2.0
    assert spec_of(tiny_llama).scale == 2.0
