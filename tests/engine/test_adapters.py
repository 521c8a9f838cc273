"""LoRA adapters and control vectors: the golden ones, equal bits, what is refused, and what contexts have of them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from golden_data import needed
from golden_models import NAMES, nmse

import llamachat
from llamachat.engine.adapters import NONE, Adapters
from llamachat.engine.adapters.weaving import products, weave
from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.graph import Tensor
from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.quants.tensors import decode
from llamachat.engine.reference import evaluate
from llamachat.errors import ModelFileError, NotEnoughMemory, Unsupported, UsageError

ADAPTED = [name for name in ("llama", "gemma3", "qwen2", "qwen3moe", "phi3", "gpt2", "mamba") if name in NAMES]
GELU = ("gemma3", "gpt2")
"""Made with the usual build, whose GELU is a table of half-precision numbers."""


def adapters_of(golden: Path, name: str) -> dict[str, Adapters]:
    a, b, vector = (needed(golden / "adapters" / f"{name}-{which}.gguf") for which in ("a", "b", "cvec"))
    return {
        "plain": NONE,
        "a_1": Adapters.of([a]),
        "a_half": Adapters.of([(a, 0.5)]),
        "a_minus": Adapters.of([(a, -0.25)]),
        "ab": Adapters.of([(a, 0.5), (b, 1.5)]),
        "cvec_all": Adapters.of(control_vectors=[vector]),
        "cvec_some": Adapters.of(control_vectors=[vector], control_layers=(2, 2)),
    }


@pytest.mark.parametrize("name", ADAPTED)
def test_golden_adapters_and_vectors(golden: Path, name: str) -> None:
    wanted = np.load(needed(golden / "adapters" / f"{name}.npz"))
    tokens = wanted["tokens"].tolist()
    with Model(golden / "archs" / f"{name}.gguf", 2, cache_type="f32") as model:
        plain = model.context(64).eval(tokens, "all")
        for which, adapters in adapters_of(golden, name).items():
            model.adapt(adapters)
            whole = model.context(64).eval(tokens, "all")
            assert nmse(whole, wanted[which]) <= (1e-5 if name in GELU else 1e-7), which
            context = model.context(64)
            pieces = [context.eval(tokens[i:j], "all") for i, j in ((0, 1), (1, 2), (2, 7), (7, 20), (20, 64))]
            assert (np.concatenate(pieces) == whole).all(), which
        model.adapt(NONE)
        assert (model.context(64).eval(tokens, "all") == plain).all()
    with Model(golden / "archs" / f"{name}.gguf", 1, cache_type="f32", adapters=adapters_of(golden, name)["ab"]) as one:
        found = one.context(64).eval(tokens, "all")
        assert nmse(found, wanted["ab"]) <= (1e-5 if name in GELU else 1e-7)
        weights = {name: decode(tensor) for name, tensor in one.tensors.items()}
        assert nmse(found, evaluate(one.graph, weights.__getitem__, tokens)) <= 1e-8


@pytest.mark.parametrize("name", NAMES)
def test_layers_of_every_decoder_end_where_their_value_is_complete(golden: Path, name: str) -> None:
    """A direction of zeros behind each layer changes nothing, and everything later goes through it."""
    file = open_gguf(golden / "archs" / f"{name}.gguf")
    try:
        spec = describe(file.metadata, file.tensors)
    except Unsupported:
        pytest.skip("is not supported yet")
    graph = spec.graph()
    if not graph.layer_ends:
        pytest.skip("has no layers of a decoder")
    assert [end.width for end in graph.layer_ends] == [spec.params.n_embd] * spec.params.n_layer
    woven = weave(graph, {}, {i: Tensor(f"direction.{i}", (spec.params.n_embd,)) for i in range(spec.params.n_layer)})
    assert len(woven) == len(graph.nodes) + spec.params.n_layer
    last = graph.layer_ends[-1]
    behind = graph.nodes[graph.nodes.index(last) + 1 :]
    assert last is graph.nodes[-1] or any(last in node.inputs for node in behind)


@pytest.fixture(scope="module")
def model(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama.gguf", 1, cache_type="f32") as model:
        yield model


def changed(
    source: Path,
    path: Path,
    metadata: Mapping[str, object] | None = None,
    tensor: Callable[[str, np.ndarray], tuple[str, np.ndarray] | None] = lambda name, values: (name, values),
) -> Path:
    """A copy of a file with other metadata (None: without it), tensors renamed, reshaped, left out."""
    file = open_gguf(source)
    found = [tensor(name, decode(one).reshape(one.shape)) for name, one in file.tensors.items()]
    kept = [
        (name, "F32", values.shape, np.ascontiguousarray(values).view("u1").ravel())
        for name, values in filter(None, found)
    ]
    said = {**file.metadata, **(metadata or {})}
    write_gguf(path, {key: value for key, value in said.items() if value is not None}, kept)
    return path


Change = Callable[[str, np.ndarray], tuple[str, np.ndarray] | None]


def same(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    return name, values


def named(old: str, new: str) -> Change:
    return lambda name, values: (name.replace(old, new), values)


def cut(ending: str, place: tuple[slice, ...]) -> Change:
    return lambda name, values: (name, values[place] if name.endswith(ending) else values)


def without(ending: str) -> Change:
    return lambda name, values: None if name.endswith(ending) else (name, values)


def only_embeddings(name: str, values: np.ndarray) -> tuple[str, np.ndarray] | None:
    rows = 80 if name.endswith("lora_b") else len(values)
    return (name.replace("output", "token_embd"), values[:rows]) if name.startswith("output") else None


REFUSED: dict[str, tuple[Mapping[str, object], Change, str]] = {
    "architecture": ({"general.architecture": "qwen2"}, same, "is qwen2, but the model is llama"),
    "a model": ({"general.type": "model"}, same, "this file is no LoRA adapter"),
    "another kind": ({"adapter.type": "ia3"}, same, r"is ia3, which is not supported \(only lora\)"),
    "no kind": ({"adapter.type": None}, same, "adapter.type: is ''"),
    "aLoRA": ({"adapter.alora.invocation_tokens": np.array([1, 2], np.int32)}, same, "begins at certain tokens"),
    "alpha is a text": ({"adapter.lora.alpha": "8"}, same, "adapter.lora.alpha: is 8, must be a number"),
    "alpha is infinite": ({"adapter.lora.alpha": float("inf")}, same, "must be a number below 1e9"),
    "a tensor that the model has not": ({}, named("blk.1", "blk.7"), r"blk.7.attn_q.weight: the model"),
    "A is missing": ({}, without("0.ffn_up.weight.lora_a"), "ffn_up.weight.lora_a: this tensor is missing"),
    "another name": ({}, named("lora_b", "lora_c"), "lora_c: this tensor is not known in an adapter"),
    "another width": ({}, cut("lora_a", (slice(None), slice(56))), r"\[4, 56\], must be \[4, 64\]"),
    "another rank": ({}, cut("lora_a", (slice(3),)), r"\[3, 64\], must be \[4, 64\]"),
    "not a number": ({}, lambda name, values: (name, values * np.nan), "values that are not finite"),
    "nothing": ({}, lambda name, values: None, "the adapter has no tensors"),
    "a norm": (
        {},
        named("attn_q.weight", "attn_norm.weight"),
        "attn_norm.weight: this tensor of the model is no matrix",
    ),
    "embeddings": ({}, only_embeddings, "token_embd.weight: adapters of token embeddings are not supported"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_adapter_that_does_not_fit_is_refused_by_name(golden: Path, tmp_path: Path, model: Model, what: str) -> None:
    metadata, tensor, sentence = REFUSED[what]
    path = changed(golden / "adapters" / "llama-a.gguf", tmp_path / "a.gguf", metadata, tensor)
    with pytest.raises(ModelFileError, match=sentence) as caught:
        model.adapt(Adapters.of([path]))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert model.adapters.asked == NONE


VECTORS: dict[str, tuple[Mapping[str, object], Change, str]] = {
    "another model": (
        {"controlvector.model_hint": "gemma3"},
        same,
        "is gemma3, but the model is llama",
    ),
    "no vector": (
        {"general.architecture": "llama"},
        named("direction", "d"),
        "is no control vector",
    ),
    "a layer too many": ({}, named("1", "2"), "direction.2: the model has only 2 layers"),
    "the first layer": ({}, named("1", "0"), "direction.0: this tensor is not known"),
    "another width": ({}, cut("1", (slice(32),)), r"\[32\], must be \[64\]"),
    "nothing": ({}, lambda name, values: None, "the control vector has no directions"),
}


@pytest.mark.parametrize("what", VECTORS)
def test_a_vector_that_does_not_fit_is_refused_by_name(golden: Path, tmp_path: Path, model: Model, what: str) -> None:
    metadata, tensor, sentence = VECTORS[what]
    path = changed(golden / "adapters" / "llama-cvec.gguf", tmp_path / "v.gguf", metadata, tensor)
    with pytest.raises(ModelFileError, match=sentence) as caught:
        model.adapt(Adapters.of(control_vectors=[path]))
    assert str(path) in str(caught.value)


def test_files_that_are_cut_and_models_are_refused(golden: Path, tmp_path: Path, model: Model) -> None:
    whole = (golden / "adapters" / "llama-a.gguf").read_bytes()
    for n_bytes in range(0, len(whole), 997):
        path = tmp_path / "cut.gguf"
        path.write_bytes(whole[:n_bytes])
        for adapters in (Adapters.of([path]), Adapters.of(control_vectors=[path])):
            with pytest.raises(ModelFileError):
                model.adapt(adapters)
    path = golden / "archs" / "llama.gguf"
    for adapters, said in (
        (Adapters.of([path]), "no LoRA"),
        (Adapters.of(control_vectors=[path]), "no control vector"),
    ):
        with pytest.raises(ModelFileError, match=said):
            model.adapt(adapters)
    with pytest.raises(ModelFileError, match="this file goes with a model"):
        Model(golden / "adapters" / "llama-a.gguf")


def test_choices_that_make_no_sense_are_refused(golden: Path) -> None:
    path = golden / "adapters" / "llama-a.gguf"
    for scale in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match="must be a finite number"):
            Adapters.of([(path, scale)])
    for layers in ((2, 1), (-1, 3)):
        with pytest.raises(UsageError, match="are no range"):
            Adapters.of(control_vectors=[path], control_layers=layers)


def test_contexts_keep_the_adapters_they_were_made_with(golden: Path, model: Model) -> None:
    adapters, tokens = adapters_of(golden, "llama"), [3, 5, 7, 11]
    before, moved = model.context(32), model.context(32)
    plain = before.eval(tokens)
    moved.eval(tokens)
    model.adapt(adapters["ab"], [moved])
    assert moved.tokens == []
    with_both = model.context(32).eval(tokens)
    assert (moved.eval(tokens) == with_both).all()
    before.truncate(0)
    assert (before.eval(tokens) == plain).all()
    assert not (with_both == plain).all()
    model.adapt(NONE, [moved])
    assert (moved.eval(tokens) == plain).all()


def test_the_context_that_a_model_generates_in_by_itself_gets_them(golden: Path) -> None:
    adapters, tokens = adapters_of(golden, "llama"), [3, 5, 7, 11]
    with llamachat.Model(golden / "archs" / "llama.gguf", 1, cache_type="f32") as model:
        own = model._own_context
        plain = own.eval(tokens)
        model.adapt(adapters["ab"])
        assert own.tokens == []
        found = own.eval(tokens)
        assert (found == model.context(32).eval(tokens)).all()
        assert not (found == plain).all()


def test_fingerprints_differ_where_results_do(golden: Path, model: Model) -> None:
    found = {}
    for which, adapters in adapters_of(golden, "llama").items():
        model.adapt(adapters)
        found[which] = model.adapters.fingerprint
    assert found.pop("plain") == ""
    assert len(set(found.values())) == len(found)
    model.adapt(Adapters.of([(golden / "adapters" / "llama-a.gguf", 0.0)]))
    assert model.adapters.fingerprint == ""
    model.adapt(NONE)


def test_a_scale_of_zero_is_the_plain_model_to_the_bit(golden: Path, model: Model) -> None:
    plain = model.context(32).eval([1, 2, 3], "all")
    files = [(golden / "adapters" / f"llama-{which}.gguf", 0.0) for which in "ab"]
    model.adapt(Adapters.of(files, [(golden / "adapters" / "llama-cvec.gguf", 0)]))
    assert (model.context(32).eval([1, 2, 3], "all") == plain).all()
    model.adapt(NONE)


def test_memory_counts_adapters(golden: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, adapters = model.plan.weights, adapters_of(golden, "llama")["a_1"]
    model.adapt(adapters)
    assert model.plan.weights == model._loaded.weight_bytes > plain
    with Model(golden / "archs" / "llama.gguf", 1, cache_type="f32", adapters=adapters) as other:
        assert other.plan.weights == model.plan.weights
    model.adapt(NONE)
    assert model.plan.weights == plain
    monkeypatch.setenv("LLAMACHAT_MEMORY", "1000")
    with pytest.raises(NotEnoughMemory, match="the adapters take"):
        model.adapt(adapters)
    assert model.adapters.asked == NONE


def test_what_no_product_reads_is_said(golden: Path, tmp_path: Path) -> None:
    """As in llama.cpp, such a part of an adapter has no effect: the golden adapter of gpt2 has one."""
    name = "gpt2"
    if name not in NAMES:
        pytest.skip("gpt2 is not known yet")
    remarks: list[str] = []
    adapters = Adapters.of([needed(golden / "adapters" / "gpt2-a.gguf")])
    with Model(golden / "archs" / "gpt2.gguf", 1, adapters=adapters, note=remarks.append):
        assert remarks == ["gpt2-a.gguf: position_embd.weight is in no matrix product, and without effect"]


MERGED = (
    "llama",
    "llama-moe",
    "bitnet",
    "qwen3moe",
    "phi3",
    "gpt-oss",
    "llama4",
    "gemma4-moe",
    "grok-2",
    "mamba",
    "rwkv7",
)
"""Products of all kinds: dense, of experts, fused, with scales, biases and factors, beside recurrent operations."""


@pytest.mark.parametrize("name", [name for name in MERGED if name in NAMES])
def test_an_adapter_for_every_product_is_as_if_it_were_merged(golden: Path, tmp_path: Path, name: str) -> None:
    rng, path = np.random.default_rng(3), tmp_path / "all.gguf"
    with Model(golden / "archs" / f"{name}.gguf", 2, cache_type="f32") as model:
        merged, pairs = {one: decode(tensor).reshape(tensor.shape) for one, tensor in model.tensors.items()}, []
        for one, found in products(model.graph.nodes).items():
            *lead, n_out, n_in = found[0].weight.shape
            down = rng.standard_normal((*lead, 3, n_in)).astype(np.float32) / n_in**0.5
            up = rng.standard_normal((*lead, n_out, 3)).astype(np.float32) / 8
            pairs += [(f"{one}.lora_a", down), (f"{one}.lora_b", up)]
            merged[one] = merged[one] + 0.5 * 2 / 3 * up.astype(float) @ down
        metadata = {"general.architecture": model.spec.architecture, "general.type": "adapter", "adapter.type": "lora"}
        tensors = [
            (one, "F32", values.shape, values.view(np.uint8).ravel())
            for one, values in pairs
            if "token_embd" not in one
        ]
        write_gguf(path, {**metadata, "adapter.lora.alpha": 2.0}, tensors)
        if "token_embd.weight" in products(model.graph.nodes):
            merged["token_embd.weight"] = decode(model.tensors["token_embd.weight"])
        tokens = rng.integers(0, model.n_vocab, 20).tolist()
        wanted = evaluate(model.graph, merged.__getitem__, tokens)
        model.adapt(Adapters.of([(path, 0.5)]))
        whole, context = model.context(32).eval(tokens, "all"), model.context(32)
        assert (whole == np.stack([context.eval([token]) for token in tokens])).all()
    assert nmse(whole, wanted) <= 1e-8
