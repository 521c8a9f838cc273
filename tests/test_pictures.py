"""The pictures of the documentation are there, are drawings, and show what the program shows."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "docs" / "pictures" / "demo.svg"
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
STILL = [path for path in PICTURES if path != DEMO]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
SVG = "{http://www.w3.org/2000/svg}"

sys.path.append(str(ROOT / "tools"))

from make_demo import Frame, moving_picture  # noqa: E402
from make_pictures import SCENES, record, text_of  # noqa: E402
from svg import Cell, Look, picture  # noqa: E402


def test_every_picture_that_a_document_shows_is_there():
    shown = [document.parent / path for document in DOCUMENTS for path in
             re.findall(r"!\[[^]]+\]\(([^)]+\.svg)\)", document.read_text("utf-8"))]  # fmt: skip
    assert len(shown) >= 3
    assert set(shown) <= set(PICTURES)


def test_every_scene_has_its_picture_and_the_other_way_round():
    assert {path.stem for path in STILL} == set(SCENES)


@pytest.mark.parametrize("path", STILL, ids=lambda path: path.stem)
def test_a_picture_is_a_drawing_of_a_chat_without_errors(path):
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title").text == SCENES[path.stem].title
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert any("llamachat" in text for text in texts)
    assert not any(word in text for word in ("Traceback", "llamachat: ", "not found") for text in texts)


def test_a_scene_comes_out_the_same_again(own_home):
    scene = SCENES["thoughts"]
    rows = record(scene)
    assert "thought for " in text_of(rows)
    assert picture(rows, scene.columns, scene.title) == (ROOT / "docs/pictures/thoughts.svg").read_text("utf-8"), (
        "run python tools/make_pictures.py"
    )


def test_wide_characters_and_marks_of_xml_are_drawn_in_their_columns():
    plain, bold = Look(), Look(bold=True)
    cells = [Cell("<", plain), Cell("林", plain, 2), Cell("b", bold), Cell("&", bold)]
    texts = list(ElementTree.fromstring(picture([cells], 10, "a < b")).iter(f"{SVG}text"))
    assert [text.text for text in texts] == ["<", "林", "b&"]
    left = [float(text.get("x")) for text in texts]
    assert left[1] - left[0] == pytest.approx((left[2] - left[1]) / 2)
    assert texts[2].get("font-weight") == "bold"


def test_the_picture_that_moves_is_small_and_stands_without_moving():
    text = DEMO.read_text("utf-8")
    root = ElementTree.fromstring(text)
    assert len(text) < 150_000
    moving = [group for group in root.iter(f"{SVG}g") if group.get("id")]
    assert len(moving) > 20
    last = " ".join(part.text for group in root.iter(f"{SVG}g") if group.get("class") == "s" or not group.get("id")
                    for part in group.findall(f"{SVG}text"))  # fmt: skip
    assert "--continue" in last
    assert "prefers-reduced-motion" in text


def test_a_row_of_a_moving_picture_is_drawn_once_and_shown_while_it_is_there():
    one, two = (tuple(Cell(letter, Look()) for letter in word) for word in ("one", "two"))
    frames = [Frame((one, ()), 1.0), Frame((one, two), 2.0), Frame((two, two), 1.0), Frame((one, two), 4.0)]
    text = moving_picture(frames, 10, "a film")
    texts = [part.text for part in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert sorted(texts) == ["one", "two", "two"]
    shown, hidden = "{visibility:visible}", "{visibility:hidden}"
    assert f"k0{{0.00%{shown}37.50%{hidden}50.00%{shown}to{shown}}}" in text
    assert "{0%{visibility:hidden}12.50%{visibility:visible}to{visibility:visible}}" in text
    assert '<g id="r0" class="s">' in text
