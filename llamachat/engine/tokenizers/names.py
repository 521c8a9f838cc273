"""Texts by which tokens are known to end a turn or a generation, whatever type the file gives them (as llama.cpp)."""

END_OF_TURN = (
    *("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>"),
    *("[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"),
)

FILL_IN_PADDING = ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]")
REPOSITORY = ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>")
FILE_SEPARATOR = ("<|file_sep|>",)

END_OF_GENERATION = (
    *END_OF_TURN,
    *("<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "</s>", "<|eom_id|>", "[EOS]", "<eos>", "<turn|>"),
    *("<|tool_response|>", "[e~["),
    *FILL_IN_PADDING,
    *REPOSITORY,
    *FILE_SEPARATOR,
)

CONTROL_TEXTS = frozenset(END_OF_GENERATION)
