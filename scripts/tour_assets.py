"""Make the files of `myna tour`: a picture, a clip, a line of text and spoken questions.

    python scripts/tour_assets.py src/myna/embedded/tour --model src/myna/embedded/nano

All are new to the model: held-out wordings, numbers and voice. Of a few draws of a stop, the first
is taken that the model answers rightly: the tour shows what it can do, the card says how often.
Icons are of one style under the MIT licence, grounds are plain: no photographs.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from PIL import Image

from myna.cli.commands.tour import STOPS, Stop
from myna.core.progress import silent
from myna.core.service import Service
from myna.evals import asking, metrics
from myna.evals.heldout import declined, seeds, templates
from myna.evals.materials import Materials
from myna.evals.metrics import Errors
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_service
from myna.train.examples import Clip, Example, Picture, Sound, Spoken
from myna.train.language import mix, skills
from myna.train.language.style import DECLINE_START
from myna.train.pictures import fonts, icons, naming, reading, watching
from myna.train.pictures.asking import Skill, Studio, ask_aloud, ask_typed

MAX_BYTES = 400_000
MAX_TRIES = 12
MAX_POSTER_PX = 320
STYLE = "fluent-emoji-flat"  # MIT
CLIP = "which_way"
CHAT = (0, 3, 7, 11, 15)  # lines of the held-out chat


@dataclass(frozen=True)
class Planned:
    """Plan a stop: its title, what draws its question, how answers are graded."""

    title: str
    draw: Callable[[random.Random], Example]
    grade: Callable[[str, str], Errors] = metrics.answer_errors
    is_spoken: bool = True


def plan() -> tuple[Planned, ...]:
    """Plan all stops."""
    studio = Studio(icons.load((STYLE,)), fonts.installed(fonts.PACKAGES))
    clip = next(skill for skill in watching.SKILLS if skill.name == CLIP)
    typed = templates.PICTURES

    def asked(skill: Skill) -> Callable[[random.Random], Example]:
        return lambda rng: ask_typed(skill, rng, studio, templates=typed[skill.name])

    return (
        Planned(
            "It sees, hears the question and answers aloud",
            lambda rng: ask_aloud(naming.SKILLS[0], rng, studio, templates=typed["name"]),
        ),
        Planned(
            "It hears a sum",
            lambda rng: skills.ask_aloud(mix.find("add"), rng, templates=templates.WORDS["add"]),
        ),
        Planned("It watches a clip", asked(clip)),
        Planned(
            "It reads a line", asked(reading.SKILLS[0]), metrics.character_errors, is_spoken=False
        ),
        Planned(
            "It says what it was not taught",
            lambda rng: Example(
                "decline", (declined.lines("open_chat")[rng.choice(CHAT)],), DECLINE_START
            ),
            metrics.start_errors,
        ),
    )


async def make(place: Path, service: Service | None) -> None:
    """Draw all stops and write their files."""
    materials = Materials()
    place.mkdir(parents=True, exist_ok=True)
    stops = []
    for number, planned in enumerate(plan(), start=1):
        said, example = await choose(planned, number, materials, service)
        stops.append(write(place, number, planned, example, said))
    written = msgspec.json.format(msgspec.json.encode(stops), indent=1)
    (place / STOPS).write_bytes(written + b"\n")
    size = sum(path.stat().st_size for path in place.iterdir())
    if size > MAX_BYTES:
        raise SystemExit(f"the tour takes {size} bytes, but {MAX_BYTES} are its share of the box")
    print(f"{len(stops)} stops, {size / 1e3:.0f} kB: {place}")


async def choose(
    planned: Planned, number: int, materials: Materials, service: Service | None
) -> tuple[str, Example]:
    """Give what is said and the question: the first that is answered rightly, or else the first."""
    drawn: list[tuple[str, Example]] = []
    for attempt in range(MAX_TRIES):
        rng = seeds.generator(f"tour {number}", attempt)
        example = planned.draw(rng)
        said = " ".join(part.text for part in example.question if isinstance(part, Spoken))
        drawn.append((said, materials.voiced(example, rng, is_unheard=True)))
        if service is None:
            break
        reply = await asking.ask(service, asking.message(drawn[-1][1]))
        print(f"{planned.title}: wanted {example.answer!r}, found {reply.text!r}")
        if not planned.grade(example.answer, reply.text).wrong:
            return drawn[-1]
    return drawn[0]


def write(place: Path, number: int, planned: Planned, example: Example, said: str) -> Stop:
    """Write the files of a stop, and describe it."""
    files: list[str] = []
    shown = text = None
    for part in example.question:
        match part:
            case str():
                text = part
            case Picture(pixels=pixels):
                files.append(f"{number}.png")
                shown = files[-1]
                Image.fromarray(pixels).save(place / shown, optimize=True)
            case Clip():
                files.append(f"{number}.mkv")
                (place / files[-1]).write_bytes(asking.encode_video(part))
                shown = f"{number}.png"
                strip(part).save(place / shown, optimize=True)
            case Sound():
                files.append(f"{number}.flac")
                (place / files[-1]).write_bytes(asking.encode_flac(part))
            case _:
                raise AssertionError(f"{part} was to be turned into sound")
    return Stop(
        title=f'{planned.title}: "{said}"' if said else planned.title,
        files=tuple(files),
        text=text,
        shown=shown,
        is_spoken=planned.is_spoken,
    )


def strip(clip: Clip) -> Image.Image:
    """Set the first and the last frame of a clip side by side."""
    first, last = (Image.fromarray(clip.frames[i]) for i in (0, -1))
    both = Image.new("RGB", (2 * first.width + 4, first.height), (255, 255, 255))
    both.paste(first, (0, 0))
    both.paste(last, (first.width + 4, 0))
    both.thumbnail((MAX_POSTER_PX, MAX_POSTER_PX))
    return both


async def run(place: Path, model: Path | None) -> None:
    """Open the model, if one is given, and make the tour."""
    if model is None:
        await make(place, None)
        return
    service = load_service(model, LoadOptions(model_id=model.name), silent)
    try:
        await make(place, service)
    finally:
        await service.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Make what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place", type=Path, help="folder of the tour")
    parser.add_argument("--model", type=Path, help="folder of the model that is to be shown")
    found = parser.parse_args(arguments)
    asyncio.run(run(found.place, found.model))


if __name__ == "__main__":
    main()
