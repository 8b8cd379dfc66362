"""What shows a bar: tests, another script, or a measurement made on the spot.

Not here: the bars (bars).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMOLLM2 = ROOT / ".venv/models/SmolLM2-135M-Instruct.Q4_1.gguf"
COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed)")
STARTUP_S, STARTUP_REPEATS = 0.4, 5
STARTUP_COMMANDS = (["--help"], ["list"], ["version"])


class Missed(Exception):
    """Say why a bar was not reached."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Name the models that some bars need, as the command line gives them."""

    model: Path = SMOLLM2
    qwen: Path | None = None
    moe: Path | None = None

    def need(self, name: str) -> str:
        """Give the path of a model.

        Raises:
            Missed: it was not given, or is not there.
        """
        path: Path | None = getattr(self, name)
        if path is None or not path.exists():
            raise Missed(f"it needs --{name}, and {path or 'nothing'} was given")
        return str(path.resolve())


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Describe one bar.

    Attributes:
        must: what has to hold, in words.
        show: runs what shows it; returns the figure, or raises `Missed`.
        needs: the models it needs.
    """

    must: str
    show: Callable[[Files], str]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tests:
    """Show a bar by tests.

    Attributes:
        proves: what is known when all of them pass.
        paths: files and tests, as pytest takes them.
        keyword: only the tests whose names match, as pytest's -k.
    """

    proves: str
    paths: tuple[str, ...]
    keyword: str = ""

    def __call__(self, files: Files) -> str:
        """Run them; a skipped test is a failed one."""
        command = [sys.executable, "-m", "pytest", "-q", *self.paths, "-p", "no:cacheprovider"]
        command += ["-k", self.keyword] if self.keyword else []
        environment = {**os.environ, "MYNA_REQUIRE": "all"}
        if files.model.exists():
            environment["MYNA_TEST_SMOLLM2"] = str(files.model.resolve())
        started_s = time.monotonic()
        output = run(command, environment)
        seconds = time.monotonic() - started_s
        counts = {word: int(count) for count, word in COUNTS.findall(output.splitlines()[-1])}
        if set(counts) != {"passed"}:
            raise Missed(output.splitlines()[-1])
        return f"{self.proves} ({counts['passed']} tests, {seconds:.0f} s)"


@dataclass(frozen=True)
class Script:
    """Show a bar by one of the other files here; its last line is the figure.

    Attributes:
        words: the command line; a word in braces is a model.
    """

    words: tuple[str, ...]

    def __call__(self, files: Files) -> str:
        """Run it; its exit code decides."""
        words = [
            files.need(word.strip("{}")) if word.startswith("{") else word for word in self.words
        ]
        output = run([sys.executable, str(ROOT / "benchmarks" / words[0]), *words[1:]], os.environ)
        return output.splitlines()[-1]


def run(command: list[str], environment: Mapping[str, str]) -> str:
    """Run a command in the repository, showing what it prints; returns it.

    Raises:
        Missed: it fails.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip("\n"))
    lines = [line for line in lines if line.strip()] or ["nothing was printed"]
    if process.returncode != 0:
        raise Missed(lines[-1])
    return "\n".join(lines)


def startup(_files: Files) -> str:
    """Time short commands, each at its best, and look for torch in what they have loaded."""
    best_s: dict[str, float] = {}
    for words in STARTUP_COMMANDS:
        code = (
            "import sys\n"
            "from myna.cli.main import run\n"
            f"code = run({words!r})\n"
            "sys.exit('torch was loaded' if 'torch' in sys.modules else code)\n"
        )
        looked = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        if looked.returncode != 0:
            raise Missed(f"myna {words[0]}: {looked.stderr.decode().strip()}")
        durations_s = []
        for _ in range(STARTUP_REPEATS):
            started_s = time.perf_counter()
            subprocess.run([sys.executable, "-m", "myna", *words], capture_output=True, check=True)
            durations_s.append(time.perf_counter() - started_s)
        best_s[words[0]] = min(durations_s)
    figure = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in best_s.items())
    if max(best_s.values()) > STARTUP_S:
        raise Missed(f"{figure}; at most {STARTUP_S} s are allowed")
    return f"{figure}, without torch"
