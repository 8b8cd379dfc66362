"""`myna ps` and `myna stop`, asked of a real server over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from myna.cli.holdings import Instance
from myna.cli.remote_server import LOCAL_URL, RemoteServer
from myna.core.echo import EchoService
from myna.core.fleet import Fleet
from myna.core.service import Health, ModelCard
from myna.core.settings import read_settings
from myna.server.app import create_app
from myna.server.run import make_server
from myna.server.settings import ServerSettings
from shelf import EchoProcess, Shelf

KEY = "sesame-sesame"
LOADED_S = 1_700_000_000


class BusyProcess(EchoProcess):
    """Be at work on two requests, in this very process, since a known time."""

    pid = os.getpid()

    async def models(self) -> tuple[ModelCard, ...]:
        return (ModelCard(id="one", family="echo", context_length=4096, created_s=LOADED_S),)

    async def health(self) -> Health:
        return Health(ready=True, num_running=2, num_waiting=1)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Serve the model `one` of two."""
    fleet = Fleet(BusyProcess)
    settings = ServerSettings(api_keys=(KEY,))
    server = make_server(create_app(fleet, settings=settings, library=Shelf(tmp_path)))
    listener = socket.create_server(("127.0.0.1", 0))

    async def serve() -> None:
        await fleet.load("one")
        await server.serve(sockets=[listener])
        await server.app.close()
        await fleet.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_what_a_server_holds_is_shown(myna: Any, url: str) -> None:
    code, out, err = myna("ps", "--url", url, "--key", KEY)
    assert code == 0
    heading, line = out.splitlines()
    assert heading.split() == ["NAME", "STATE", "MEMORY", "CONTEXT", "SINCE"]
    assert line.startswith("one   answering 2, 1 waiting  ")
    assert line.endswith(time.strftime("4096     %Y-%m-%d %H:%M", time.localtime(LOADED_S)))
    assert err.startswith(f"the server at {url} takes ")
    assert err.endswith("; `myna stop NAME` unloads a model\n")


def test_programs_are_told_in_json(myna: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYNA_API_KEY", KEY)
    code, out, err = myna("ps", "--url", f"{url}/v1", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    (model,) = told["models"]
    assert 10**6 < model.pop("memory_bytes") <= told["machine_bytes"]
    assert 10**6 < told["memory_bytes"] <= told["machine_bytes"]
    assert model == {
        "id": "one",
        "status": "loaded",
        "progress": None,
        "state": "answering 2, 1 waiting",
        "num_running": 2,
        "num_waiting": 1,
        "context_length": 4096,
        "since": LOADED_S,
    }


def test_a_model_is_unloaded_once(myna: Any, url: str) -> None:
    code, out, err = myna("stop", "one", "--url", url, "--key", KEY)
    assert (code, out) == (0, "")
    assert err.startswith("open requests that ended: 3\none was unloaded")
    code, out, err = myna("ps", "--url", url, "--key", KEY)
    assert (code, out) == (0, "")
    assert err.endswith("; no model is loaded\n")
    assert myna("stop", "one", "--url", url, "--key", KEY) == (
        3,
        "",
        f"error: 'one' is not loaded by the server at {url}; nothing is loaded\n",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [("two", "'two' is not loaded by"), ("three", "'three' is no model of")],
)
def test_what_is_not_loaded_cannot_be_stopped(myna: Any, url: str, name: str, message: str) -> None:
    code, out, err = myna("stop", name, "--url", url, "--key", KEY)
    assert (code, out) == (3, "")
    assert err == f"error: {message} the server at {url}; loaded are one\n"


@pytest.mark.parametrize("command", [("ps",), ("stop", "one")])
def test_a_server_with_keys_wants_one(myna: Any, url: str, command: tuple[str, ...]) -> None:
    code, out, err = myna(*command, "--url", url)
    assert (code, out) == (1, "")
    assert "Incorrect API key" in err
    assert err.endswith("hint: MYNA_API_KEY holds the key to present\n")


@pytest.mark.parametrize("command", [("ps",), ("stop", "one")])
def test_nobody_there_is_told(myna: Any, command: tuple[str, ...]) -> None:
    code, out, err = myna(*command, "--url", "http://127.0.0.1:1")
    assert (code, out) == (1, "")
    assert err.startswith("error: no server answers at http://127.0.0.1:1 (")
    assert err.endswith("hint: `myna serve` starts one\n")


def test_another_kind_of_server_is_told_apart(myna: Any, url: str) -> None:
    code, out, err = myna("ps", "--url", f"{url}/elsewhere", "--key", KEY)
    assert (code, out) == (3, "")
    assert err.startswith(f"error: the server at {url}/elsewhere does not tell what it holds (")
    assert err.endswith("hint: give the address that `myna serve` printed\n")


def test_a_server_that_loads_nothing_says_so(myna: Any) -> None:
    server = make_server(create_app(EchoService()))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    while not server.started:
        time.sleep(0.005)
    code, out, err = myna("ps", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}")
    server.should_exit = True
    thread.join()
    assert (code, out) == (4, "")
    assert "This server serves the model it was started with, and no other." in err


def test_the_server_of_this_machine_is_meant_unless_another_is_named() -> None:
    assert RemoteServer.to(None, read_settings({}), api_key=None).url == LOCAL_URL


@pytest.mark.parametrize(
    ("instance", "state"),
    [
        (Instance(id="a", status="loading"), "loading"),
        (Instance(id="a", status="loading", progress=0.25), "loading 25%"),
        (Instance(id="a", status="loaded"), "idle"),
        (Instance(id="a", status="loaded", num_running=1), "answering 1"),
        (Instance(id="a", status="loaded", reason="it hangs"), "cannot answer: it hangs"),
    ],
)
def test_a_state_is_told_in_words(instance: Instance, state: str) -> None:
    assert instance.state() == state
