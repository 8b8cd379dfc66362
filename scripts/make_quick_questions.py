"""Make the small, fixed part of the evaluation that tests put to the model in the box.

    python scripts/make_quick_questions.py tests/evals/quick.msgpack

It needs what `myna eval` needs. Sound is kept as FLAC, to be small.
"""

from __future__ import annotations

import sys
from pathlib import Path

from myna.core.messages import AudioPart, Message, Part
from myna.evals import asking, quick, runner
from myna.evals.materials import Materials
from myna.evals.rows import ROWS
from myna.train.examples import Example, Sound

FIRST = 100_000  # numbers of questions that the table itself never asks
COUNTS = {
    "transcribe": 6,
    "name_picture": 8,
    "name_unseen_style": 2,
    "scene": 7,
    "read_line": 6,
    "read_unseen_fonts": 2,
    "clip": 5,
    "sound_event": 4,
    "sound_in_video": 2,
    "answer": 16,
    "aloud": 5,
    "decline": 7,
}
LONGEST_S = 2.5


def main(path: Path) -> None:
    """Draw the questions and write them."""
    materials = Materials()
    items: list[quick.Item] = []
    for row in ROWS:
        number = FIRST
        for _ in range(COUNTS[row.name]):
            asked = runner.draw(row, number, materials)
            while is_long(asked.example):
                number += 1
                asked = runner.draw(row, number, materials)
            number += 1
            items.append(
                quick.Item(
                    row=row.name,
                    kind=asked.kind,
                    question=message(asked.example),
                    wanted=asked.example.answer,
                )
            )
    quick.write(path, tuple(items))
    print(f"{len(items)} questions, {path.stat().st_size / 1e6:.2f} MB: {path}")


def is_long(example: Example) -> bool:
    """Tell whether a sound would take much room."""
    sounds = [part for part in example.question if isinstance(part, Sound)]
    return any(len(sound.samples) > LONGEST_S * asking.SOUND_HZ for sound in sounds)


def message(example: Example) -> Message:
    """Write the question with its sound as FLAC."""
    parts: list[Part] = []
    for part in example.question:
        sent = asking.part_of(part)
        if isinstance(part, Sound):
            sent = AudioPart(data=asking.encode_flac(part))
        parts.append(sent)
    return Message(role="user", content=tuple(parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
