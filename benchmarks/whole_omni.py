"""Serve the whole Qwen3-Omni in four bits from a file on disk, and count the memory it takes.

    python benchmarks/whole_omni.py [--layers 2] [--scratch DIR] [--folder FOLDER]

A random packed model of the released size is written to DIR (21 GB; deleted afterwards), read back
from the disk by `myna serve`, and asked twice for an answer of 60 tokens, aloud, about a new
picture and ten new seconds of sound. `--folder` takes a folder that `random_model.py qwen3-omni`
wrote, and leaves it. The last line is the figure: the most memory of the process tree (the sum of
`VmHWM`, in which a page of two processes counts twice) had every expert been asked (which two
answers need not do, but a model that fits is read as a whole), and the major faults of the second
turn. Exits non-zero above `--max-gib`, and with a major fault. For a machine that does nothing
else.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from random_model import write_random_model
from released import released
from served import Server

from myna.weights.quantize.scheme import Recipe
from myna.weights.safetensors_files import SafetensorsCheckpoint

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/support"))
from talk_sounds import pcm16, vowels

NAME = "qwen3-omni"
GIB = 2**30
SOUND_RATE_HZ, SPEECH_RATE_HZ = 16_000, 24_000
SAMPLE_BYTES = 2
SOUND_S = 10.0
PICTURE_PX = (1024, 768)
NUM_TOKENS = 60
WORDS = "thinker.model.embed_tokens.weight"
READY_S = 1200.0
ANSWER_S = 600.0
MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")
MAJOR_FAULTS = 9  # its place in /proc/PID/stat behind the program's name


@dataclass(frozen=True)
class Turn:
    """Hold what one answer took, in seconds from the request on."""

    first_text_s: float
    last_text_s: float
    first_sound_s: float
    heard_s: float
    seconds: float
    major_faults: int


class Tree:
    """Look at the memory of a process and all below it."""

    def __init__(self, root_pid: int) -> None:
        self._root_pid = root_pid
        self._peaks: dict[int, int] = {}

    def pids(self) -> list[int]:
        """List the processes that live."""
        found, waiting = [], [self._root_pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, read(task).split())
        return found

    def peak_bytes(self) -> int:
        """Sum what each process ever held at once, those included that were seen and ended."""
        for pid in self.pids():
            self._peaks[pid] = max(self._peaks.get(pid, 0), status_bytes(pid, "VmHWM"))
        return sum(self._peaks.values())

    def mapped_bytes(self, folder: Path) -> int:
        """Sum what is resident of a folder's files; what two processes map counts twice."""
        total, is_ours = 0, False
        for pid in self.pids():
            for line in read(Path(f"/proc/{pid}/smaps")).splitlines():
                if MAPPING.match(line):
                    is_ours = str(folder.resolve()) in line
                elif is_ours and line.startswith("Rss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def kinds(self) -> dict[str, int]:
        """Sum what is resident now: files' pages, own memory, and each page's share."""
        pids = self.pids()
        return {
            "file": sum(status_bytes(pid, "RssFile") for pid in pids),
            "own": sum(status_bytes(pid, "RssAnon") for pid in pids),
            "shared": sum(status_bytes(pid, "RssShmem") for pid in pids),
            "pss": sum(field_bytes(read(Path(f"/proc/{pid}/smaps_rollup")), "Pss") for pid in pids),
        }

    def major_faults(self) -> int:
        """Count the pages that had to be read from the disk."""
        total = 0
        for pid in self.pids():
            # The program's name, in brackets, may hold blanks.
            fields = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
            total += int(fields[MAJOR_FAULTS]) if fields else 0
        return total


def read(path: Path) -> str:
    """Read a file of a process; one that has ended has none."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def status_bytes(pid: int, name: str) -> int:
    """Read a number of bytes from the status of a process."""
    return field_bytes(read(Path(f"/proc/{pid}/status")), name)


def field_bytes(text: str, name: str) -> int:
    """Find `Name:  123 kB`; 0 if it is not there."""
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def serving(folder: Path, scratch: Path, log: Path) -> Generator[tuple[str, Tree]]:
    """Serve a folder as users do; gives the address and the processes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "myna", "serve", str(folder), "--port", str(port)]
    environment = {**os.environ, "MYNA_HOME": str(scratch / "home")}
    with (
        log.open("wb") as file,
        subprocess.Popen(command, env=environment, stderr=file, stdout=file) as server,
    ):
        try:
            tree = Tree(server.pid)
            until_s = time.monotonic() + READY_S
            while not Server(server, port).is_ready():
                if server.poll() is not None or time.monotonic() > until_s:
                    sys.exit(f"the server does not come up: {log.read_text()[-2000:]}")
                tree.peak_bytes()
                time.sleep(0.5)
            yield url, tree
        finally:
            server.terminate()


