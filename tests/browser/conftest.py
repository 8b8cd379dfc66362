"""A server with the web app, and a browser that looks at it.

The browser's driver keeps an event loop running, so it ends with each file: tests of coroutines
follow.
"""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from myna import embedded
from myna.server.routes.page import APP
from talk_sounds import pcm16, silence, vowels

CHROMIUM = Path("/usr/bin/chromium")
DEADLINE_MS = 10_000
MICROPHONE_HZ = 48_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, counted, where there is nothing to look at or nothing to look with."""
    here = Path(__file__).parent
    reason = None
    if not (APP / "index.html").is_file():
        reason = "the web app is not built; run `make web`"
    elif not CHROMIUM.exists():
        reason = f"{CHROMIUM} is not there; install Debian's package chromium"
    if reason is not None:
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def server_command() -> list[str]:
    """Say how to serve the echo; a module that needs another model says so anew."""
    return [sys.executable, "-m", "myna", "serve", "--echo", "--port", "0"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the server a data folder of its own."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(server_command: list[str], home: Path) -> Iterator[str]:
    """Serve on a free port."""
    with serving(server_command, home) as found:
        yield found


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the model in the box, once for all modules that ask for it."""
    if embedded.folder() is None:
        pytest.skip("the model is not in the box; run `make box`")
    command = [sys.executable, "-m", "myna", "serve", embedded.NAME, "--port", "0"]
    with serving(command, tmp_path_factory.mktemp("nano")) as found:
        yield found


@contextmanager
def serving(command: list[str], home: Path) -> Iterator[str]:
    """Run a server; gives its address."""
    environment = {**os.environ, "MYNA_HOME": str(home)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        assert server.stdout is not None
        try:
            yield _address(server.stdout)
        finally:
            server.terminate()
            server.stdout.read()


def _address(lines: Iterator[bytes]) -> str:
    said = []
    for line in lines:
        said.append(line.decode())
        start = said[-1].find("http://127.0.0.1:")
        if start >= 0:
            return said[-1][start:].split()[0].rstrip("/").split("/v1")[0]
    raise AssertionError("".join(said))


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make what the fake microphone hears, over and over: silence, something said, silence."""
    parts = (silence(1.0, rate_hz=MICROPHONE_HZ), vowels(1.5, rate_hz=MICROPHONE_HZ))
    sound = np.concatenate([*parts, silence(4.0, rate_hz=MICROPHONE_HZ)])
    path = tmp_path_factory.mktemp("sound") / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, MICROPHONE_HZ, 0, "NONE", ""))
        file.writeframes(pcm16(sound))
    return path


@pytest.fixture(scope="module")
def playing() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=DEADLINE_MS)
        yield playwright


@pytest.fixture(scope="module")
def camera() -> Path | None:
    """Name what the fake camera sees; without a file, a picture of the browser's own."""
    return None


@pytest.fixture(scope="module")
def browser(playing: Playwright, microphone: Path, camera: Path | None) -> Iterator[Browser]:
    sights = [] if camera is None else [f"--use-file-for-fake-video-capture={camera}"]
    found = playing.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}",
            "--autoplay-policy=no-user-gesture-required",
            *sights,
        ],
    )
    yield found
    found.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Begin with nothing kept; a module that needs scripts of its own adds them."""
    found = browser.new_context(viewport={"width": 1100, "height": 760})
    yield found
    found.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    """Open the app; whatever it complains about, or asks another host for, fails the test."""
    page = context.new_page()
    page.set_default_timeout(DEADLINE_MS)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else complaints.append(f"asked {request.url}")
        ),
    )
    page.goto(f"{address}/")
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Myna")  # the model is known
    yield page
    context.close()
    assert complaints == []
