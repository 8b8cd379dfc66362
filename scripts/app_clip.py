"""Record the web app with the model in the box, in real time, as an animated picture.

    python scripts/app_clip.py docs/pictures/clip.webp

A question is typed, a picture is shown, and a call is made: the microphone hears a question of the
tour, the camera sees its picture. Nothing is cut but waiting; nothing is said by hand. It needs the
built web app, Debian's Chromium, and a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import BrowserContext, CDPSession, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/support"))
from box_sounds import (
    A_SUM,
    A_THING,
    MICROPHONE_HZ,
    camera_file,
    samples_of,
    wave_file,
)
from talk_sounds import silence

CHROMIUM = "/usr/bin/chromium"
SIZE = (960, 640)
FPS = 12
LENGTH_S = 20.0
MAX_BYTES = 1_500_000
QUALITY = 75
VOLUME = 0.3  # of the microphone: a voice at an arm's length
TYPING_MS = 45
RING_S, PAUSE_S = 2.2, 6.0  # before the first spoken question, and after each
ANSWER_MS = 20_000


@dataclass
class Film:
    """Gather what a page shows, as it changes."""

    session: CDPSession
    frames: list[tuple[float, bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Begin to look."""
        self.session.on("Page.screencastFrame", self._take)
        self.session.send("Page.startScreencast", {"format": "png"})

    def _take(self, shown: dict[str, Any]) -> None:  # Any: the browser's own message
        self.frames.append((shown["metadata"]["timestamp"], base64.b64decode(shown["data"])))
        self.session.send("Page.screencastFrameAck", {"sessionId": shown["sessionId"]})

    def stop(self) -> None:
        """Look no more."""
        self.session.remove_listener("Page.screencastFrame", self._take)
        self.session.send("Page.stopScreencast")

    def sampled(self) -> list[Image.Image]:
        """Give what was seen at even times, from the first frame to the end."""
        times = [at_s for at_s, _ in self.frames]
        grid = times[0] + np.arange(round(LENGTH_S * FPS)) / FPS
        found = np.searchsorted(times, grid, side="right") - 1
        opened = {idx: _opened(self.frames[idx][1]) for idx in sorted(set(found.tolist()))}
        return [opened[idx] for idx in found.tolist()]


def _opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)


def write(images: list[Image.Image], place: Path) -> None:
    """Write an animated WebP; what does not change is written once."""
    starts = [0, *(idx for idx in range(1, len(images)) if images[idx] is not images[idx - 1])]
    durations = [1000 * (b - a) // FPS for a, b in pairwise([*starts, len(images)])]
    first, *others = [images[idx] for idx in starts]
    first.save(
        place,
        save_all=True,
        append_images=others,
        duration=durations,
        loop=0,
        quality=QUALITY,
        method=6,
        minimize_size=True,
    )


def play(page: Page) -> None:
    """Use the app as a person would."""
    page.wait_for_timeout(800)
    ask(page, "What is seven plus five?")
    page.wait_for_timeout(900)
    page.locator("form input[type=file]").set_input_files(A_THING)
    page.wait_for_timeout(600)
    ask(page, "what thing do you see")
    page.wait_for_timeout(1300)
    page.get_by_role("button", name="Call", exact=True).click()
    page.get_by_role("button", name="Turn the camera on").click()
    answer = page.get_by_role("listitem").filter(has_text=re.compile(r"nano: *\w"))
    expect(answer.first).to_be_visible(timeout=ANSWER_MS)


def ask(page: Page, text: str) -> None:
    """Type a question, and read the answer."""
    page.get_by_label("Message").press_sequentially(text, delay=TYPING_MS)
    page.wait_for_timeout(250)
    page.keyboard.press("Enter")
    again = page.get_by_role("button", name="Answer again")
    expect(again.last).to_be_visible(timeout=ANSWER_MS)


@contextmanager
def app(folder: Path) -> Iterator[BrowserContext]:
    """Open a browser whose microphone and camera are files of the tour."""
    question = VOLUME * samples_of(A_SUM, rate_hz=MICROPHONE_HZ)
    before, after = (silence(s, rate_hz=MICROPHONE_HZ) for s in (RING_S, PAUSE_S))
    sound, sight = folder / "question.wav", folder / "thing.mjpeg"
    sound.write_bytes(wave_file(np.concatenate([before, question, after]), rate_hz=MICROPHONE_HZ))
    sight.write_bytes(camera_file(A_THING))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={sound}",
                f"--use-file-for-fake-video-capture={sight}",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        width, height = SIZE
        context = browser.new_context(viewport={"width": width, "height": height})
        yield context
        browser.close()


@contextmanager
def served(home: Path) -> Iterator[str]:
    """Serve the model in the box; gives the address."""
    command = [sys.executable, "-m", "myna", "serve", "nano", "--port", "0"]
    with subprocess.Popen(
        command,
        env={**os.environ, "MYNA_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            said = next(line for line in server.stdout or () if "http://127.0.0.1:" in line)
            yield said[said.find("http://") :].split()[0].split("/v1")[0]
        finally:
            server.terminate()
            if server.stdout is not None:
                server.stdout.read()


def record(address: str, context: BrowserContext) -> list[Image.Image]:
    """Play, and give what was seen."""
    page = context.new_page()
    page.goto(f"{address}/")
    expect(page.get_by_role("heading", level=1)).to_have_text("nano")
    film = Film(context.new_cdp_session(page))
    film.start()
    started_s = time.monotonic()
    play(page)
    page.wait_for_timeout(max(0.0, 1000 * (LENGTH_S + started_s - time.monotonic())))
    film.stop()
    return film.sampled()


def main() -> None:
    """Record, write, and tell the size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("place", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served(folder) as address, app(folder) as context:
            images = record(address, context)
    write(images, options.place)
    num_bytes = options.place.stat().st_size
    if num_bytes > MAX_BYTES:
        sys.exit(f"{options.place} has {num_bytes} bytes, above {MAX_BYTES}; lower QUALITY or FPS")
    print(f"{options.place}: {LENGTH_S:g} s, {num_bytes / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