def ask(url: str, tree: Tree, *, model: str, seed: int, speech_s: float) -> Turn:
    """Ask about a picture and a sound; hang up once the text is over and enough was heard."""
    faults = tree.major_faults()
    started_s = time.perf_counter()
    seen: dict[str, float] = {}
    heard_bytes, heard_s = 0, 0.0
    for chunk in stream(url, {"model": model, **question(seed)}):
        now_s = time.perf_counter() - started_s
        if "error" in chunk:
            sys.exit(f"the server says: {chunk['error']['message']}")
        for choice in chunk["choices"]:
            sound = (choice["delta"].get("audio") or {}).get("data")
            if sound:
                seen.setdefault("sound", now_s)
                heard_bytes += len(base64.b64decode(sound))
            if choice["delta"].get("content"):
                seen.setdefault("text", now_s)
                seen["last"] = now_s
        tree.peak_bytes()
        heard_s = heard_bytes / SAMPLE_BYTES / SPEECH_RATE_HZ
        # Random weights do not stop speaking by themselves; text comes with its last tokens.
        if heard_s >= speech_s and now_s - seen.get("last", now_s) > 2.0:
            break
    if "sound" not in seen or "text" not in seen:
        sys.exit(f"the answer has no {'text' if 'text' not in seen else 'sound'}")
    return Turn(
        first_text_s=seen["text"],
        last_text_s=seen["last"],
        first_sound_s=seen["sound"],
        heard_s=heard_s,
        seconds=time.perf_counter() - started_s,
        major_faults=tree.major_faults() - faults,
    )


def question(seed: int) -> dict[str, Any]:
    """Write a request with a picture and a sound that were never asked about before."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*reversed(PICTURE_PX), 3), np.uint8)
    picture, sound = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).save(picture, "PNG", compress_level=1)
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(SOUND_RATE_HZ)
        file.writeframes(pcm16(vowels(SOUND_S, rate_hz=SOUND_RATE_HZ, seed=seed)))
    picture_url = f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"
    sound_data = base64.b64encode(sound.getvalue()).decode()
    content = [
        {"type": "image_url", "image_url": {"url": picture_url}},
        {"type": "input_audio", "input_audio": {"data": sound_data, "format": "wav"}},
        {"type": "text", "text": "What is seen, and what is heard?"},
    ]
    return {
        "messages": [{"role": "user", "content": content}],
        "modalities": ["text", "audio"],
        "audio": {"voice": "ethan", "format": "pcm16"},
        "max_tokens": NUM_TOKENS,
        "ignore_eos": True,
        "seed": seed,
        "stream": True,
    }


def stream(url: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Post a request and give the chunks of its answer."""
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": "Bearer EMPTY"},
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            for line in answer:
                if line.startswith(b"data: {"):
                    yield json.loads(line.removeprefix(b"data: "))
    except urllib.error.HTTPError as error:
        sys.exit(f"the server refuses: {error.read().decode()}")


def measure(folder: Path, scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Serve the folder and ask twice."""
    started_s = time.perf_counter()
    with serving(folder, scratch, scratch / "server.log") as (url, tree):
        ready_s = time.perf_counter() - started_s
        found: dict[str, Any] = {"ready_s": ready_s, "ready": tree.kinds()}
        for seed in (1, 2):
            turn = ask(url, tree, model=folder.name, seed=seed, speech_s=options.speech)
            found[f"turn_{seed}"] = {**asdict(turn), **tree.kinds()}
            print(f"turn {seed}: {found[f'turn_{seed}']}", flush=True)
        found["seen_peak_bytes"] = tree.peak_bytes()
        touched_bytes = tree.mapped_bytes(folder)
    packed_bytes = asked_bytes(folder)
    # With room to spare the server copies all of it when it loads, and keeps none mapped.
    is_copied = found["ready"]["own"] > packed_bytes / 2
    untouched_bytes = 0 if is_copied else max(packed_bytes - touched_bytes, 0)
    found["peak_bytes"] = found["seen_peak_bytes"] + untouched_bytes
    return found


def asked_bytes(folder: Path) -> int:
    """Count the packed weights that tokens ask for sooner or later: of the words, few rows."""
    return sum(
        info.num_bytes
        for name, info in SafetensorsCheckpoint(folder).tensors.items()
        if info.is_packed and not name.endswith(WORDS)
    )


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, help="of thinker and talker, to take fewer")
    parser.add_argument("--scratch", type=Path, help="where there are 22 GB of room on a disk")
    parser.add_argument("--folder", type=Path, help="take this model, and leave it")
    parser.add_argument("--speech", type=float, default=15.0, help="seconds to listen, at least")
    parser.add_argument("--max-gib", type=float, default=21.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="whole-omni-", dir=options.scratch))
    try:
        folder = options.folder or scratch / "whole-omni"
        if options.folder is None:
            model = released(NAME, num_layers=options.layers)
            num_bytes = write_random_model(model, folder, Recipe(bits=4))
            print(f"{num_bytes / GIB:.2f} GiB are written", flush=True)
        found = measure(folder, scratch, options)
    finally:
        shutil.rmtree(scratch)
    total_bytes = field_bytes(Path("/proc/meminfo").read_text(), "MemTotal")
    found |= {"command": sys.argv, "memory_bytes": total_bytes, "layers": options.layers}
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    peak_gib = found["peak_bytes"] / GIB
    faults = found["turn_2"]["major_faults"]
    print(
        f"{peak_gib:.2f} GiB at most, {found['seen_peak_bytes'] / GIB:.2f} of them seen, "
        f"on a machine of {total_bytes / GIB:.1f} GiB; "
        f"{faults} major faults in the second turn"
    )
    return 0 if peak_gib <= options.max_gib and faults == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
