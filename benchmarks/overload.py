"""Offer a server ten times the requests it can answer; see that it goes on answering as many.

    python benchmarks/overload.py [--factor 10] [--seconds 20] [--seed 0] [--json FILE]

The model in the box is served with its usual settings. What it can do is measured by clients that
ask again when they were answered (closed loop), a refused one after a tenth of a second. A sweep,
from one client to more than the server lets in, finds the two numbers of clients that get most
answers a second. These two, and ten times the rate of the better (open loop, Poisson, each request
over a connection of its own), then take turns, since a machine is faster in one minute than in the
next; the capacity is what the better of both got in all its turns. The seconds in which a crowd
begins, and nothing can have ended, never count. What asks runs here, niced, so that it gives way.

Bars, all within this one run: at least 90 % as many answers a second as the capacity; a refusal is
429 with Retry-After and takes the server at most 50 ms, 99 times of 100; the first token of what
was let in comes within twice the time of the closed loop, both 99 times of 100, at the client; no
request is lost, and afterwards nothing is open and a greedy answer is the same to the byte.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import resource
import select
import socket
import sys
import tempfile
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from served import PATH, Server, chat, served

LEVELS = (1, 8, 16, 24, 32, 40)  # clients at once
LEVEL_S = 4.0
ROUNDS = 4
SETTLE_S = 2.0
RETRY_S = 0.1
NUM_FINALISTS = 2
NICE = 5
TOKENS = (16, 48)
MIN_GOODPUT, MAX_REFUSAL_S, MAX_TTFT_RATIO = 0.9, 0.05, 2.0
QUANTILE = 0.99
WAIT_S, CONNECT_S = 60.0, 10.0
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
TOKEN = re.compile(rb'"content":"[^"]')
BUCKET = re.compile(r'myna:refusal_seconds_bucket\{le="([^"]+)"\} (\d+)')
HEAD = (
    f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
).encode()
MUST_BE_ZERO = ("num_requests_running", "num_requests_waiting", "http_open_requests")


@dataclass
class Outcome:
    """Tell what became of one request; times are of the monotonic clock, in seconds.

    Attributes:
        due_s: when it was to be sent.
        sent_s: when it was.
        status: of HTTP, if one came.
        first_s: when the first token came.
        ended_s: when the connection ended, which it does with the answer.
        is_whole: whether the answer ended as good ones do.
        says_when_to_retry: whether it says so.
    """

    due_s: float
    sent_s: float = 0.0
    status: int | None = None
    first_s: float | None = None
    ended_s: float | None = None
    is_whole: bool = False
    says_when_to_retry: bool = False

    def take(self, received: bytes, now_s: float) -> None:
        """Read the beginning of an answer, or more of it."""
        if self.status is None and (status := STATUS.match(received)) is not None:
            self.status = int(status[1])
            self.says_when_to_retry = b"\r\nretry-after: " in received
        if self.first_s is None and TOKEN.search(received) is not None:
            self.first_s = now_s
        self.is_whole = self.is_whole or b"data: [DONE]" in received


class Crowd:
    """Many clients in one thread, each request over a connection of its own.

    It costs the server's machine little: bare sockets, and no thread or task for each.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.port = port
        self.rng = random.Random(seed)
        self.open: dict[int, tuple[socket.socket, Outcome]] = {}
        self.poll = select.epoll()
        self.outcomes: list[Outcome] = []

    def closed_loop(self, num_clients: int, *, seconds: float) -> list[Outcome]:
        """Let so many clients ask again and again; returns what ended within the time."""
        self.outcomes = []
        resting: deque[float] = deque()  # until when refused clients do
        until_s = time.monotonic() + seconds
        while (now_s := time.monotonic()) < until_s:
            while resting and resting[0] <= now_s:
                resting.popleft()
            while len(self.open) + len(resting) < num_clients:
                self._send(now_s)
            next_s = min(until_s, *resting) if resting else until_s
            ended = self._receive(next_s - now_s)
            resting += [now_s + RETRY_S for outcome in ended if not outcome.is_whole]
        self._wait()
        return [
            outcome
            for outcome in self.outcomes
            if outcome.ended_s is not None and outcome.ended_s < until_s
        ]

    def open_loop(self, rate: float, *, seconds: float) -> list[Outcome]:
        """Ask at a rate, whatever becomes of it; returns all requests, once they have ended."""
        self.outcomes = []
        due_s = time.monotonic()
        until_s = due_s + seconds
        while (due_s := due_s + self.rng.expovariate(rate)) < until_s:
            while (early_s := due_s - time.monotonic()) > 0:
                self._receive(early_s)
            self._send(due_s)
        self._wait()
        return self.outcomes

    def _wait(self) -> None:
        """Read what is still open to its end; what has none keeps no time of its end."""
        until_s = time.monotonic() + WAIT_S
        while self.open and (left_s := until_s - time.monotonic()) > 0:
            self._receive(left_s)
        for sock, _ in self.open.values():
            sock.close()
        self.open.clear()

    def _send(self, due_s: float) -> None:
        outcome = Outcome(due_s, sent_s=time.monotonic())
        self.outcomes.append(outcome)
        try:
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=CONNECT_S)
            sock.sendall(self._request())
        except OSError:
            return
        sock.setblocking(False)
        self.open[sock.fileno()] = sock, outcome
        self.poll.register(sock, select.EPOLLIN)

    def _receive(self, limit_s: float) -> list[Outcome]:
        """Take what comes within a time, or return as soon as something came: what ended by it."""
        ended = []
        for descriptor, _ in self.poll.poll(limit_s):
            sock, outcome = self.open[descriptor]
            try:
                received = sock.recv(2**16)
            except ConnectionError:
                received = b""
            now_s = time.monotonic()
            if received:
                outcome.take(received, now_s)
                continue
            outcome.ended_s = now_s
            del self.open[descriptor]
            sock.close()  # which also ends its being polled
            ended.append(outcome)
        return ended

    def _request(self) -> bytes:
        """Write a request: a sum, to be answered at a length that is drawn, as a stream."""
        question = f"What is {self.rng.randrange(100)} plus {self.rng.randrange(100)}?"
        wanted = chat(question, max_tokens=self.rng.randint(*TOKENS), ignore_eos=True)
        body = json.dumps(wanted).encode()
        return HEAD % len(body) + body


