"""Bold and italic beside text without spaces."""

import re

import pytest

from llamachat.terminal.markdown import markdown_lines


@pytest.mark.parametrize(
    ("text", "bold"),
    [
        ("これは**「強調」**です。", ["「強調」"]),
        ("**注意：**次の文。", ["注意："]),
        ("**重要！**今すぐ", ["重要！"]),
        ("是**“强调”**的", ["“强调”"]),
        ("**강조(强调)**를", ["강조(强调)"]),
        ("这是**Python（语言）**和**`代码`**吗", ["Python（语言）", "代码"]),
        ("**中文**。**另一个，**再", ["中文", "另一个，"]),
        ("a **b** c**d**e", ["b", "d"]),
        ("**English:** text", ["English:"]),
    ],
)
def test_what_is_between_two_stars_is_bold(text, bold):
    (line,) = markdown_lines(text, 100)
    assert "**" not in line
    found = re.findall(r"\x1b\[1m(.*?)(?:\x1b\[0m(?!\x1b\[1m)|$)", line)
    shown = ["".join(re.split(r"\x1b\[[0-9;]*m", one)) for one in found]
    assert [one for one in shown if one] == bold


@pytest.mark.parametrize("text", ["2 ** 3 ** 4", "a ** b", "** x **", "** 漢字 **", "a*\u3000b*"])
def test_stars_between_spaces_stay(text):
    assert "".join(markdown_lines(text, 100)).count("*") == text.count("*")


def test_struck_text_beside_marks():
    assert "~~" not in "".join(markdown_lines("これは~~「強調」~~です", 100))
