"""Small whole models with a vocabulary, as bytes: what the fuzzer damages where it wants tokenizers too."""

from gguf_bytes import BOOL, F32, I32, STRING, U32, Info, Key, array, gguf_bytes, scalar

COUNTS = {
    "llama.context_length": 64,
    "llama.embedding_length": 8,
    "llama.block_count": 1,
    "llama.feed_forward_length": 8,
    "llama.attention.head_count": 2,
    "llama.attention.head_count_kv": 1,
}
DIMS = {
    "output_norm.weight": (8,),
    "blk.0.attn_norm.weight": (8,),
    "blk.0.attn_q.weight": (8, 8),
    "blk.0.attn_k.weight": (8, 4),
    "blk.0.attn_v.weight": (8, 4),
    "blk.0.attn_output.weight": (8, 8),
    "blk.0.ffn_norm.weight": (8,),
    "blk.0.ffn_gate.weight": (8, 8),
    "blk.0.ffn_up.weight": (8, 8),
    "blk.0.ffn_down.weight": (8, 8),
}


def model(vocabulary: dict[str, bytes], n_vocab: int) -> bytes:
    """A llama of one layer with this vocabulary."""
    pairs: list[tuple[Key, bytes]] = [("general.architecture", scalar(STRING, "llama"))]
    pairs += [(key, scalar(U32, count)) for key, count in COUNTS.items()]
    pairs += [("llama.attention.layer_norm_rms_epsilon", scalar(F32, 1e-5))]
    pairs += [(f"tokenizer.ggml.{key}", value) for key, value in vocabulary.items()]
    infos, offset = [], 0
    for name, dims in {"token_embd.weight": (8, n_vocab), **DIMS}.items():
        infos.append(Info(name, dims, 0, offset))
        offset += -(-4 * dims[0] * (dims[1] if len(dims) > 1 else 1) // 32) * 32
    return gguf_bytes(pairs, infos, offset)


def byte_pairs() -> bytes:
    """Byte-level BPE, as GPT-2's."""
    letters = [chr(n) for n in range(33, 127)] + [chr(n) for n in range(0x100, 0x143)]
    tokens = [*letters, "he", "ll", "hell", "<|im_end|>", "<tool>"]
    vocabulary = {
        "model": scalar(STRING, "gpt2"),
        "pre": scalar(STRING, "smollm"),
        "tokens": array(STRING, tokens),
        "token_type": array(I32, [1] * (len(tokens) - 2) + [3, 4]),
        "merges": array(STRING, ["h e", "l l", "he ll"]),
        "bos_token_id": scalar(U32, 0),
        "eos_token_id": scalar(U32, len(tokens) - 2),
        "add_bos_token": scalar(BOOL, 1),
    }
    return model(vocabulary, len(tokens))


def scored_pieces() -> bytes:
    """SentencePiece-style, as Llama's."""
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{n:02X}>" for n in range(256)),
        "\u2581",
        "h",
        "e",
        "l",
        "he",
        "ll",
        "hell",
    ]
    vocabulary = {
        "model": scalar(STRING, "llama"),
        "tokens": array(STRING, tokens),
        "scores": array(F32, [-float(n) for n in range(len(tokens))]),
        "token_type": array(I32, [2, 3, 3] + [6] * 256 + [1] * 7),
        "unknown_token_id": scalar(U32, 0),
        "add_space_prefix": scalar(BOOL, 1),
    }
    return model(vocabulary, len(tokens))


def word_pieces() -> bytes:
    """WordPiece, as BERT's."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581he", "ll", "\u2581h", "e", "l", "o", "\u2581,"]
    vocabulary = {
        "model": scalar(STRING, "bert"),
        "tokens": array(STRING, tokens),
        "token_type": array(I32, [3, 2, 3, 3] + [1] * 7),
        "cls_token_id": scalar(U32, 2),
        "seperator_token_id": scalar(U32, 3),
        "unknown_token_id": scalar(U32, 1),
    }
    return model(vocabulary, len(tokens))


SEEDS = {"byte pairs": byte_pairs, "scored pieces": scored_pieces, "word pieces": word_pieces}
