"""The small talk that nano was taught: greetings, thanks, who it is and what it can do."""

from __future__ import annotations

import random
from collections.abc import Callable

from myna.train.language.skills import Facts, Skill

HELLO = "hello, i am nano"
NAME = "i am nano, a small model of myna"
ABILITIES = "i can name pictures, count, spell, add numbers, read a line and repeat what you say"
WELCOME = "you are welcome"
GOODBYE = "goodbye"
FINE = "i am well, thank you"


def _always(answer: str) -> Callable[[random.Random], Facts]:
    def draw(rng: random.Random) -> Facts:
        del rng
        return Facts({}, answer)

    return draw


SKILLS = (
    Skill(
        "hello",
        (
            *("hello", "hi", "hey", "hello nano", "hi nano", "hello there", "hi there"),
            *("good morning", "good evening", "hey nano", "good day"),
        ),
        _always(HELLO),
        weight=0.3,
    ),
    Skill(
        "name",
        (
            *("who are you", "what is your name", "what are you", "what are you called"),
            *("tell me your name", "what's your name", "who am i talking to", "are you nano"),
            *("what model are you", "which model is this", "say who you are"),
        ),
        _always(NAME),
        weight=0.4,
    ),
    Skill(
        "abilities",
        (
            *("what can you do", "what do you know", "help", "what were you taught", "help me"),
            *("what can i ask you", "how can you help me", "what are you good at"),
            *("tell me what you can do", "what should i ask", "can you help me"),
        ),
        _always(ABILITIES),
        weight=0.4,
    ),
    Skill(
        "thanks",
        (
            *("thanks", "thank you", "thanks nano", "thank you very much", "many thanks"),
            *("thank you nano", "good thanks", "okay thanks", "thanks a lot"),
        ),
        _always(WELCOME),
        weight=0.3,
    ),
    Skill(
        "goodbye",
        ("goodbye", "bye", "bye bye", "goodbye nano", "good night", "see you", "see you later"),
        _always(GOODBYE),
        weight=0.3,
    ),
    Skill(
        "how_are_you",
        ("how are you", "how are you today", "are you well", "are you okay", "how do you do"),
        _always(FINE),
        weight=0.3,
    ),
)