@dataclass
class Measured:
    """Collect what became of requests in several stretches of time.

    Attributes:
        num_whole: good answers that ended in these stretches, but for the seconds in which a crowd
            begins and nothing can have ended.
        seconds: those stretches without those seconds.
        outcomes: of all requests.
    """

    num_whole: int = 0
    seconds: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Count the answers a second."""
        return self.num_whole / self.seconds

    @property
    def first_s(self) -> list[float]:
        """List how long the first token of each good answer took."""
        return [
            one.first_s - one.sent_s
            for one in self.outcomes
            if one.is_whole and one.first_s is not None
        ]

    def add(self, outcomes: list[Outcome], *, started_s: float, seconds: float) -> None:
        """Add a stretch of so many seconds, and as many to begin with as it takes."""
        begun_s = started_s + SETTLE_S
        ended_s = begun_s + seconds
        self.num_whole += sum(
            one.is_whole and begun_s <= (one.ended_s or 0.0) < ended_s for one in outcomes
        )
        self.seconds += seconds
        self.outcomes += outcomes


class Trial:
    """What a server did for so many clients at once (closed loop), and when offered too much.

    Attributes:
        closed: by the number of clients.
        opened: what came of too many requests.
        refusals: by the bound of the bucket that the server counted them in.
    """

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.crowd = Crowd(server.port, seed)
        self.closed = {num_clients: Measured() for num_clients in LEVELS}
        self.opened = Measured()
        self.refusals: Counter[str] = Counter()

    @property
    def best(self) -> int:
        """Name the number of clients that got most answers a second."""
        return max(self.closed, key=lambda num_clients: self.closed[num_clients].per_s)

    def ask(self, num_clients: int, *, seconds: float) -> None:
        """Let so many clients ask for some time."""
        started_s = time.monotonic()
        outcomes = self.crowd.closed_loop(num_clients, seconds=seconds + SETTLE_S)
        self.closed[num_clients].add(outcomes, started_s=started_s, seconds=seconds)

    def offer(self, factor: float, *, seconds: float) -> None:
        """Offer so many times as much as the best got."""
        before, started_s = self._refusals(), time.monotonic()
        rate = factor * self.closed[self.best].per_s
        outcomes = self.crowd.open_loop(rate, seconds=seconds + SETTLE_S)
        self.opened.add(outcomes, started_s=started_s, seconds=seconds)
        self.refusals += self._refusals() - before

    def refusal_s(self) -> float:
        """Give the bound of the bucket in which 99 of 100 refusals lie."""
        enough = QUANTILE * self.refusals["+Inf"]
        return min(float(bound) for bound, count in self.refusals.items() if count >= enough)

    def _refusals(self) -> Counter[str]:
        return Counter({bound: int(n) for bound, n in BUCKET.findall(metrics(self.server))})


def quantile(values: list[float], share: float) -> float:
    """Give the value below which such a share of all lies; infinite if there are none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("inf")


