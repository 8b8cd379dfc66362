"""The seeds of the evaluation: text, where those of training are numbers of steps."""

from __future__ import annotations

import random


def generator(row: str, number: int) -> random.Random:
    """Make the generator of one question.

    Args:
        row: of the evaluation table.
        number: of the question in its row.
    """
    return random.Random(f"held out: {row}, question {number}")
