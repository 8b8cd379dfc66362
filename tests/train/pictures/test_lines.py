import random

import numpy as np
import pytest
from PIL import Image

from myna.train.pictures import canvas, lines


def test_texts_are_in_the_alphabet_and_short():
    rng = random.Random(0)
    texts = [lines.some_text(rng) for _ in range(2000)]
    assert all(set(text) <= set(lines.ALPHABET) for text in texts)
    assert all(lines.MIN_CHARACTERS <= len(text) <= lines.MAX_CHARACTERS for text in texts)
    assert all(text == text.strip() for text in texts)


def test_texts_are_words_numbers_and_codes():
    rng = random.Random(1)
    texts = [lines.some_text(rng) for _ in range(500)]
    assert any(text.isdigit() for text in texts)
    assert any(":" in text for text in texts)
    assert any(text.isupper() for text in texts)
    assert any(" " in text and text.islower() for text in texts)


def test_each_character_lies_at_its_place(fonts, monkeypatch):
    monkeypatch.setattr(canvas, "wear", lambda rng, image, strength=1.0: np.asarray(image))
    monkeypatch.setattr(Image.Image, "rotate", lambda image, *args, **kwargs: image)
    for seed in range(20):
        line = lines.line(random.Random(seed), fonts, "i i i i")
        assert len(line.centres) == len(line.text)
        assert list(line.centres) == sorted(line.centres)
        height, width = line.pixels.shape[:2]
        middle = line.pixels[int((line.box.top + line.box.bottom) / 2 * height)].astype(int)
        ink = middle[int(line.centres[0] * width)]
        paper = middle[int(line.centres[1] * width)]
        assert np.abs(ink - paper).sum() > 60
        for i, centre in enumerate(line.centres):
            seen = middle[int(centre * width)]
            near, far = (ink, paper) if i % 2 == 0 else (paper, ink)
            assert np.abs(seen - near).sum() < np.abs(seen - far).sum()


def test_short_texts_may_stand_on_signs_and_long_ones_do_not(fonts):
    shapes = {
        text: [lines.line(random.Random(i), fonts, text).pixels.shape for i in range(30)]
        for text in ("stop", "a long line of many words")
    }
    signs = {text: [h / w > 0.8 for h, w, _ in found] for text, found in shapes.items()}
    assert any(signs["stop"])
    assert not any(signs["a long line of many words"])


def test_ink_stands_out_from_paper():
    rng = random.Random(2)
    for _ in range(200):
        paper, ink = lines._paper_and_ink(rng)
        assert canvas.contrast(paper, ink) > lines.MIN_CONTRAST


def test_equal_seeds_write_the_same(fonts):
    one, other = (lines.line(random.Random(9), fonts) for _ in range(2))
    assert one.text == other.text
    assert np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("text", ["ab", "42"])
def test_the_box_holds_the_ink(fonts, text):
    line = lines.line(random.Random(3), fonts, text)
    assert 0 <= line.box.left < line.box.right <= 1
    assert 0 <= line.box.top < line.box.bottom <= 1


def test_for_a_beginner_each_character_has_a_token_to_itself(fonts):
    rng = random.Random(4)
    for _ in range(30):
        line = lines.primer(rng, fonts, ease=1.0)
        height, width = line.pixels.shape[:2]
        assert (height, width) == (lines.CELL_PX, lines.CELL_PX * len(line.text))
        cells = [int(centre * width) // lines.CELL_PX for centre in line.centres]
        assert cells == list(range(len(line.text)))


def test_as_ease_falls_characters_close_up(fonts):
    easy, hard = (lines.primer(random.Random(5), fonts, ease=ease) for ease in (1.0, 0.0))
    steps = [np.diff(line.centres) * line.pixels.shape[1] for line in (easy, hard)]
    assert steps[1].mean() < steps[0].mean()
    assert list(hard.centres) == sorted(hard.centres)
