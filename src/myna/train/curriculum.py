"""All that the thinker is asked, each kind as often as its share says."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from myna.text.instructions import transcribe_prompt
from myna.train.examples import Example, Heard
from myna.train.language import mix
from myna.train.pictures import mix as pictures
from myna.train.pictures.asking import Studio
from myna.train.sound import events
from myna.train.sound.frames import HZ
from myna.train.sound.lessons import overheard
from myna.train.sound.pool import Pool, open_pool
from myna.train.sound.utterance import NotSpoken
from myna.train.sound.voices import voiced

Maker = Callable[[random.Random], Example]
POOLS = ("sentences", "loose")
LONGEST_FRAMES = 600  # mel frames of a sentence to write down
OVERHEARD_SHARE = 0.5  # of sentences are heard as no voice has said them
ASKED_FOR_WORDS = (  # besides the product's own prompt, which comes after the sound
    "what did i say",
    "write down what you hear",
    "what was said",
    "transcribe this",
    "type the words",
)
SHARES = {
    "typed": 0.2,
    "transcribe": 0.16,
    "aloud": 0.1,
    "name_picture": 0.13,
    "scene": 0.12,
    "read_line": 0.07,
    "clip": 0.07,
    "sound_event": 0.04,
    "sound_in_video": 0.04,
    "ask_about": 0.05,
    "decline": 0.02,  # pictures; what is typed has declining of its own
}
STILLS = ("name_picture", "scene", "read_line")  # that are answered; no clip is declined


def log_odds_of_answering() -> float:
    """Give how much likelier a still picture was to be answered than declined.

    Whoever shows nano a picture has not drawn it by these shares: photographs are what people have.
    Added to the logit of declining, this lets both be as likely before the picture is seen.
    Source: Menon et al. 2021, "Long-tail learning via logit adjustment" (arXiv 2007.07314), 4.1.
    """
    return math.log(sum(SHARES[name] for name in STILLS) / SHARES["decline"])


@dataclass(frozen=True)
class Transcribing:
    """Ask for the words of sentences from pools, the product's prompt half of the time."""

    pools: Sequence[Pool]

    def __call__(self, rng: random.Random) -> Example:
        """Draw a sentence that is short enough."""
        ends = list(accumulate(len(pool) for pool in self.pools))
        while True:
            i = rng.randrange(ends[-1])
            which = bisect_right(ends, i)
            pool = self.pools[which]
            place = i - (ends[which - 1] if which else 0)
            if pool.lengths[place] <= LONGEST_FRAMES:
                break
        entry = pool[place]
        frames = overheard(entry, rng) if rng.random() < OVERHEARD_SHARE else entry.mel
        end_s = len(entry.mel) / HZ
        sound = Heard(frames, tuple((w.start_s / end_s, w.end_s / end_s) for w in entry.words))
        if rng.random() < 0.5:
            return Example("transcribe", (sound, transcribe_prompt()), entry.text)
        asked = rng.choice(ASKED_FOR_WORDS)
        question = (sound, asked) if rng.random() < 0.7 else (asked, sound)
        return Example("transcribe", question, entry.text)


def makers(studio: Studio) -> list[tuple[float, Maker]]:
    """Give all makers with their shares.

    Args:
        studio: to make pictures with; it needs a voice.
    """
    shown = pictures.makers(studio)
    by_name: dict[str, Maker] = {
        **shown,
        "typed": mix.typed,
        "transcribe": Transcribing([open_pool(name) for name in POOLS]),
        "aloud": _spoken(mix.aloud),
        "sound_event": events.make,
        "sound_in_video": _spoken(shown["sound_in_video"]),
        "ask_about": _spoken(shown["ask_about"]),
    }
    return [(share, by_name[name]) for name, share in SHARES.items()]


def _spoken(maker: Maker) -> Maker:
    """Let a voice say what is to be said; what no synthesizer reads is drawn anew."""

    def make(rng: random.Random) -> Example:
        while True:
            try:
                return voiced(maker(rng), rng)
            except NotSpoken:
                continue

    return make
