"""`config.json`: settings of which each must be read, be without effect, or be refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from llamachat.engine.gguf.metadata import shown
from llamachat.errors import ModelFileError, Unsupported

LARGEST_FILE: Final = 1 << 26

_NAMES: Final = """
_name_or_path _attn_implementation _attn_implementation_autoset _commit_hash architectures auto_map model_type
transformers_version torch_dtype dtype cache_implementation custom_pipelines tf_legacy_loss torchscript
initializer_range initializer_factor initializer_cutoff_factor initializer_std init_std rescale_prenorm_residual
gradient_checkpointing use_cache use_flash_attn use_flash_attention_2 use_cache_quantization use_bfloat16 fp16 bf16
fp32 output_attentions output_hidden_states output_past return_dict return_dict_in_generate output_scores
bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id mask_token_id cls_token_id
decoder_start_token_id forced_bos_token_id forced_eos_token_id image_token_index image_token_id
boi_token_index eoi_token_index mm_tokens_per_image boi_token_id eoi_token_id audio_token_id
vision_start_token_id vision_end_token_id vision_token_id video_token_id vision_config audio_config
pretraining_tp slow_but_exact is_decoder is_encoder_decoder add_cross_attention cross_attention_hidden_size
tie_encoder_decoder tie_word_embeddings tokenizer_class prefix problem_type finetuning_task task_specific_params
pruned_heads id2label label2id chunk_size_feed_forward classifier_dropout keys_to_ignore_at_inference
attention_bias mlp_bias use_bias bias qkv_bias use_qkv_bias attention_qkv_bias lm_head_bias use_mlp_bias
router_aux_loss_coef aux_loss_alpha seq_aux router_jitter_noise router_z_loss_coef output_router_logits
min_length max_length max_new_tokens do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature
top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size
bad_words_ids num_return_sequences exponential_decay_length_penalty suppress_tokens begin_suppress_tokens
remove_invalid_values unsloth_version unsloth_fixed unsloth_tracking vocab_size_multiple pad_vocab_size_multiple
"""
WITHOUT_EFFECT: Final = frozenset(_NAMES.split())
"""Settings that concern training, generation or the program that wrote the file; biases are where their tensors are."""

_DROPOUT: Final = re.compile(r"(^|_)(dropout|drop|pdrop|dropout_rate|dropout_prob|droprate)($|_)")


class Config(Mapping[str, Any]):
    """The settings, those of `text_config` in front. What is asked for counts as read; None counts as not there.

    defaults: what the family's own code assumes where the file says nothing. names: settings without effect here.
    """

    def __init__(self, settings: Mapping[str, Any], path: object = "config.json") -> None:
        self.path = path
        text = settings.get("text_config")
        own = text if isinstance(text, dict) else {}
        self._settings = {**settings, **own, "architectures": settings.get("architectures")}
        self._settings.pop("text_config", None)
        self._read = set[str]()

    def __getitem__(self, name: str) -> Any:
        value = self._settings.get(name)
        if value is None:
            raise KeyError(name)
        self._read.add(name)
        return value

    def __iter__(self) -> Any:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def with_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Fills in what the file does not say."""
        for name, value in defaults.items():
            if self._settings.get(name) is None:
                self._settings[name] = value

    def first(self, names: Iterable[str], default: Any = None) -> Any:
        """The first of some names that the file has; all of them count as read."""
        found = [self[name] for name in names if name in self]
        return found[0] if found else default

    def __contains__(self, name: object) -> bool:
        return self._settings.get(name) is not None

    def need(self, name: str) -> Any:
        """A setting that must be there. Raises ModelFileError."""
        if name not in self:
            raise ModelFileError("this setting is missing", self.path, name)
        return self[name]

    def refuse(self, name: str, why: str) -> Unsupported:
        """The error to raise about a setting."""
        return Unsupported(f"is {shown(_text(self._settings.get(name)))}: {why}", self.path, shown(name))

    def must(self, name: str, values: Iterable[Any]) -> None:
        """Raises Unsupported where a setting has none of the values that are known here; a missing one is fine."""
        known = list(values)
        if name in self and self[name] not in known:
            wanted = " or ".join(shown(_text(one)) for one in known)
            raise self.refuse(name, f"only {wanted} is supported for this model")

    def check_all_read(self, without_effect: Iterable[str], accepted: Iterable[str] = ()) -> None:
        """Raises Unsupported for a setting that nobody knows, unless it is off or the person accepts it."""
        known = WITHOUT_EFFECT | self._read | set(without_effect) | set(accepted)
        for name, value in self._settings.items():
            if name in known or name.startswith("_") or _DROPOUT.search(name) or _is_off(value):
                continue
            raise self.refuse(name, "this setting is not known for this model and could change its results")


def read_config(folder: Path) -> Config:
    """The folder's `config.json`. Raises ModelFileError."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelFileError("there is no config.json: this is no folder of a Hugging Face model", folder)
    return Config(read_json(path), path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ModelFileError for a file that is none."""
    if path.stat().st_size > LARGEST_FILE:
        raise ModelFileError("the file is too large to be what its name says", path)
    try:
        value = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"the file is no JSON ({error})", path) from error
    if not isinstance(value, dict):
        raise ModelFileError("the file is no JSON object", path)
    return value


def _is_off(value: object) -> bool:
    return value is None or value is False or (isinstance(value, list | dict | str) and not value)


def _text(value: object) -> object:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)
