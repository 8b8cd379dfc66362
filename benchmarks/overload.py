"""Offer a server ten times the requests it can answer; see that it goes on answering as many.

    python benchmarks/overload.py [--factor 10] [--seconds 20] [--seed 0] [--json FILE]

The model in the box is served with its usual settings. What it can do is measured first, by so many
clients at once, each asking again when it was answered (closed loop), as answer most requests a
second. Then requests come at ten times that rate whether or not others were answered (open loop,
Poisson), each over a connection of its own. What asks runs here, niced, so that it gives way.

Bars, all within this one run: at least 90 % as many answers a second as before; a refusal is 429
with Retry-After and takes the server at most 50 ms, 99 times of 100; the first token of what was
let in comes within twice the time of the closed loop, both 99 times of 100, at the client; no
request is lost, and afterwards nothing is open and a greedy answer is the same to the byte.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from served import Server, served

LEVELS = (1, 4, 8, 16, 24, 32)  # clients at once
LEVEL_S = 4.0
CAPACITY_S = 15.0
SETTLE_S = 2.0
NICE = 5
TOKENS = (16, 48)
MIN_GOODPUT, MAX_REFUSAL_S, MAX_TTFT_RATIO = 0.9, 0.05, 2.0
QUANTILE = 0.99
WAIT_S = 60.0
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
BUCKET = re.compile(r'myna:refusal_seconds_bucket\{le="([^"]+)"\} (\d+)')
MUST_BE_ZERO = ("num_requests_running", "num_requests_waiting", "http_open_requests")


@dataclass
class Outcome:
    """Tell what became of one request; times are of the monotonic clock, in seconds."""

    asked_s: float
    status: int | None = None
    first_s: float | None = None
    ended_s: float | None = None
    is_whole: bool = False
    says_when_to_retry: bool = False


class Asking(asyncio.Protocol):
    """Send one request over a connection of its own, and note when what comes back."""

    def __init__(self, request: bytes, outcome: Outcome, done: asyncio.Future[Outcome]) -> None:
        self.request = request
        self.outcome = outcome
        self.done = done
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Look for the status and for the first token."""
        self.received += data
        if self.outcome.first_s is None and b'"content":"' in self.received:
            self.outcome.first_s = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection for the end of the answer: no other was agreed on."""
        outcome = self.outcome
        outcome.ended_s = time.monotonic()
        if (status := STATUS.match(self.received)) is not None:
            outcome.status = int(status[1])
        outcome.is_whole = b"data: [DONE]" in self.received
        outcome.says_when_to_retry = b"\r\nretry-after: " in self.received
        if not self.done.done():
            self.done.set_result(outcome)


@dataclass
class Client:
    """Ask a server, with prompts and lengths drawn from a seed."""

    port: int
    seed: int
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Begin to draw."""
        self.rng = random.Random(self.seed)

    async def ask(self, asked_s: float) -> Outcome:
        """Send a request and wait for its end; one that never ends is told apart by its times."""
        loop = asyncio.get_running_loop()
        outcome, done = Outcome(asked_s), loop.create_future()
        request = self.request()
        try:
            transport, _ = await loop.create_connection(
                lambda: Asking(request, outcome, done), "127.0.0.1", self.port
            )
        except OSError:
            return outcome
        try:
            async with asyncio.timeout(WAIT_S):
                return await done
        except TimeoutError:
            return outcome
        finally:
            transport.close()

    def request(self) -> bytes:
        """Write a request: a sum, to be answered at a length that is drawn, as a stream."""
        question = f"What is {self.rng.randrange(100)} plus {self.rng.randrange(100)}?"
        wanted = {
            "stream": True,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": self.rng.randint(*TOKENS),
            "ignore_eos": True,
        }
        body = json.dumps(wanted).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += "Content-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def closed_loop(client: Client, *, num_clients: int, seconds: float) -> list[Outcome]:
    """Let so many clients ask again and again; returns what ended within the time."""
    outcomes: list[Outcome] = []
    until_s = time.monotonic() + seconds

    async def ask_on() -> None:
        while (now_s := time.monotonic()) < until_s:
            outcomes.append(await client.ask(now_s))

    await asyncio.gather(*(ask_on() for _ in range(num_clients)))
    return [outcome for outcome in outcomes if (outcome.ended_s or until_s) < until_s]


