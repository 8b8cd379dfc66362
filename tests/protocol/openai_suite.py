"""Run the `openai` package's own tests against this server, as a script of its own.

The tests are part of the package's source distribution, which pip fetches; they are never copied
into this project. Failures that are meant to be are listed with their reason; any other fails.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections import Counter
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec

from myna.core.echo import EchoService
from myna.core.errors import NotFound
from myna.core.events import Usage
from myna.core.fleet import Fleet, Startable
from myna.core.messages import text_message
from myna.core.progress import Progress
from myna.hub.pull import Plan
from myna.server.app import create_app
from myna.server.context import Control
from myna.server.downloads import Downloads
from myna.server.kept import Kept, KeptChat, Shelf
from myna.server.library import Title
from myna.server.render import usage_object
from myna.server.run import make_server
from myna.server.schemas.answers import AssistantMessage, ChatChoice, ChatCompletion
from myna.server.schemas.responses import ResponseObject
from myna.server.settings import ServerSettings

SUITES = (
    "chat",
    "test_completions.py",
    "test_models.py",
    "test_responses.py",
    "responses",
    "audio/test_speech.py",
    "audio/test_transcriptions.py",
    "audio/test_translations.py",
    "test_images.py",
    "test_embeddings.py",
    "realtime/test_client_secrets.py",
)
MODEL_NAMES = (
    "gpt-6-astra",
    "gpt-3.5-turbo-instruct",
    "gpt-4o-transcribe",
    "whisper-1",
    "gpt-image-1.5",
    "gpt-realtime",
    "string",
)
# The tests ask for things that were made before; these answers are kept for them, whatever comes.
RESPONSE_IDS = (
    "response_id",
    "resp_677efb5139a88190b512bc3f0c8a5c8d",
    "resp_677efb5139a88190b512bc3fef8e535d",
)
CHAT_ID = "completion_id"
KNOWN_FAILURES = {
    r"api_resources\.test_completions\..*with_all_params": "`suffix` is refused: no model inserts",
    r"test_responses\..*create_with_all_params": "`background` is refused: nothing runs unwatched",
    r"test_input_tokens\..*with_all_params": "`conversation` is refused: ids of responses lead on",
    r"test_responses\..*_compact": "nothing is compacted: the client keeps its own past",
    r"test_transcriptions\..*with_all_params": "times of words need verbose_json, here as there",
    r"test_embeddings\.": "vectors are refused: no model makes them",
    r"test_images\..*(generate|variation)": "pictures are edited, not made of nothing",
    r"test_images\..*edit_with_all_params": "`url` is refused: nothing is kept that it could name",
    r"test_client_secrets\..*with_all_params": "a pause of 0 ms would end a turn at every breath",
}


class Evergreen(Shelf[Any]):
    """Keep answers under the ids that the tests ask for, even when they are deleted."""

    def forget(self, item_id: str, *, owner: str) -> None:
        """Keep it all the same."""


def kept_responses() -> Shelf[Kept]:
    """Keep responses that the tests expect to be there."""
    shelf = Evergreen("response")
    turns = (text_message("user", "hi"), text_message("assistant", "hello"))
    for response_id in RESPONSE_IDS:
        response = ResponseObject(
            id=response_id, created_at=0, status="completed", model="echo", output=[]
        )
        body = msgspec.json.encode(response)
        shelf.keep(response_id, Kept(owner="", body=body, past=turns, num_new=1))
    return shelf


def kept_chats() -> Shelf[KeptChat]:
    """Keep chat completions that the tests expect to be there."""
    shelf = Evergreen("completion")
    usage = usage_object([[Usage(prompt_tokens=1, completion_tokens=1)]])
    answer = ChatChoice(
        index=0, message=AssistantMessage(content="hello"), logprobs=None, finish_reason="stop"
    )
    completion = ChatCompletion(
        id=CHAT_ID, created=0, model="echo", choices=[answer], usage=usage, metadata={}
    )
    turns = (text_message("assistant", "hi"),)  # of the others the SDK has no type
    shelf.keep(CHAT_ID, KeptChat(owner="", completion=completion, turns=turns))
    return shelf


class OldModels:
    """Have one model that is not loaded, even when it is deleted."""

    def titles(self) -> tuple[Title, ...]:
        """List it."""
        return (Title(id="ft:gpt-4o-mini:acemeco:suffix:abc123", num_bytes=1, path=Path("/x")),)

    def plan(self, name: str, *, has_consent: bool) -> Plan:
        """Refuse: nothing is fetched."""
        raise NotFound(name)

    def fetch(self, plan: Plan, progress: Progress) -> None:
        """Fetch nothing."""

    def remove(self, name: str) -> None:
        """Keep it all the same."""


def fetch_tests(folder: Path) -> Path:
    """Download and unpack the source distribution of the installed version."""
    name = f"openai=={version('openai')}"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), name], check=True)
    (archive,) = folder.glob("openai-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def run_tests(source: Path, base_url: str) -> dict[str, bool]:
    """Run the suites; returns for each test whether it passed."""
    report = source / "report.xml"
    files = [f"tests/api_resources/{suite}" for suite in SUITES]
    options = ["-q", "-o", "addopts=", "-p", "no:cacheprovider", "-k", "not aiohttp"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--tb=no", f"--junitxml={report}", *files],
        cwd=source,
        env={**os.environ, "TEST_API_BASE_URL": base_url},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return {
        f"{case.get('classname')}.{case.get('name')}": case.find("failure") is None
        and case.find("error") is None
        for case in ElementTree.parse(report).iter("testcase")
    }


def reason_for(test: str) -> str | None:
    """Say why a failure is meant to be."""
    return next((why for name, why in KNOWN_FAILURES.items() if re.search(name, test)), None)


def never_open(name: str, progress: Progress) -> Startable:
    """Refuse: nothing is loaded."""
    raise NotFound(name)


def serve_and_run(source: Path) -> dict[str, bool]:
    """Serve echoes under the names that the tests ask for, while they run."""
    aliases = dict.fromkeys(MODEL_NAMES, "echo")
    app = create_app(EchoService(is_editor=True), settings=ServerSettings(aliases=aliases))
    library = OldModels()
    app.context = replace(
        app.context,
        kept=kept_responses(),
        chats=kept_chats(),
        models_control=Control(Fleet(never_open), library, Downloads(library)),
    )
    server = make_server(app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            return run_tests(source, f"http://127.0.0.1:{port}/v1")
        finally:
            server.should_exit = True
            thread.join()


def main() -> int:
    """Print what failed and why, and the figure; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        results = serve_and_run(fetch_tests(Path(folder)))
    failed = [test for test, is_passed in results.items() if not is_passed]
    known = Counter(reason for test in failed if (reason := reason_for(test)))
    unknown = [test for test in failed if reason_for(test) is None]
    lines = [f"known: {count} failures: {reason}" for reason, count in known.items()]
    lines += [f"FAILED {test}" for test in unknown]
    num_wanted = len(results) - known.total()
    lines.append(f"{num_wanted - len(unknown)} of {num_wanted} tests of the openai package pass")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if unknown or not num_wanted else 0


if __name__ == "__main__":
    sys.exit(main())
