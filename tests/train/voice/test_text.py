import random

from myna.train.language import words
from myna.train.pictures.names import NAMES
from myna.train.voice.text import utterance


def test_equal_seeds_give_equal_texts() -> None:
    one, other = (random.Random(5) for _ in range(2))
    assert [utterance(one) for _ in range(50)] == [utterance(other) for _ in range(50)]


def test_only_words_of_the_domain_are_said() -> None:
    names = [*NAMES, *(words.plural(name) for name in NAMES)]
    known = {*words.domain(), *" ".join(names).split(), "o'clock", "words", "minus"}
    rng = random.Random(6)
    said = {word.strip(",") for _ in range(500) for word in utterance(rng).split()}
    assert said <= known, said - known
