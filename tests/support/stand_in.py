"""A server like `myna serve`, with a stand-in for the model: quick, blind, always the same.

It answers a few questions with texts that are written here, all others as the echo does, and edits
pictures by plain arithmetic, step by step as a model would. Run as `python stand_in.py [SECONDS
[TIMES]]`: the time that a word takes, and how often a reply to what is spoken is said.
"""

from __future__ import annotations

import asyncio
import io
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from myna.cli.keeping import open_history
from myna.core.echo import EchoService
from myna.core.events import (
    Accepted,
    EditProgress,
    Event,
    Finished,
    PictureDelta,
    StepReuse,
    TextDelta,
    Usage,
)
from myna.core.fleet import Fleet
from myna.core.messages import AudioPart, TextPart
from myna.core.requests import ChatInput, EditInput, Request
from myna.core.settings import read_settings
from myna.media.decoded import Pixels
from myna.media.drawing import lay_over, write_picture
from myna.server.app import create_app
from myna.server.library import HubLibrary
from myna.server.run import make_server

MODEL = "stand-in"
STEP_S = 0.1
WORD_S = 0.01
USUAL_STEPS = 8
EVENING = np.array([0.42, 0.46, 0.75])
LIT = np.array([255.0, 214.0, 120.0])
GLASS = (150, 190, 215)  # the colour of windows in `scene`
ANSWERS = {
    "What is in this picture?": (
        "A **house with a red roof** on a green hill, by day:\n\n"
        "- two windows and a door, all closed\n"
        "- a fir tree to the right of it\n"
        "- a few clouds; the sun stands at the upper left\n\n"
        "Nobody is in sight, and no smoke comes from the chimney."
    ),
}


HEARD = "What can I do with you while the network is down?"
REPLY = "Everything you do now: I run on this machine alone, and nothing leaves it."