async def open_loop(client: Client, *, rate: float, seconds: float) -> list[Outcome]:
    """Ask at a rate, whatever becomes of it; returns all requests, once they have ended."""
    tasks: list[asyncio.Task[Outcome]] = []
    due_s = time.monotonic()
    until_s = due_s + seconds
    while (due_s := due_s + client.rng.expovariate(rate)) < until_s:
        if (early_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(early_s)
        tasks.append(asyncio.create_task(client.ask(time.monotonic())))
    return list(await asyncio.gather(*tasks))


def quantile(values: list[float], share: float) -> float:
    """Give the value below which such a share of all lies; infinite if there are none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("inf")


def first_times(outcomes: list[Outcome]) -> list[float]:
    """List how long the first token of each answer took."""
    return [one.first_s - one.asked_s for one in outcomes if one.first_s is not None]


def metrics(server: Server) -> str:
    """Read what the server counts."""
    return server.read("GET", "/metrics")[1].decode()


def gauge(text: str, name: str) -> float:
    """Find a value of now."""
    found = re.search(rf"^myna:{name} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"the server does not tell {name}"
    return float(found[1])


def refusal_bound(before: str, after: str) -> float:
    """Give the bound of the bucket in which 99 of 100 refusals lie that came in between."""
    then = {bound: int(count) for bound, count in BUCKET.findall(before)}
    now = {bound: int(count) - then[bound] for bound, count in BUCKET.findall(after)}
    enough = QUANTILE * now["+Inf"]
    return next(float(bound) for bound, count in now.items() if count >= enough)


async def measure(server: Server, asked: argparse.Namespace) -> dict[str, Any]:
    """Find what the server can do, offer it many times as much, and tell both."""
    client = Client(server.port, asked.seed)
    await closed_loop(client, num_clients=2, seconds=LEVEL_S)  # warm
    answer = await asyncio.to_thread(server.canary)
    levels: dict[int, float] = {}
    for num_clients in LEVELS:
        ended = await closed_loop(client, num_clients=num_clients, seconds=LEVEL_S)
        levels[num_clients] = sum(one.is_whole for one in ended) / LEVEL_S
    best = max(levels, key=lambda num_clients: levels[num_clients])
    closed = await closed_loop(client, num_clients=best, seconds=CAPACITY_S)
    capacity = sum(one.is_whole for one in closed) / CAPACITY_S
    before = await asyncio.to_thread(metrics, server)
    started_s = time.monotonic()
    offered = await open_loop(client, rate=asked.factor * capacity, seconds=asked.seconds)
    after = await asyncio.to_thread(metrics, server)
    begun_s, ended_s = started_s + SETTLE_S, started_s + asked.seconds
    answered = [one for one in offered if one.is_whole]
    num_during = sum(begun_s <= (one.ended_s or 0.0) < ended_s for one in answered)
    refused = [one for one in offered if one.status == 429]
    others = [one for one in offered if not one.is_whole and one.status != 429]
    await asyncio.sleep(SETTLE_S)
    state = await asyncio.to_thread(metrics, server)
    left = sum(gauge(state, name) for name in MUST_BE_ZERO)
    ttft_closed_s = quantile(first_times(closed), QUANTILE)
    ttft_s = quantile(first_times(answered), QUANTILE)
    return {
        "clients": best,
        "levels": levels,
        "capacity_per_s": capacity,
        "offered_per_s": len(offered) / asked.seconds,
        "answered_per_s": num_during / (ended_s - begun_s),
        "goodput": num_during / (ended_s - begun_s) / capacity,
        "refused": len(refused),
        "refused_without_retry_after": sum(not one.says_when_to_retry for one in refused),
        "refusal_p99_at_server_s": refusal_bound(before, after),
        "refusal_p99_at_client_s": quantile(
            [one.ended_s - one.asked_s for one in refused if one.ended_s is not None], QUANTILE
        ),
        "ttft_p50_closed_s": quantile(first_times(closed), 0.5),
        "ttft_p99_closed_s": ttft_closed_s,
        "ttft_p50_s": quantile(first_times(answered), 0.5),
        "ttft_p99_s": ttft_s,
        "ttft_ratio": ttft_s / ttft_closed_s,
        "others": Counter(str(one.status) for one in others),
        "left_open": left,
        "is_canary_equal": await asyncio.to_thread(server.canary) == answer,
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
        figures = asyncio.run(measure(server, asked))
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
