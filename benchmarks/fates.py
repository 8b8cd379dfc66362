"""What became of everything that a signal met, and what did not hold.

Not here: who sends the signals (kills).
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPException

from served import Asked, Json, Server, is_alive, wait_until

MAX_ERROR_S, GONE_S = 2.0, 5.0
WRITE_S = 0.03  # between two messages


class Writer(threading.Thread):
    """Put messages into the history, one after another, and remember those that were promised."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.kept: dict[str, str] = {}
        self.stopped = threading.Event()
        _, record = server.call("POST", "/api/v1/conversations", {"title": "kills"})
        self.path = f"/api/v1/conversations/{record['id']}/messages"
        self.start()

    def run(self) -> None:
        """Write until stopped, or until there is no server."""
        while not self.stopped.wait(WRITE_S):
            text = f"message {len(self.kept)}"
            body = {"role": "user", "content": [{"type": "text", "text": text}]}
            try:
                status, record = self.server.call("POST", self.path, body)
            except (OSError, HTTPException):
                continue
            if status == 201:
                self.kept[record["id"]] = text

    def num_lost(self, server: Server) -> int:
        """Count the promised messages that a server does not have."""
        self.stopped.set()
        self.join()
        _, listed = server.call("GET", self.path)
        there = {one["id"]: one["content"][0]["text"] for one in listed["data"]}
        return sum(there.get(key) != text for key, text in self.kept.items())


@dataclass
class Tally:
    """Collect what became of everything.

    Attributes:
        counts: signals sent.
        fates: how requests ended.
        faults: what did not hold.
        worst_s: the longest that each thing took.
        prompt: which of these are errors that have to come at once.
    """

    counts: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    worst_s: dict[str, float] = field(default_factory=dict)
    prompt: set[str] = field(default_factory=set)
    num_kept: int = 0
    num_lost: int = 0

    def check(self, fault: str, *, holds: bool) -> None:
        """Note a fault unless something holds."""
        if not holds:
            self.faults[fault] += 1
            print(f"FAULT: {fault}", flush=True)

    def time(self, what: str, seconds: float | None, *, limit_s: float) -> None:
        """Note how long something took, and whether that was too long."""
        self.check(
            f"{what}: more than {limit_s:g} s", holds=seconds is not None and seconds <= limit_s
        )
        if seconds is not None:
            self.worst_s[what] = max(self.worst_s.get(what, 0.0), seconds)

    def end(self, asked: Asked, *, what: str, since_s: float, limit_s: float = MAX_ERROR_S) -> None:
        """Note how a request ended that was met by a signal: whole, or told of it in time."""
        fate = asked.fate()
        self.fates[f"{what}: {fate}"] += 1
        self.check(f"{what}: an answer {fate}", holds=fate not in ("broke off", "never ended"))
        if asked.error is not None:
            self.time(f"{what}: error", asked.ended_s - since_s, limit_s=limit_s)
            if limit_s == MAX_ERROR_S:
                self.prompt.add(f"{what}: error")

    def leave(self, pids: list[int], *, what: str) -> None:
        """Note whether processes are gone."""
        gone_s = wait_until(lambda: not any(map(is_alive, pids)), limit_s=GONE_S)
        self.check(f"{what}: a process is left", holds=gone_s is not None)

    def keep(self, writer: Writer, server: Server) -> None:
        """Count the messages that were promised, and those of them that are not there."""
        num_lost = writer.num_lost(server)
        self.num_kept += len(writer.kept)
        self.num_lost += num_lost
        self.check(f"{num_lost} messages lost", holds=num_lost == 0)

    def add(self, other: Tally) -> None:
        """Take over what another has noted."""
        for ours, theirs in (
            (self.counts, other.counts),
            (self.fates, other.fates),
            (self.faults, other.faults),
        ):
            ours.update(theirs)
        for what, seconds in other.worst_s.items():
            self.worst_s[what] = max(self.worst_s.get(what, 0.0), seconds)
        self.prompt |= other.prompt
        self.num_kept += other.num_kept
        self.num_lost += other.num_lost

    def figures(self) -> Json:
        """Write everything down."""
        return {
            "signals": dict(sorted(self.counts.items())),
            "fates": dict(sorted(self.fates.items())),
            "longest_s": {what: round(value, 3) for what, value in sorted(self.worst_s.items())},
            "messages_kept": self.num_kept,
            "faults": self.faults,
        }
