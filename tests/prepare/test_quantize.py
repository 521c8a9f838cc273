"""A file quantised: types, weights, metadata, importance, split files; and what is refused before anything is done."""

import os
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.overrides import Override
from llamachat.engine.quants.tensors import decode
from llamachat.errors import LlamaChatError, ModelFileError, UsageError
from llamachat.prepare.importance import read_importance
from llamachat.prepare.quantize.mixes import MIXES, mix_of
from llamachat.prepare.quantize.plan import Wanted, given_type
from llamachat.prepare.quantize.work import Quantisation

METADATA = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "llama.block_count": 1,
    "llama.attention.head_count": 4,
    "llama.context_length": np.uint64(128),
}
SHAPES = {
    "token_embd.weight": (32, 256),
    "output_norm.weight": (256,),
    "blk.0.attn_q.weight": (24, 256),
    "blk.0.ffn_down.weight": (16, 320),
    "blk.0.ffn_up_exps.weight": (3, 8, 256),
}


def weights(name: str) -> np.ndarray:
    return np.random.default_rng(len(name)).normal(size=SHAPES[name]).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_gguf(tmp_path / "in.gguf", METADATA, [(name, "F32", shape, weights(name)) for name, shape in SHAPES.items()])
    return tmp_path / "in.gguf"


def wanted(mix: str, **given: object) -> Wanted:
    return Wanted(mix_of(mix), **given)


def types(path: Path) -> dict[str, str]:
    return {name: tensor.type.name for name, tensor in open_gguf(path).tensors.items()}


def test_the_result_has_the_types_the_weights_and_the_metadata(model: Path, tmp_path: Path) -> None:
    seen = []
    work = Quantisation(model, wanted("Q4_K_M"))
    done = work.write(tmp_path / "out.gguf", report=lambda *args: seen.append(args))
    file = open_gguf(tmp_path / "out.gguf")
    assert types(file.path) == {
        "token_embd.weight": "Q6_K",
        "output_norm.weight": "F32",
        "blk.0.attn_q.weight": "Q4_K",
        "blk.0.ffn_down.weight": "Q8_0",
        "blk.0.ffn_up_exps.weight": "Q4_K",
    }
    assert file.n_bytes == work.n_bytes == file.path.stat().st_size
    for one in done:
        name = one.step.tensor.name
        before, after = weights(name).ravel(), decode(file.tensors[name])
        error = np.sqrt(((after - before) ** 2).sum() / (before**2).sum())
        assert error < 0.1
        assert one.rms is None if name == "output_norm.weight" else one.rms == pytest.approx(error, rel=1e-3)
    read = {field.name: field.contents() for field in gguf.GGUFReader(file.path).fields.values()}
    assert read["general.file_type"] == 15
    assert read["general.quantization_version"] == 2
    assert file.metadata.raw("llama.context_length") == open_gguf(model).metadata.raw("llama.context_length")
    total = sum(tensor.n_bytes for tensor in open_gguf(model).tensors.values())
    assert seen[0] == (0, total, "quantising")
    assert seen[-1][0] == total


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"pure": True}, {"token_embd.weight": "Q4_K", "blk.0.ffn_down.weight": "Q5_0"}),
        ({"output_type": "Q8_0"}, {"token_embd.weight": "Q8_0"}),
        ({"embedding_type": "Q5_K", "output_type": "Q8_0"}, {"token_embd.weight": "Q5_K"}),
        ({"given": (given_type("UP_exps=q5_0"), given_type("ffn=q8_0"))}, {"blk.0.ffn_up_exps.weight": "Q5_0"}),
        ({"given": (given_type("UP_exps=q5_0"), given_type("ffn=q8_0"))}, {"blk.0.ffn_down.weight": "Q8_0"}),
    ],
)  # fmt: skip
def test_types_can_be_chosen_by_hand(given: dict[str, object], expected: dict[str, str], model: Path) -> None:
    found = {step.tensor.name: step.type for step in Quantisation(model, wanted("Q4_K_S", **given)).steps}
    assert expected.items() <= found.items()


def test_a_copy_keeps_every_byte_of_the_weights(model: Path, tmp_path: Path) -> None:
    Quantisation(model, wanted("COPY")).write(tmp_path / "out.gguf")
    for name, tensor in open_gguf(tmp_path / "out.gguf").tensors.items():
        assert np.array_equal(tensor.data, open_gguf(model).tensors[name].data)


def test_what_is_quantised_is_quantised_again_only_with_leave(model: Path, tmp_path: Path) -> None:
    Quantisation(model, wanted("Q8_0")).write(tmp_path / "first.gguf")
    with pytest.raises(UsageError, match=r"token_embd\.weight is Q8_0 already") as caught:
        Quantisation(tmp_path / "first.gguf", wanted("Q4_0"))
    assert caught.value.settings == ("allow_requantize",)
    Quantisation(tmp_path / "first.gguf", wanted("F16", allow_requantize=True)).write(tmp_path / "second.gguf")
    first, second = (
        open_gguf(tmp_path / name).tensors["blk.0.attn_q.weight"] for name in ("first.gguf", "second.gguf")
    )
    assert np.allclose(decode(first), decode(second), rtol=1e-3, atol=1e-6)