def metrics(server: Server) -> str:
    """Read what the server counts."""
    return server.read("GET", "/metrics")[1].decode()


def gauge(text: str, name: str) -> float:
    """Find a value of now."""
    found = re.search(rf"^myna:{name} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"the server does not tell {name}"
    return float(found[1])


def measure(server: Server, asked: argparse.Namespace) -> dict[str, Any]:
    """Find what the server can do, offer it many times as much, and tell both."""
    trial = Trial(server, asked.seed)
    trial.crowd.closed_loop(2, seconds=SETTLE_S)  # warm
    answer = server.canary()
    for num_clients in LEVELS:
        trial.ask(num_clients, seconds=LEVEL_S)
    swept = {num_clients: found.per_s for num_clients, found in trial.closed.items()}
    finalists = sorted(swept, key=lambda num_clients: swept[num_clients])[-NUM_FINALISTS:]
    trial.closed = {num_clients: Measured() for num_clients in finalists}
    for _ in range(ROUNDS):
        for num_clients in finalists:
            trial.ask(num_clients, seconds=asked.seconds / ROUNDS)
        trial.offer(asked.factor, seconds=asked.seconds / ROUNDS)
    closed, opened = trial.closed[trial.best], trial.opened
    refused = [one for one in opened.outcomes if one.status == 429]
    others = [one for one in opened.outcomes if not one.is_whole and one.status != 429]
    time.sleep(SETTLE_S)
    state = metrics(server)
    lateness_s = [one.sent_s - one.due_s for one in opened.outcomes]
    refused_s = [one.ended_s - one.sent_s for one in refused if one.ended_s is not None]
    ttft_closed_s, ttft_s = quantile(closed.first_s, QUANTILE), quantile(opened.first_s, QUANTILE)
    return {
        "clients": trial.best,
        "swept": swept,
        "capacity_per_s": closed.per_s,
        "offered_per_s": len(opened.outcomes) / (opened.seconds + ROUNDS * SETTLE_S),
        "sent_late_p99_s": quantile(lateness_s, QUANTILE),
        "answered_per_s": opened.per_s,
        "goodput": opened.per_s / closed.per_s,
        "refused": len(refused),
        "refused_without_retry_after": sum(not one.says_when_to_retry for one in refused),
        "refusal_p99_at_server_s": trial.refusal_s(),
        "refusal_p99_at_client_s": quantile(refused_s, QUANTILE),
        "ttft_p50_closed_s": quantile(closed.first_s, 0.5),
        "ttft_p99_closed_s": ttft_closed_s,
        "ttft_p50_s": quantile(opened.first_s, 0.5),
        "ttft_p99_s": ttft_s,
        "ttft_ratio": ttft_s / ttft_closed_s,
        "others": Counter(str(one.status) for one in others),
        "left_open": sum(gauge(state, name) for name in MUST_BE_ZERO),
        "is_canary_equal": server.canary() == answer,
    }


def faults(figures: dict[str, Any], factor: float) -> list[str]:
    """List the bars that were missed."""
    checks = {
        "fewer requests were offered than asked for": figures["offered_per_s"]
        >= MIN_GOODPUT * factor * figures["capacity_per_s"],
        "too few answers": figures["goodput"] >= MIN_GOODPUT,
        "slow refusals": figures["refusal_p99_at_server_s"] <= MAX_REFUSAL_S,
        "late first tokens": figures["ttft_ratio"] <= MAX_TTFT_RATIO,
        "refusals without Retry-After": figures["refused_without_retry_after"] == 0,
        "requests lost": not figures["others"],
        "something is still open": figures["left_open"] == 0,
        "another greedy answer than before": figures["is_canary_equal"],
    }
    return [fault for fault, holds in checks.items() if not holds]


def main() -> int:
    """Print the figures; returns 1 below a bar."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--factor", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as home, served(Path(home)) as server:
        os.nice(NICE)
        figures = measure(server, asked)
    print(json.dumps(figures, indent=2))
    if asked.json is not None:
        machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        report = {"command": sys.argv, "machine": machine, **figures}
        asked.json.write_text(json.dumps(report, indent=1))
    missed = faults(figures, asked.factor)
    print(
        f"{figures['capacity_per_s']:.1f} answers/s by {figures['clients']} clients; at "
        f"{figures['offered_per_s']:.0f} requests/s goodput {figures['goodput']:.0%}, refusals p99 "
        f"<= {figures['refusal_p99_at_server_s'] * 1000:.0f} ms, first token p99 "
        f"{figures['ttft_ratio']:.2f}x" + "".join(f"; {fault}" for fault in missed)
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
