"""Formulas in answers are shown as they were written."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screens import DRAWINGS

from llamachat.terminal.formulas import formula_end
from llamachat.terminal.markdown import markdown_lines


def shown(text, columns=100):
    return "\n".join(re.sub(DRAWINGS, "", line) for line in markdown_lines(text, columns))


FORMULAS = [
    r"\(\pi r^2\)",
    r"\[ \int_0^1 x\,dx \]",
    r"$x_{i}^{*} + y_{j}^{*}$",
    r"$$a & b \\ c & d$$",
    r"$a*b*c$",
    r"$\{x \mid x > 0\}$",
    r"$ x_1 * x_2 * x_3 $",
    r"\(a*b*c \\ d\)",
    r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}",
    r"3$\times$4",
    r"$\$5 * 2 * 3$",
    r"$f(x) = \begin{cases} 1 & x_a \\ 0 & x_b \end{cases}$",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize(
    "around", ["{}", "The area is {} and *more*.", "- {}", "> {}", "# {}", "**{}**", "1. {}\n2. {}"]
)
def test_a_formula_is_shown_as_it_was_written(formula, around):
    text = shown(around.replace("{}", formula))
    assert text.count(formula) == around.count("{}")
    assert "*more*" not in text


BLOCKS = [
    "$$\n{}\n$$",
    "\\[\n{}\n\\]",
    "\\begin{align*}\n{}\n\\end{align*}",
    "\\[ {}\n\\]",
]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("inside", ["a & b \\\\\n+ c \\\\\n- d", "# x\n\n= y_*z*_", "1. a\n> b\n---\nc\n===", "```"])
@pytest.mark.parametrize("around", ["{}", "Text:\n{}\nand *more*.", "- item\n\n  {}\n\n  text"])
def test_lines_of_a_formula_are_no_markdown(block, inside, around):
    indent = "\n  " if around.startswith("-") else "\n"
    written = block.replace("{}", inside)
    text = shown(around.replace("{}", written.replace("\n", indent)))
    for line in written.split("\n"):
        assert line in text
    assert "*more*" not in text


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("It costs $5 and $10, *really*.", "It costs $5 and $10, really."),
        ("From $5-*10* to $20.", "From $5-10 to $20."),
        ("5$ *and* 6$", "5$ and 6$"),
        ("US$5 *or* A$6", "US$5 or A$6"),
        ("Set $HOME and *then* $PATH.", "Set $HOME and then $PATH."),
        ("$5\\*$6", "$5*$6"),
        ("a \\* b", "a * b"),
        ("$$$ *rich* $$$", "$$$ rich $$$"),
        ("`$a` *x* `$b`", "$a x $b"),
    ],
)
def test_prices_and_variables_stay_as_they_are(text, right):
    assert shown(text).replace("`", "") == right


@pytest.mark.parametrize("text", [r"`\(x\)` and `$a_b$ *c*`", "```\n$x_{*}$ \\[ *y* \\]\n```", "    $a*b*c$ \\\\"])
def test_code_is_no_formula(text):
    for piece in (r"\(x\)", "$a_b$ *c*", "$x_{*}$ \\[ *y* \\]", "$a*b*c$ \\\\"):
        assert (piece in text) == (piece in shown(text))


@pytest.mark.parametrize(
    "formula", [r"\(\frac{a}{b} * x_*", r"\[ \int_0^1 x\,dx * y *", "$$ a \\\\ *b* c_1", r"$x_{i}^{*} + y^{*}"]
)
def test_a_formula_that_was_cut_is_shown_as_far_as_it_came(formula):
    assert formula in shown(f"So {formula}")


def test_what_only_begins_like_one_is_markdown():
    assert shown("It is \\[sic *here*") == "It is [sic here"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.sampled_from("$\\()[]ab{}*_ \n5^"), max_size=40))
def test_no_text_makes_it_fail_or_lose_a_letter(text):
    lines = shown(text)
    assert [c for c in lines if c in "ab5"] == [c for c in text if c in "ab5"] or re.search(r"^\s*5?[).]?", text, re.M)
    assert all(at <= formula_end(text, at) <= len(text) for at in range(len(text)))


def test_many_openings_take_no_time():
    text = "\\(" * 20_000 + "$x " * 5_000
    assert formula_end(text, 0) == 0
    assert len(shown(text).replace("\n", "")) > 0
