"""Kill writers of the history, and fill its disk: no acknowledged message may be lost.

    python benchmarks/survival.py [--kills 200] [--full-disks 50] [--seed 0]

A writer is a process of its own that tells each message it was promised to keep. A kill is SIGKILL
at a random moment; a full disk is a bound on the size of files (RLIMIT_FSIZE) at a random size, and
on every second run a small tmpfs of its own, where the system lets a user mount one. Neither proves
that a cut of power is survived: for that, SQLite and fsync are relied on.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from myna.store.errors import NotSaved
from myna.store.history import History
from myna.store.records import Draft, MediaPiece, TextPiece
from myna.store.schema import is_sound

TMPFS_BYTES = 1_500_000
MAX_MESSAGES = 4000
TMPFS = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def write(folder: Path, *, max_file_bytes: int | None) -> None:
    """Keep messages, and tell of each on stdout, until killed or until there is no room.

    After the disk was full there is room again, and one more message must be kept.
    """
    history = History(folder, reserve_bytes=0)
    conversation = history.create(title="survival")
    if max_file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, resource.RLIM_INFINITY))
    ballast = folder / "ballast"
    if max_file_bytes is None:
        ballast.write_bytes(bytes(200_000))
    try:
        for idx in range(MAX_MESSAGES):
            tell(history, conversation.id, f"message {idx} " + "word " * (idx % 60))
    except NotSaved as error:
        say(f"full {error.code}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        ballast.unlink(missing_ok=True)
        tell(history, conversation.id, "after the disk was full")
        verify(history, None)
    say("end")


def tell(history: History, conversation_id: str, text: str) -> None:
    """Keep a message, every seventh with a file, and tell of it."""
    content: tuple[TextPiece | MediaPiece, ...] = (TextPiece(text),)
    if len(text) % 7 == 0:
        digest = history.keep_file(text.encode() * 50)
        content = (*content, MediaPiece(kind="audio", hash=digest))
    message = history.add(conversation_id, Draft(role="user", content=content))
    say(f"kept {message.id} {text}")


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def verify(history: History, lines: list[str] | None) -> int:
    """See to it that what was promised is there; returns how much that was."""
    num_kept = 0
    for line in lines or ():
        word, _, rest = line.partition(" ")
        if word == "kept":
            message_id, _, text = rest.partition(" ")
            message = history.message(message_id)
            first, *files = message.content
            assert isinstance(first, TextPiece)
            assert first.text == text, f"{message_id} reads otherwise"
            for piece in files:
                assert isinstance(piece, MediaPiece)
                assert history.media.get(piece.hash) == text.encode() * 50
            num_kept += 1
    assert is_sound(history._reader), "the database is damaged"
    return num_kept


def kill_once(folder: Path, rng: random.Random) -> int:
    """Kill a writer at a random moment; returns how many messages it was promised."""
    command = [sys.executable, __file__, "--write", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline().rstrip("\n")]
        time.sleep(rng.uniform(0.0, 0.3))
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
    lines += rest.split("\n")[: rest.count("\n")]  # A line that was cut off promised nothing.
    with contextlib.closing(History(folder, reserve_bytes=0)) as history:
        return verify(history, lines)


def fill_once(folder: Path, rng: random.Random, *, on_tmpfs: bool) -> tuple[int, bool]:
    """Let a writer run into a full disk; returns what it was promised, and whether it was full."""
    command = [sys.executable, __file__, "--write", str(folder)]
    if on_tmpfs:
        # What was kept goes with the mount, so the child itself looks whether all is there.
        mounting = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", TMPFS, "sh"]
        size = rng.randrange(TMPFS_BYTES // 2, TMPFS_BYTES)
        command = [*mounting, str(size), str(folder), *command]
    else:
        command += ["--max-file-bytes", str(rng.randrange(120_000, 400_000))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"the writer ended with {done.returncode}"
    if not on_tmpfs:
        with contextlib.closing(History(folder, reserve_bytes=0)) as history:
            verify(history, lines)
    num_kept = sum(line.startswith("kept ") for line in lines)
    return num_kept, any(line.startswith("full ") for line in lines)


def can_mount() -> bool:
    """Tell whether this system lets a user mount a file system of its own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError):
        mounting = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", TMPFS, "sh"]
        command = [*mounting, str(TMPFS_BYTES), folder, "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def main() -> None:
    """Run what was asked for, and print the figure last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--full-disks", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--max-file-bytes", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        write(options.write, max_file_bytes=options.max_file_bytes)
        return
    rng = random.Random(options.seed)
    num_kept = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.kills):
            num_kept += kill_once(Path(folder), rng)
    has_tmpfs = can_mount()
    num_full = 0
    for idx in range(options.full_disks):
        with tempfile.TemporaryDirectory() as folder:
            on_tmpfs = has_tmpfs and idx % 2 == 1
            kept, was_full = fill_once(Path(folder), rng, on_tmpfs=on_tmpfs)
            num_kept += kept
            num_full += was_full
    assert num_full == options.full_disks, f"only {num_full} disks were full"
    print(
        f"{options.kills} kills, {num_full} full disks: 0 of {num_kept} acknowledged messages lost"
    )


if __name__ == "__main__":
    main()