def test_metadata_are_overridden_in_the_type_that_the_file_has(model: Path, tmp_path: Path) -> None:
    given = tuple(map(Override.parse, ("general.name=str:Other", "llama.context_length=int:64", "a.new=float:0.5")))
    Quantisation(model, wanted("Q8_0", overrides=given)).write(tmp_path / "out.gguf")
    found = open_gguf(tmp_path / "out.gguf").metadata
    assert (found["general.name"], found["llama.context_length"], found["a.new"]) == ("Other", 64, 0.5)
    assert found.raw("llama.context_length").data[0] == 10  # 64 bits, as before
    bad = wanted("Q8_0", overrides=(Override.parse("llama.block_count=str:two"),))
    with pytest.raises(LlamaChatError, match="block_count"):
        Quantisation(model, bad).write(tmp_path / "bad.gguf")


def importance(path: Path, *, n_columns: int = 256) -> Path:
    """Of one matrix and of a stack, whose last expert was never used."""
    values = np.linspace(0.1, 4, 3 * n_columns, dtype=np.float32).reshape(3, n_columns)
    one, counts = values[:1], np.array([4, 2, 0], np.float32)
    tensors = [("blk.0.attn_q.weight", one, counts[:1]), ("blk.0.ffn_up_exps.weight", values, counts)]
    entries = [
        entry
        for name, sums, count in tensors
        for entry in (
            (f"{name}.in_sum2", "F32", sums.shape, sums),
            (f"{name}.counts", "F32", (len(count), 1), count.reshape(-1, 1)),
        )
    ]
    said = {
        "general.type": "imatrix",
        "imatrix.datasets": ["a text"],
        "imatrix.chunk_count": 4,
        "imatrix.chunk_size": 512,
    }
    write_gguf(path, said, entries)
    return path


def test_importance_is_read_in_both_forms(tmp_path: Path) -> None:
    read = read_importance(importance(tmp_path / "i.gguf"))
    values = np.linspace(0.1, 4, 768, dtype=np.float32).reshape(3, 256)
    found = read.of("blk.0.ffn_up_exps.weight", 3, 256)
    assert np.allclose(found, [values[0] / 4, values[1] / 2, np.ones(256)])
    assert (read.datasets, read.n_chunks, read.chunk_size) == (("a text",), 4, 512)
    assert read.of("blk.7.attn_q.weight", 1, 256) is None
    with pytest.raises(ModelFileError, match="has 768 values, but the tensor has 128 columns in each of 3 matrices"):
        read.of("blk.0.ffn_up_exps.weight", 3, 128)
    name, sums = b"blk.0.attn_q.weight", np.arange(4, dtype="<f4")
    raw = np.array([1, len(name)], "<i4").tobytes() + name + np.array([2, 4], "<i4").tobytes() + sums.tobytes()
    (tmp_path / "i.dat").write_bytes(raw + np.array([7, 6], "<i4").tobytes() + b"a text")
    old = read_importance(tmp_path / "i.dat")
    assert np.array_equal(old.of("blk.0.attn_q.weight", 1, 4), sums[None] / 2)
    assert (old.datasets, old.n_chunks) == (("a text",), 7)
    for n_bytes in range(len(raw)):
        (tmp_path / "cut.dat").write_bytes(raw[:n_bytes])
        with pytest.raises(ModelFileError, match=r"cut\.dat"):
            read_importance(tmp_path / "cut.dat")


def test_importance_moves_the_error_to_columns_that_count_less(model: Path, tmp_path: Path) -> None:
    def weighted(path: Path) -> float:
        after = decode(open_gguf(path).tensors["blk.0.ffn_up_exps.weight"]).reshape(3, 8, 256)
        wanted = read_importance(tmp_path / "i.gguf").of("blk.0.ffn_up_exps.weight", 3, 256)
        return float(((after - weights("blk.0.ffn_up_exps.weight")) ** 2 * wanted[:, None]).sum())

    importance(tmp_path / "i.gguf")
    Quantisation(model, wanted("Q3_K_S")).write(tmp_path / "plain.gguf")
    Quantisation(model, wanted("Q3_K_S"), tmp_path / "i.gguf").write(tmp_path / "out.gguf")
    assert weighted(tmp_path / "out.gguf") < weighted(tmp_path / "plain.gguf")
    found = open_gguf(tmp_path / "out.gguf").metadata
    assert found["quantize.imatrix.file"] == str(tmp_path / "i.gguf")
    assert found["quantize.imatrix.dataset"] == "a text"
    assert (found["quantize.imatrix.entries_count"], found["quantize.imatrix.chunks_count"]) == (2, 4)


