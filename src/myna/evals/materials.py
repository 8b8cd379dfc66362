"""What held-out questions are made with; opened when first needed, since some rows need little."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cached_property

from myna.evals.heldout import fonts, styles
from myna.evals.heldout import voices as unheard
from myna.train.examples import Example, Samples, Sound, Spoken
from myna.train.pictures.asking import Studio, open_studio
from myna.train.sound import voices


class Materials:
    """Open studios and voices once."""

    @cached_property
    def studio(self) -> Studio:
        """Give the styles, fonts and voices of training; what is made with them is new."""
        return open_studio(self._say)

    @cached_property
    def unseen_style(self) -> Studio:
        """Give a studio of icons in a style never trained on."""
        return replace(self.studio, icons=styles.icons())

    @cached_property
    def unseen_fonts(self) -> Studio:
        """Give a studio of fonts never trained on."""
        return replace(self.studio, fonts=fonts.fonts())

    def voiced(self, example: Example, rng: random.Random, *, is_unheard: bool) -> Example:
        """Let a voice say what is to be said.

        Args:
            example: with parts still to be spoken.
            rng: chooses the voice or its manner.
            is_unheard: whether the held-out voice speaks, or those of training.
        """
        if not is_unheard:
            return voices.voiced(example, rng)
        parts = tuple(
            Sound(unheard.say(part.text, rng).samples) if isinstance(part, Spoken) else part
            for part in example.question
        )
        return replace(example, question=parts)

    @staticmethod
    def _say(text: str, rng: random.Random) -> Samples:
        return voices.say(text, rng, weights=voices.LIVE).samples
