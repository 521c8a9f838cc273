"""Mixes give every tensor the type that llama.cpp's own function gives it; `tools/quantize_types.py` asked it."""

import json
from pathlib import Path

import pytest
from mixed_models import MODELS, Model, digest

from llamachat.errors import UsageError
from llamachat.prepare.quantize.facts import facts_of
from llamachat.prepare.quantize.mixes import MIXES, mix_of
from llamachat.prepare.quantize.roles import is_quantised
from llamachat.prepare.quantize.rules import choose, fitting, in_order, needs_importance

KNOWN = json.loads(Path(__file__).with_name("mixed_types.json").read_text())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.title)
def test_every_mix_chooses_the_types_of_llama_cpp(model: Model) -> None:
    known, shapes = KNOWN[model.title], model.shapes()
    matrices = {name: shapes[name] for name in in_order(shapes) if is_quantised(name, shapes[name])}
    assert len(known) == 68  # 34 mixes, with importance and without
    for mix, wanted in known.items():
        facts = facts_of(model.metadata(), shapes, importance=mix.endswith("+"))
        types = choose(MIXES[mix.rstrip("+")], facts, matrices.items())
        found = {name: fitting(types[name], shapes[name][-1]) if name in types else "F32" for name in shapes}
        assert digest(found) == wanted, f"{mix}: see tools/quantize_types.py"


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("blk.0.attn_q.weight", (4, 256), True),
        ("blk.0.ffn_up_exps.weight", (2, 4, 256), True),
        ("blk.0.attn_q.bias", (4, 256), False),
        ("blk.0.attn_norm.weight", (256,), False),
        ("blk.0.attn_q_norm.weight", (4, 256), False),
        ("blk.0.thin.weight", (1, 256), False),
        ("blk.0.ffn_gate_inp.weight", (4, 256), False),
        ("blk.0.ssm_conv1d.weight", (4, 256), False),
        ("position_embd.weight", (4, 256), False),
        ("blk.0.time_mix_decay_w1.weight", (4, 256), False),
    ],
)
def test_small_matrices_and_tables_are_left_alone(name: str, shape: tuple[int, ...], expected: bool) -> None:
    assert is_quantised(name, shape) is expected


def test_the_last_matrix_can_be_left_alone() -> None:
    assert is_quantised("output.weight", (4, 256))
    assert not is_quantised("output.weight", (4, 256), leave_output=True)


def test_names_are_found_in_any_case_by_other_names_and_by_number() -> None:
    assert mix_of("q4_k").name == mix_of("15").name == mix_of("Q4_K_M").name == "Q4_K_M"
    assert mix_of("MXFP4_MOE").number == 38
    assert mix_of("copy") is None
    with pytest.raises(UsageError, match="'Q7' is no type: give one of F32, F16"):
        mix_of("Q7")


@pytest.mark.parametrize(
    ("kind", "n_columns", "expected"),
    [
        ("Q4_K", 512, "Q4_K"),
        ("Q4_K", 320, "Q5_0"),
        ("IQ2_S", 320, "IQ4_NL"),
        ("Q8_0", 40, "F16"),
        ("NVFP4", 96, "MXFP4"),
    ],
)
def test_rows_that_are_not_whole_blocks_get_another_type(kind: str, n_columns: int, expected: str) -> None:
    assert fitting(kind, n_columns) == expected


def test_few_bits_need_an_importance_matrix_except_for_embeddings() -> None:
    assert needs_importance("blk.0.attn_q.weight", "IQ2_XS", MIXES["IQ2_S"])
    assert needs_importance("blk.0.attn_q.weight", "Q2_K", MIXES["Q2_K_S"])
    assert not needs_importance("blk.0.attn_q.weight", "Q2_K", MIXES["Q2_K"])
    assert not needs_importance("token_embd.weight", "IQ2_XS", MIXES["IQ2_S"])
