"""Names of settings that /set understands besides its own: those of the options, of llama.cpp and of ollama."""

from collections.abc import Mapping
from types import MappingProxyType

from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError
from llamachat.terminal.commands.nearest import nearest

OPTIONS = {
    other: name
    for name, item in SamplingOptions.__dataclass_fields__.items()
    for other in item.metadata.get("also", ())
}
"""The other names that options of samplers have."""

SYNONYMS = {
    **OPTIONS,
    **dict.fromkeys(("num_ctx", "n_ctx", "c", "ctx", "context", "context_size", "context_length"), "ctx_size"),
    **dict.fromkeys(("num_predict", "predict", "n", "max_tokens", "max_new_tokens", "n_tokens"), "n_predict"),
    **dict.fromkeys(("num_keep", "n_keep"), "keep"),
    **dict.fromkeys(("stops", "stop_sequence", "stop_sequences", "stop_strings", "reverse_prompt", "r"), "stop"),
    **dict.fromkeys(("typ_p", "locally_typical", "typical_sampling"), "typical"),
    **dict.fromkeys(("tfs_z", "tail_free"), "tfs"),
    **dict.fromkeys(("repetition_penalty", "rep_pen", "penalty_repeat"), "repeat_penalty"),
    **dict.fromkeys(("penalty_last_n", "repeat_last", "repetition_penalty_range"), "repeat_last_n"),
    **dict.fromkeys(("penalty_freq", "frequency"), "frequency_penalty"),
    **dict.fromkeys(("penalty_present", "presence"), "presence_penalty"),
    **dict.fromkeys(("penalize_newline", "penalise_nl"), "penalize_nl"),
    **dict.fromkeys(("mirostat_eta",), "mirostat_lr"),
    **dict.fromkeys(("mirostat_tau",), "mirostat_ent"),
    **dict.fromkeys(("dynatemp_exponent",), "dynatemp_exp"),
    **dict.fromkeys(("dry_sequence_breakers",), "dry_sequence_breaker"),
    **dict.fromkeys(("sampler", "sampler_order"), "samplers"),
    **dict.fromkeys(("sampler_seq",), "sampling_seq"),
    **dict.fromkeys(("ctk", "type_k"), "cache_type_k"),
    **dict.fromkeys(("ctv", "type_v"), "cache_type_v"),
    **dict.fromkeys(("when_full", "overflow"), "on_full"),
    "v": "verbose",
}

ELSEWHERE = {
    **dict.fromkeys(("think", "thinking", "enable_thinking", "rea"), "/think on or /think off"),
    **dict.fromkeys(("nothink", "no_think"), "/think off"),
    **dict.fromkeys(("system", "system_prompt", "system_file", "sys", "sysf", "prompt"), "/system TEXT"),
    **dict.fromkeys(
        ("format", "json", "j", "jf", "json_schema", "json_schema_file", "schema"), "/json or /json SCHEMA"
    ),
    **dict.fromkeys(("noformat", "nojson"), "/json off"),
    **dict.fromkeys(("grammar", "grammar_file"), "/grammar GBNF"),
    **dict.fromkeys(("model", "m"), "/model NAME"),
    **dict.fromkeys(("lora", "lora_scaled", "adapter"), "/lora FILE SCALE"),
    **dict.fromkeys(("session", "continue", "resume"), "/load CHAT"),
    **dict.fromkeys(("file", "f"), "/file PATH, or @PATH in a message"),
    **dict.fromkeys(("quiet",), "/set verbose off"),
    **dict.fromkeys(("context_shift",), "/set on_full shift or /set on_full stop"),
    **dict.fromkeys(("name", "chat_name"), "/save NAME"),
}
"""What another command does."""

AT_THE_START = {
    **dict.fromkeys(("threads", "t", "num_thread"), "-t"),
    **dict.fromkeys(("grp_attn_n", "gan"), "--grp-attn-n"),
    **dict.fromkeys(("grp_attn_w", "gaw"), "--grp-attn-w"),
    **dict.fromkeys(("chat_template", "chat_template_file", "template", "jinja"), "--chat-template"),
    **dict.fromkeys(("save", "no_save", "history", "nohistory"), "--no-save"),
    **dict.fromkeys(("draft", "draft_n", "draft_n_min"), "--model-draft"),
}  # fmt: skip
"""What others set in a chat and this program when it starts, and the option. Its own options are found by name."""

NOT_HERE = {
    **dict.fromkeys(("num_gpu", "n_gpu_layers", "ngl", "main_gpu", "low_vram"), "models run on the processor here"),
    **dict.fromkeys(("num_batch", "batch_size", "b", "ubatch_size", "ub"), "prompts are always read in good pieces"),
    **dict.fromkeys(("use_mmap", "no_mmap", "mmap", "use_mlock", "mlock"), "files are always mapped and never locked"),
    **dict.fromkeys(("numa", "f16_kv", "vocab_only", "logits_all"), "there is no such choice here"),
    **dict.fromkeys(("wordwrap", "nowordwrap"), "answers always wrap at words"),
}
"""What others set and this program does not need, and why."""


def canonical(name: str, known: Mapping[str, object], at_the_start: Mapping[str, str] = MappingProxyType({})) -> str:
    """The setting of that name. Raises UsageError with what to do instead where /set has none.

    at_the_start: options of the program by their names; most of them are settings, too.
    """
    wanted = name.lower().lstrip("-").replace("-", "_")
    wanted = wanted if wanted in known else SYNONYMS.get(wanted, wanted)
    if wanted in known:
        return wanted
    plain = wanted.removeprefix("no_") if wanted not in (*ELSEWHERE, *AT_THE_START, *NOT_HERE) else wanted
    if wanted.startswith("no_") and plain in known:
        raise UsageError(f"there is no setting {name!r}: /set {plain} off does that")
    if plain in ELSEWHERE:
        raise UsageError(f"/set has no {name}: {ELSEWHERE[plain]} does that")
    option = AT_THE_START.get(plain) or at_the_start.get(wanted)
    if option is not None:
        raise UsageError(f"{name} is set when llamachat starts: {option}")
    if plain in NOT_HERE:
        raise UsageError(f"there is no setting {name!r}: {NOT_HERE[plain]}")
    close = nearest(wanted, [*known, *SYNONYMS])
    raise UsageError(
        f"there is no setting {name!r}; " + (f"did you mean {close}?" if close else "/set alone shows all of them")
    )