class StandIn(EchoService):
    """Echo, but know a few answers and draw; say a reply to sound so many `times`."""

    times = 1
    pid: int | None = None

    async def start(self) -> None:
        """Be there at once."""

    async def wait_ready(self) -> None:
        """Be there at once."""

    async def generate(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer one request; see `core.service.Service.generate`."""
        if isinstance(request.input, ChatInput):
            request = heard(request, request.input, times=self.times)
        events: AsyncIterator[Event] = super().generate(request)
        if isinstance(request.input, EditInput):
            events = edited(request.input, request.num_choices)
        elif (answer := ANSWERS.get(asked_of(request))) is not None:
            events = written(answer)
        async for event in events:
            yield event


def asked_of(request: Request) -> str:
    return request.input.messages[-1].text if isinstance(request.input, ChatInput) else ""


def heard(request: Request, chat: ChatInput, *, times: int) -> Request:
    """Put words in the place of sound, to be echoed: those of the question, or its answer."""
    *before, last = chat.messages
    if not any(isinstance(part, AudioPart) for part in last.content):
        return request
    texts = [part.text for part in last.content if isinstance(part, TextPart)]
    words = HEARD if "Transcribe" in "".join(texts) else " ".join([REPLY] * times)
    told = replace(last, content=(TextPart(text=words),))
    return replace(request, input=replace(chat, messages=(*before, told)))


async def written(answer: str) -> AsyncIterator[Event]:
    words = answer.split(" ")
    yield Accepted(prompt_tokens=1)
    for word in words:
        await asyncio.sleep(STEP_S / 10)
        yield TextDelta(index=0, text=f"{word} ")
    yield Finished(
        index=0, reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=len(words))
    )


async def edited(asked: EditInput, count: int) -> AsyncIterator[Event]:
    """Fade from noise to the result, with progress, previews and the time left."""
    base = np.asarray(Image.open(io.BytesIO(asked.pictures[0])).convert("RGB"))
    num_steps = asked.num_steps or USUAL_STEPS
    reuse = None
    if asked.step_cache is not None:  # all steps are alike but for the first and the last
        num_reused = max(num_steps - 2, 0)
        reuse = StepReuse(num_reused=num_reused, num_steps=num_steps, max_change=0, summed_change=0)
    yield Accepted(prompt_tokens=1)
    yield EditProgress(index=0, stage="reading", done=0.0)
    for index in range(count):
        result = changed(base, asked, index)
        for step in range(num_steps):
            done = step / num_steps
            left_s = STEP_S * (num_steps * (count - index) - step)
            yield EditProgress(index=index, stage="drawing", done=done, remaining_s=left_s)
            if reuse is None or step in (0, num_steps - 1):
                await asyncio.sleep(STEP_S)
            if asked.num_previews and step == num_steps // 2:
                blurred = Image.fromarray(result).filter(ImageFilter.GaussianBlur(8))
                yield shown(np.asarray(blurred), index, preview_idx=0)
        yield replace(shown(result, index), reuse=reuse)
    usage = Usage(prompt_tokens=1, completion_tokens=0)
    for index in range(count):
        yield Finished(index=index, reason="stop", usage=usage)


def shown(pixels: Pixels, index: int, preview_idx: int | None = None) -> PictureDelta:
    height, width = pixels.shape[:2]
    data = write_picture(pixels, "png")
    return PictureDelta(index=index, data=data, width=width, height=height, preview_idx=preview_idx)


def changed(base: Pixels, asked: EditInput, index: int) -> Pixels:
    """Make it evening if that is asked for, else swap colours; a mask is kept to."""
    drawn = evening(base) if "evening" in asked.prompt else np.roll(base, index + 1, axis=2)
    if asked.mask is None:
        return drawn
    alpha = np.asarray(Image.open(io.BytesIO(asked.mask)).convert("RGBA"))[:, :, 3]
    return lay_over(base, drawn, (1 - alpha / 255).astype(np.float32))


def evening(base: Pixels) -> Pixels:
    """Darken towards blue, and light the windows."""
    dark: NDArray[np.float64] = base * EVENING
    is_glass = (np.abs(base.astype(int) - GLASS) < 12).all(axis=2)
    glow = Image.fromarray((255 * is_glass).astype(np.uint8)).filter(ImageFilter.GaussianBlur(9))
    share = np.maximum(is_glass, 0.5 * np.asarray(glow) / 255)[:, :, None]
    return (dark * (1 - share) + LIT * share).clip(0, 255).astype(np.uint8)


def scene() -> bytes:
    """Draw a house on a hill by day, as a PNG file."""
    width, height, fine = 960, 640, 2
    image = Image.new("RGB", (width * fine, height * fine))
    pen = ImageDraw.Draw(image)
    for y in range(height * fine):
        share = y / (height * fine)
        colour = (int(120 + 110 * share), int(180 + 50 * share), 235)
        pen.line([(0, y), (width * fine, y)], fill=colour)

    def scaled(*numbers: float) -> list[float]:
        return [fine * number for number in numbers]

    pen.ellipse(scaled(110, 70, 190, 150), fill=(255, 236, 150))
    for x, y in ((330, 110), (640, 70), (790, 150)):
        for dx, dy, radius in ((0, 0, 26), (30, -10, 34), (64, 0, 26)):
            spot = scaled(x + dx - radius, y + dy - radius, x + dx + radius, y + dy + radius)
            pen.ellipse(spot, fill=(248, 250, 252))
    pen.ellipse(scaled(-300, 400, 800, 1200), fill=(112, 168, 88))
    pen.ellipse(scaled(350, 450, 1500, 1300), fill=(92, 150, 76))
    pen.rectangle(scaled(300, 300, 580, 500), fill=(238, 226, 204))
    pen.rectangle(scaled(500, 190, 535, 270), fill=(140, 70, 56))
    pen.polygon(scaled(270, 305, 440, 180, 610, 305), fill=(186, 66, 50))
    for x in (335, 495):
        pen.rectangle(scaled(x - 6, 344, x + 56, 416), fill=(250, 248, 242))
        pen.rectangle(scaled(x, 350, x + 50, 410), fill=GLASS)
    pen.rectangle(scaled(412, 390, 468, 500), fill=(110, 70, 50))
    pen.rectangle(scaled(748, 470, 766, 540), fill=(96, 66, 48))
    for top, half in ((250, 50), (320, 70), (390, 90)):
        points = scaled(757, top, 757 - half, top + 110, 757 + half, top + 110)
        pen.polygon(points, fill=(46, 110, 74))
    out = io.BytesIO()
    image.resize((width, height), Image.Resampling.LANCZOS).save(out, "PNG")
    return out.getvalue()


async def main() -> None:
    """Serve until a signal comes."""
    settings = read_settings()
    word_s = float(sys.argv[1]) if len(sys.argv) > 1 else WORD_S
    StandIn.times = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    fleet = Fleet(lambda name, _progress: StandIn(model=name, delay_s=word_s, is_editor=True))
    await fleet.load(MODEL)
    app = create_app(
        fleet,
        library=HubLibrary(settings),
        history=open_history(settings),
        home=settings.home,
    )
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sys.stdout.write(f"http://127.0.0.1:{sock.getsockname()[1]}\n")
        sys.stdout.flush()
        await make_server(app).serve(sockets=[sock])
    await fleet.close()


if __name__ == "__main__":
    asyncio.run(main())
