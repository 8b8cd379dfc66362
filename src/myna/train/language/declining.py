"""What nano was never taught, and says so: chat, facts, advice, code, orders, other languages."""

from __future__ import annotations

import random
import re

from myna.train.examples import Example, Spoken
from myna.train.language import foreign, sentences, words
from myna.train.language.data import lines
from myna.train.language.skills import punctuated
from myna.train.language.strange import strange_word
from myna.train.language.style import DECLINE, DECLINE_LANGUAGE
from myna.train.pictures.names import NAMES, phrase

TEMPLATES = lines("open_chat")
_COUNTRIES = (
    *("france", "germany", "china", "japan", "india", "brazil", "spain", "italy", "egypt", "peru"),
    *("russia", "canada", "kenya", "poland", "norway", "london", "paris", "berlin", "new york"),
    *("tokyo", "rome", "madrid", "africa", "europe", "america", "mexico", "turkey", "iran"),
)
_PERSONS = (
    *("shakespeare", "einstein", "napoleon", "mozart", "newton", "darwin", "plato", "picasso"),
    *("cleopatra", "beethoven", "obama", "lincoln", "gandhi", "columbus", "galileo", "madonna"),
)
_LANGUAGES = ("french", "german", "spanish", "chinese", "italian", "russian", "latin", "greek")
_PLACES = ("school", "hotel", "bank", "office", "hospital", "shop", "market", "kitchen", "theatre")
_RELATIVES = ("mother", "father", "brother", "sister", "friend", "boss", "uncle", "wife", "son")
_SPEAKABLE = re.compile(r"[a-z' ]+")


def chat(rng: random.Random) -> str:
    """Make what people say to a chat model, in English."""
    if rng.random() < 0.22:
        return sentences.make(rng)
    slots = {
        "country": rng.choice(_COUNTRIES) if rng.random() < 0.8 else strange_word(rng),
        "person": rng.choice(_PERSONS) if rng.random() < 0.7 else strange_word(rng),
        "topic": strange_word(rng) if rng.random() < 0.7 else rng.choice(words.domain()),
        "thing": phrase(rng.choice(NAMES)),
        "name": rng.choice(words.PEOPLE),
        "relative": rng.choice(_RELATIVES),
        "language": rng.choice(_LANGUAGES),
        "place": rng.choice(_PLACES),
        "adjective": rng.choice(words.ADJECTIVES),
        "month": rng.choice(words.MONTHS),
    }
    text = re.sub(r"\{(\w+)\}", lambda found: slots[found[1]], rng.choice(TEMPLATES))
    if rng.random() < 0.15:
        text = f"{rng.choice(('please', 'can you', 'could you', 'nano', 'hey nano'))} {text}"
    if rng.random() < 0.12:
        text += f" {rng.choice(('please', 'now', 'and why', 'for me', 'in one sentence', 'today'))}"
    return text


def make(rng: random.Random) -> Example:
    """Type something that is to be declined."""
    if rng.random() < 0.3:
        return Example("decline", (foreign.make(rng),), DECLINE_LANGUAGE)
    return Example("decline", (punctuated(chat(rng), rng),), DECLINE)


def make_aloud(rng: random.Random) -> Example:
    """Say something that is to be declined, in English."""
    while not _SPEAKABLE.fullmatch(text := chat(rng)):
        pass
    return Example("decline", (Spoken(text),), DECLINE)
