import pytest

from llamachat.catalog.splits import part_names, split_of


def test_a_split_model_s_name_says_which_of_how_many() -> None:
    split = split_of("big-00002-of-00003.gguf")
    assert split is not None
    assert (split.stem, split.number, split.count) == ("big", 2, 3)


@pytest.mark.parametrize(
    "name",
    ["big.gguf", "big-1-of-3.gguf", "big-00004-of-00003.gguf", "big-00000-of-00003.gguf", "big-00001-of-99999.gguf"],
)
def test_any_other_name_is_one_whole_file(name: str) -> None:
    assert split_of(name) is None
    assert part_names(name) == [name]


def test_the_names_of_all_parts_follow_from_any_of_them() -> None:
    assert part_names("a-00002-of-00003.GGUF") == [f"a-0000{number}-of-00003.GGUF" for number in (1, 2, 3)]
