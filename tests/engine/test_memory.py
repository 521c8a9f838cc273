"""The plan before loading, and what the system says is free."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from llamachat.engine.memory import available_memory, parse_size, plan_memory, size_text
from llamachat.engine.model import Model
from llamachat.errors import ExitCode, NotEnoughMemory, UsageError

GB = 10**9
MB = 10**6


def each(n_bytes: int) -> Callable[[int], int]:
    """A cache in which every token takes so many bytes."""
    return lambda n: n * n_bytes


def test_the_default_context_is_the_models_own() -> None:
    plan = plan_memory(GB, each(1000), MB, None, 2048, 16 * GB)
    assert (plan.n_ctx, plan.weights, plan.cache, plan.scratch, plan.note) == (2048, GB, 2_048_000, MB, "")
    assert plan.total == GB + 2_048_000 + MB


def test_the_default_context_ends_at_8192() -> None:
    assert plan_memory(GB, each(1000), MB, None, 131_072, 16 * GB).n_ctx == 8192


def test_too_little_memory_makes_the_default_context_smaller_and_says_so() -> None:
    plan = plan_memory(GB, each(MB), 0, None, 8192, GB + 3000 * MB)
    assert plan.n_ctx == 2816
    assert plan.note == "context 2816 instead of 8192 tokens, because only 4.0 GB are free"


def test_a_plan_that_just_fits_is_kept() -> None:
    assert plan_memory(GB, each(MB), 7, 512, 8192, GB + 7 + 512 * MB).n_ctx == 512


def test_a_context_beyond_the_training_is_given_with_a_note() -> None:
    plan = plan_memory(GB, each(1000), 0, 4096, 2048, 16 * GB)
    assert plan.n_ctx == 4096
    assert "longer than the 2048" in plan.note


def test_a_model_without_a_cache_takes_any_context() -> None:
    assert plan_memory(GB, each(0), 0, None, 8192, GB).n_ctx == 8192


@pytest.mark.parametrize(
    ("requested", "available", "sentence"),
    [
        pytest.param(
            8192,
            3 * GB + 100 * MB,
            "needs 9.2 GB, 3.1 GB are free; a context of 2048 tokens would fit",
            id="smaller fits",
        ),
        pytest.param(8192, GB + 10 * MB, r"1\.0 GB of it without any context.*not even 256 tokens", id="nothing fits"),
        pytest.param(None, GB // 2, "500 MB are free; not even 256 tokens fit, choose a smaller", id="weights alone"),
    ],
)
def test_too_little_memory_is_refused_with_the_numbers(requested: int | None, available: int, sentence: str) -> None:
    with pytest.raises(NotEnoughMemory, match=sentence) as raised:
        plan_memory(GB, each(MB), 4 * MB, requested, 8192, available)
    assert raised.value.exit_code is ExitCode.MEMORY


def test_a_cache_that_grows_more_slowly_after_its_windows_is_planned_as_it_is() -> None:
    def cache(n: int) -> int:
        return n * MB + 9 * MB * min(n, 2048)

    assert plan_memory(GB, cache, 0, 8192, 8192, GB + cache(8192)).cache == (8192 + 9 * 2048) * MB
    assert plan_memory(GB, cache, 0, None, 8192, GB + cache(4096) + 255 * MB).n_ctx == 4096
    assert plan_memory(GB, cache, 0, None, 8192, GB + cache(512)).n_ctx == 512


@pytest.mark.parametrize("n_ctx", [0, -5])
def test_a_context_below_one_token_is_a_wrong_option(n_ctx: int) -> None:
    with pytest.raises(UsageError, match="it must have 1 or more"):
        plan_memory(GB, each(MB), 0, n_ctx, 8192, 16 * GB)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param("1048576", 1_048_576, id="bytes"),
        pytest.param("4G", 4 * GB, id="short"),
        pytest.param(" 1.5 gb ", 1_500_000_000, id="with blanks"),
        pytest.param("500M", 500 * MB, id="megabytes"),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(text, "it") == size


@pytest.mark.parametrize("text", ["", "much", "-4G", "4X", "1e9"])
def test_what_is_no_size_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(UsageError, match="LLAMACHAT_MEMORY is"):
        parse_size(text, "LLAMACHAT_MEMORY")


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(17, "17 bytes"), (1500, "2 kB"), (93 * MB, "93 MB"), (9_140_000_000, "9.1 GB")],
)
def test_a_size_is_written_for_a_person(n_bytes: int, text: str) -> None:
    assert size_text(n_bytes) == text


def test_the_override_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_MEMORY", "4G")
    assert available_memory() == 4 * GB


def test_this_machine_has_some_memory() -> None:
    assert available_memory() > MB


MEMINFO = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    8000 kB\n"


def system(root: Path, files: dict[str, str]) -> Path:
    """A folder that looks like the root of a Linux system."""
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = "sys/fs/cgroup/"
V1 = "sys/fs/cgroup/memory/"
LIMITS = [
    pytest.param({}, 8_192_000, id="no groups"),
    pytest.param({"proc/self/cgroup": "0::/\n"}, 8_192_000, id="a group without limits"),
    pytest.param(
        {"proc/self/cgroup": "0::/\n", f"{V2}memory.max": "3000\n", f"{V2}memory.current": "1000\n"},
        2000,
        id="limit minus usage",
    ),
    pytest.param(
        {
            "proc/self/cgroup": "0::/\n",
            f"{V2}memory.max": "3000\n",
            f"{V2}memory.current": "2900\n",
            f"{V2}memory.stat": "anon 5\nactive_file 600\ninactive_file 300\n",
        },
        1000,
        id="file cache counts as free",
    ),
    pytest.param(
        {
            "proc/self/cgroup": "0::/a/b\n",
            f"{V2}a/b/memory.max": "max\n",
            f"{V2}a/b/memory.current": "10\n",
            f"{V2}a/memory.max": "5000\n",
            f"{V2}a/memory.current": "1000\n",
        },
        4000,
        id="the group above limits",
    ),
    pytest.param(
        {"proc/self/cgroup": "0::/\n", f"{V2}memory.max": "3000\n", f"{V2}memory.current": "4000\n"},
        0,
        id="beyond its limit",
    ),
    pytest.param(
        {"proc/self/cgroup": "0::/../../x\n", "sys/memory.max": "1\n", "sys/memory.current": "0\n"},
        8_192_000,
        id="a group outside the mount",
    ),
    pytest.param(
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/box\n0::/\n",
            f"{V1}box/memory.limit_in_bytes": "7000\n",
            f"{V1}box/memory.usage_in_bytes": "3000\n",
            f"{V1}box/memory.stat": "total_inactive_file 500\ntotal_active_file 100\n",
            f"{V1}memory.limit_in_bytes": "9223372036854771712\n",
            f"{V1}memory.usage_in_bytes": "5000\n",
        },
        4600,
        id="the older hierarchy",
    ),
]


@pytest.mark.skipif("sys.platform != 'linux'", reason="/proc and /sys are Linux's")
@pytest.mark.parametrize(("files", "free"), LIMITS)
def test_the_free_memory_is_the_least_of_the_systems_and_the_containers(
    tmp_path: Path, files: dict[str, str], free: int
) -> None:
    assert available_memory(system(tmp_path, files)) == free


def test_without_proc_what_is_free_counts_and_not_all_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MB < available_memory(tmp_path) < psutil.virtual_memory().total
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=16 * GB, available=3 * GB))
    assert available_memory(tmp_path) == 3 * GB


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_the_plan_counts_what_packing_takes(golden: Path, name: str) -> None:
    """Tiny matrices are mostly padding."""
    with Model(golden / "archs" / f"{name}.gguf", threads=1) as model:
        assert model.plan.weights == model._loaded.weight_bytes
        assert model.plan.weights > sum(tensor.n_bytes for tensor in model.file.tensors.values()) // 2