def test_few_bits_are_refused_without_importance(model: Path, tmp_path: Path) -> None:
    work = Quantisation(model, wanted("IQ2_XS"))
    assert "attn_q.weight: IQ2_XS needs an importance matrix" in (work.missing() or "")
    with pytest.raises(UsageError, match="needs an importance matrix"):
        work.write(tmp_path / "out.gguf")
    other = importance(tmp_path / "i.gguf", n_columns=128)
    with pytest.raises(ModelFileError, match="it is of another model"):
        Quantisation(model, wanted("Q4_K_M"), other).write(tmp_path / "out.gguf")
    assert sorted(os.listdir(tmp_path)) == ["i.gguf", "in.gguf"]


def split(model: Path, folder: Path) -> Path:
    """The model in two files."""
    tensors = [(name, "F32", shape, weights(name)) for name, shape in SHAPES.items()]
    keys = {"split.count": np.uint16(2), "split.tensors.count": np.int32(len(tensors))}
    first, second = (folder / f"m-{i:05d}-of-00002.gguf" for i in (1, 2))
    write_gguf(first, {**METADATA, **keys, "split.no": np.uint16(0)}, tensors[:2])
    write_gguf(second, {**keys, "split.no": np.uint16(1)}, tensors[2:])
    return first


def test_split_files_are_joined_or_stay_split(model: Path, tmp_path: Path) -> None:
    first = split(model, tmp_path)
    Quantisation(first, wanted("Q8_0")).write(tmp_path / "one.gguf")
    assert not [key for key in open_gguf(tmp_path / "one.gguf").metadata if key.startswith("split.")]
    Quantisation(first, wanted("Q8_0", keep_split=True)).write(tmp_path / "many.gguf")
    files = sorted(path.name for path in tmp_path.glob("many*"))
    assert files == ["many-00001-of-00002.gguf", "many-00002-of-00002.gguf"]
    assert types(tmp_path / files[1]) == types(tmp_path / "one.gguf")
    assert [len(gguf.GGUFReader(tmp_path / name).tensors) for name in files] == [2, 3]


@pytest.mark.parametrize("mix", ["F16", "BF16", "Q8_0", "Q2_K", "MXFP4"])
def test_the_gguf_package_reads_what_is_written(mix: str, model: Path, tmp_path: Path) -> None:
    Quantisation(model, wanted(mix)).write(tmp_path / "out.gguf")
    for one in gguf.GGUFReader(tmp_path / "out.gguf").tensors:
        before = weights(one.name)
        after = gguf.quants.dequantize(one.data, one.tensor_type).reshape(before.shape)
        assert np.sqrt(((after - before) ** 2).sum() / (before**2).sum()) < 0.4
    assert open_gguf(tmp_path / "out.gguf").metadata["general.file_type"] == MIXES[mix].number


def test_weights_that_are_not_finite_are_refused_by_name(model: Path, tmp_path: Path) -> None:
    values = {name: weights(name) for name in SHAPES}
    values["blk.0.attn_q.weight"][3, 5] = np.nan
    write_gguf(tmp_path / "bad.gguf", METADATA, [(name, "F32", one.shape, one) for name, one in values.items()])
    with pytest.raises(ModelFileError, match=r"attn_q\.weight: holds values that are not finite"):
        Quantisation(tmp_path / "bad.gguf", wanted("Q8_0")).write(tmp_path / "out.gguf")
    assert sorted(os.listdir(tmp_path)) == ["bad.gguf", "in.gguf"]


def test_an_interruption_at_any_moment_leaves_nothing_and_what_was_there(model: Path, tmp_path: Path) -> None:
    (tmp_path / "out.gguf").write_bytes(b"before")
    work, calls = Quantisation(model, wanted("Q8_0")), []
    work.write(tmp_path / "other.gguf", report=lambda *args: calls.append(args))
    (tmp_path / "other.gguf").unlink()
    for stop in range(len(calls)):

        def report(*_: object, left: list[int] = [stop]) -> None:  # noqa: B006 - each has its own
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work.write(tmp_path / "out.gguf", overwrite=True, report=report)
        assert sorted(os.listdir(tmp_path)) == ["in.gguf", "out.gguf"]
        assert (tmp_path / "out.gguf").read_bytes() == b"before"


def test_the_model_is_never_written_over(model: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    (tmp_path / "link.gguf").symlink_to(model)
    for path in (model, tmp_path / "link.gguf"):
        with pytest.raises(UsageError, match="is the file that is read"):
            Quantisation(model, wanted("Q8_0")).write(path, overwrite=True)
    assert model.read_bytes() == before
    shutil.rmtree(tmp_path)
