"""Clips: things that move, grow, shrink, turn, appear and vanish, on a still background.

Not here: what is asked about them (`watching`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from PIL import Image

from myna.train.examples import Clip
from myna.train.pictures import canvas, scenes
from myna.train.pictures.canvas import Box
from myna.train.pictures.icons import Icons, Rgba
from myna.train.pictures.scenes import Planned, Thing

FRAME_PX = 96
FPS = 2.0
STEP_FRAMES = 2  # that the encoder sees together
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
CHANGES = (*DIRECTIONS, "grew", "shrank", "turned", "appeared", "vanished")
REACH = (0.4, 0.6)  # of the frame, that a thing moves
GROWTH = (1.7, 2.3)
TURN = (70.0, 170.0)  # degrees
CLEAR_MOVE = 0.03  # of the frame, between two frames: less is no motion
CLEAR_GROWTH = 1.06
CLEAR_TURN = 8.0


@dataclass(frozen=True)
class Act:
    """Say what a thing does from one frame to another, both included."""

    change: str
    first: int
    last: int


@dataclass(frozen=True)
class Pose:
    """Hold where a thing is, in shares of the frame; `side` is 0 while it is not there."""

    x: float
    y: float
    side: float
    angle: float = 0.0


@dataclass(frozen=True)
class Actor:
    """Hold a thing and its pose in every frame."""

    thing: Planned
    drawn: Rgba
    poses: tuple[Pose, ...]


@dataclass(frozen=True)
class Film:
    """Hold all that a clip is drawn from."""

    ground: Image.Image
    actors: tuple[Actor, ...]

    @property
    def num_frames(self) -> int:
        """Give how many there are."""
        return len(self.actors[0].poses)


def film(
    rng: random.Random, icons: Icons, cast: Sequence[tuple[Planned, Sequence[Act]]], num_frames: int
) -> Film:
    """Let things act.

    Args:
        rng: draws the places, sizes and background.
        icons: to show.
        cast: things with what each does, in order.
        num_frames: of the clip, even.
    """
    colours = {thing.colour for thing, _ in cast if thing.colour}
    ground = scenes.blank(rng, colours or None, FRAME_PX, FRAME_PX)
    actors = []
    for i, (thing, acts) in enumerate(cast):
        start = _start(rng, acts, i, len(cast))
        poses = _act_out(rng, start, acts, num_frames)
        actors.append(Actor(thing, scenes.draw(rng, icons, thing), poses))
    return Film(ground, tuple(actors))


def frame(of: Film, i: int) -> tuple[Image.Image, list[Box | None]]:
    """Draw a frame, and tell where each actor is."""
    image = of.ground.copy()
    boxes: list[Box | None] = []
    for actor in of.actors:
        pose = actor.poses[i]
        boxes.append(None)
        if pose.side > 0:
            boxes[-1] = canvas.paste(
                image,
                actor.drawn,
                centre=(pose.x * FRAME_PX, pose.y * FRAME_PX),
                side_px=pose.side * FRAME_PX,
                angle=pose.angle,
            )
    return image, boxes


def record(rng: random.Random, of: Film, frames: Sequence[int] | None = None) -> Clip:
    """Draw frames, all if None, with the same wear."""
    worn = rng.getrandbits(32)
    chosen = range(of.num_frames) if frames is None else frames
    drawn = [canvas.wear(random.Random(worn), frame(of, i)[0], strength=0.5) for i in chosen]
    return Clip(np.stack(drawn), FPS)


def seen_in_step(of: Film, step: int) -> tuple[list[Thing], list[str]]:
    """Tell what there is to see in the two frames of a time step, and what each thing does."""
    first, second = (frame(of, STEP_FRAMES * step + i)[1] for i in range(STEP_FRAMES))
    things, changes = [], []
    for actor, before, after in zip(of.actors, first, second, strict=True):
        box = after or before
        if box is not None:
            things.append(Thing(actor.thing.name, actor.thing.colour, box, True))
            poses = actor.poses[STEP_FRAMES * step : STEP_FRAMES * (step + 1)]
            changes.append(_change(*poses))
    return things, changes


def _change(before: Pose, after: Pose) -> str:
    if before.side == 0 or after.side == 0:
        return "appeared" if before.side == 0 else "vanished"
    dx, dy = after.x - before.x, after.y - before.y
    if max(abs(dx), abs(dy)) > CLEAR_MOVE:
        if abs(dx) > abs(dy):
            return "right" if dx > 0 else "left"
        return "down" if dy > 0 else "up"
    growth = after.side / before.side
    if max(growth, 1 / growth) > CLEAR_GROWTH:
        return "grew" if growth > 1 else "shrank"
    return "turned" if abs(after.angle - before.angle) > CLEAR_TURN else "still"


def _start(rng: random.Random, acts: Sequence[Act], index: int, count: int) -> Pose:
    """Choose a pose from which all acts stay within the frame."""
    changes = [act.change for act in acts]
    side = rng.uniform(0.36, 0.48) if count > 1 else rng.uniform(0.34, 0.55)
    if "grew" in changes:
        side = rng.uniform(0.27, 0.33)
    if "shrank" in changes:
        side = rng.uniform(0.52, 0.66) if count == 1 else rng.uniform(0.46, 0.54)
    dx = sum(DIRECTIONS[change][0] for change in changes if change in DIRECTIONS)
    dy = sum(DIRECTIONS[change][1] for change in changes if change in DIRECTIONS)
    x, y = (0.5 - 0.26 * d if d else rng.uniform(0.28, 0.72) for d in (dx, dy))
    if count > 1:  # each in a row or column of its own
        lane = 0.26 + 0.48 * index
        if dx or (not dy and rng.random() < 0.5):
            y = lane
        else:
            x = lane
    jitter = rng.uniform(-0.03, 0.03)
    return Pose(x + jitter, y + jitter, side, rng.gauss(0, 8))


def _act_out(
    rng: random.Random, start: Pose, acts: Sequence[Act], num_frames: int
) -> tuple[Pose, ...]:
    shown = replace(start, side=0.0) if acts and acts[0].change == "appeared" else start
    poses = [shown] * num_frames
    for act in acts:
        before = poses[act.first]
        if act.change in DIRECTIONS:
            reach = rng.uniform(*REACH)
            x, y = DIRECTIONS[act.change]
            after = replace(before, x=before.x + x * reach, y=before.y + y * reach)
        elif act.change in ("grew", "shrank"):
            growth = rng.uniform(*GROWTH)
            after = replace(
                before, side=before.side * growth ** (1 if act.change == "grew" else -1)
            )
        elif act.change == "turned":
            turn = rng.uniform(*TURN) * rng.choice((-1, 1))
            after = replace(before, angle=before.angle + turn)
        else:
            after = replace(before, side=start.side if act.change == "appeared" else 0.0)
        is_sudden = act.change in ("appeared", "vanished")
        length = act.last - act.first
        for i in range(act.first, num_frames):
            part = min(1.0, (i - act.first) / length)
            poses[i] = _between(before, after, float(part >= 0.5) if is_sudden else part)
    return tuple(poses)


def _between(one: Pose, other: Pose, part: float) -> Pose:
    x, y, side, angle = (
        a + (b - a) * part
        for a, b in (
            (one.x, other.x),
            (one.y, other.y),
            (one.side, other.side),
            (one.angle, other.angle),
        )
    )
    return Pose(x, y, side, angle)


def split(num_frames: int, parts: int) -> list[tuple[int, int]]:
    """Cut a clip into parts for acts that follow one another: first and last frames."""
    edges = [i * (num_frames - 1) // parts for i in range(parts + 1)]
    return list(pairwise(edges))
