"""Texts by which tokens are known to have a role, whatever type the file gives them (as llama.cpp)."""

END_OF_TURN = (
    *("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>"),
    "▁<EOT>",
    *("[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"),
)

END_OF_MESSAGE = ("<|eom_id|>",)

END_OF_GENERATION = (
    *END_OF_TURN,
    *END_OF_MESSAGE,
    *("<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "</s>", "[EOS]", "<eos>", "<turn|>", "<|tool_response>"),
    "[e~[",
)

OPEN_SEPARATOR = "<file_sep>"
"""A separator of files that ends a filling, but no other text (StarCoder 2, SmolLM2)."""

# Filling in the middle: role -> the file's key, the key's older name, and the texts where both are missing.
FILL_IN: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "prefix": ("fim_pre", "prefix", (
        "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>",
        "<|prefix|>", "[PREFIX]",
    )),
    "suffix": ("fim_suf", "suffix", (
        "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>",
        "<|suffix|>", "[SUFFIX]",
    )),
    "middle": ("fim_mid", "middle", (
        "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>",
        "<|middle|>", "[MIDDLE]",
    )),
    "padding": ("fim_pad", "", ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]")),
    "repository": ("fim_rep", "", (
        "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<repo_name>",
    )),
    "file": ("fim_sep", "", ("<|file_sep|>", OPEN_SEPARATOR)),
}  # fmt: skip

CONTROL_TEXTS = (*END_OF_GENERATION, *(text for _, _, texts in FILL_IN.values() for text in texts))

# Parts of a harmony message, which a reader of the raw answer must see.
VISIBLE_TEXTS = ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>")
