"""Servers with the web app, and browsers that look at them: each is begun once, and shared.

The browser's driver keeps an event loop running, so all ends with the last test of this folder:
tests of coroutines follow.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from box_sounds import A_THING, MICROPHONE_HZ, camera_file, wave_file
from myna import embedded
from myna.server.routes.page import APP
from talk_sounds import silence, vowels

HERE = Path(__file__).parent
SHARED = pytest.StashKey[ExitStack]()
CHROMIUM = Path("/usr/bin/chromium")
DEADLINE_MS = 10_000
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+(?=\s|/)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, counted, where there is nothing to look at or nothing to look with."""
    reason = None
    if not (APP / "index.html").is_file():
        reason = "the web app is not built; run `make web`"
    elif not CHROMIUM.exists():
        reason = f"{CHROMIUM} is not there; install Debian's package chromium"
    if reason is not None:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End what is shared here once the next test lies elsewhere."""
    if nextitem is None or HERE not in nextitem.path.parents:
        item.config.stash.setdefault(SHARED, ExitStack()).close()


@pytest.fixture(scope="session")
def shared(pytestconfig: pytest.Config) -> ExitStack:
    """Hold what lasts as long as the tests of this folder."""
    return pytestconfig.stash.setdefault(SHARED, ExitStack())


@pytest.fixture(scope="module")
def server_command() -> tuple[str, ...]:
    """Say how to serve the echo; a module that needs another model says so anew."""
    return (sys.executable, "-m", "myna", "serve", "--echo", "--port", "0")


@pytest.fixture(scope="session")
def servers(
    shared: ExitStack, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[tuple[str, ...]], tuple[str, Path]]:
    """Serve by a command, once; gives the address and the data folder, each server's own."""

    @cache
    def serve(command: tuple[str, ...]) -> tuple[str, Path]:
        home = tmp_path_factory.mktemp("home")
        return shared.enter_context(serving(command, home)), home

    return serve


@pytest.fixture(scope="module")
def address(
    servers: Callable[[tuple[str, ...]], tuple[str, Path]], server_command: tuple[str, ...]
) -> str:
    """Give the address of the module's server."""
    return servers(server_command)[0]


@pytest.fixture(scope="module")
def home(
    servers: Callable[[tuple[str, ...]], tuple[str, Path]], server_command: tuple[str, ...]
) -> Path:
    """Give the data folder of the module's server."""
    return servers(server_command)[1]


@pytest.fixture(scope="session")
def nano() -> tuple[str, ...]:
    """Say how to serve the model in the box."""
    if embedded.folder() is None:
        pytest.skip("the model is not in the box; run `make box`")
    return (sys.executable, "-m", "myna", "serve", embedded.NAME, "--port", "0")


@contextmanager
def serving(command: Sequence[str], home: Path) -> Iterator[str]:
    """Run a server; gives its address."""
    environment = {**os.environ, "MYNA_HOME": str(home)}
    log = home.with_name(f"{home.name}.log")  # a pipe would be full one day, and the server wait
    with (
        log.open("xb") as out,
        subprocess.Popen(command, env=environment, stdout=out, stderr=out) as server,
    ):
        try:
            yield _address(server, log)
        finally:
            server.terminate()


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    while (found := ADDRESS.search(log.read_text())) is None:
        assert server.poll() is None, log.read_text()
        time.sleep(0.05)
    return found[0]


@pytest.fixture(scope="session")
def usual_sound() -> bytes:
    """Make silence, something said, silence."""
    parts = (silence(1.0, rate_hz=MICROPHONE_HZ), vowels(1.5, rate_hz=MICROPHONE_HZ))
    sound = np.concatenate([*parts, silence(4.0, rate_hz=MICROPHONE_HZ)])
    return wave_file(sound, rate_hz=MICROPHONE_HZ)


@pytest.fixture(scope="module")
def sound(usual_sound: bytes) -> bytes:
    """Give what the fake microphone hears, over and over; a module may say another."""
    return usual_sound


@pytest.fixture(scope="session")
def playing(shared: ExitStack) -> Playwright:
    """Drive browsers."""
    expect.set_options(timeout=DEADLINE_MS)
    return shared.enter_context(sync_playwright())


@pytest.fixture(scope="session")
def browsers(
    playing: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[bytes], Browser]:
    """Open a browser whose microphone hears a sound, once; its camera sees a thing of the tour."""
    folder = tmp_path_factory.mktemp("capture")
    sight = folder / "thing.mjpeg"
    sight.write_bytes(camera_file(A_THING))

    @cache
    def launch(sound: bytes) -> Browser:
        heard = folder / f"{hash(sound)}.wav"
        heard.write_bytes(sound)
        return playing.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={heard}",
                f"--use-file-for-fake-video-capture={sight}",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )

    return launch


@pytest.fixture(scope="module")
def browser(browsers: Callable[[bytes], Browser], sound: bytes) -> Browser:
    """Give the module's browser."""
    return browsers(sound)


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
