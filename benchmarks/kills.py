"""Kill and freeze the processes of a server while they work; tell what became of the requests.

    python benchmarks/kills.py [--kills 50] [--seed 0] [--only engine] [--json FILE]

The model in the box is served. SIGKILL ends its engine, and whole servers, so often while they
idle, read a prompt, write and speak; and the children that decode media and prove grammars, so
often idle and so often at work. The engine is also frozen (SIGSTOP). Servers are killed while
others lose engines and children: two at once take less time, and the limits hold for a busy machine
too. Then, alone, servers are told to stop (SIGTERM). All the while messages are put into the
history. An engine that dies so often would stay down; for its kills alone the server here waits a
tenth of a second before each restart, and never gives up.

Must hold: every request that a kill meets ends in a typed error within 2 s, the server is ready
again and answers the same to the byte; `/readyz` is 503 within 10 s of a freeze and within 0.1 s of
SIGTERM, after which open answers are finished, new ones refused and the server exits with 0; no
process is left, nothing in /dev/shm, and no message lost that was acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

from fates import GONE_S, MAX_ERROR_S, Tally, Writer
from served import READY_S, Asked, Json, Server, chat, served, wait_until

from myna import embedded
from myna.cli.compose import ModelChoice, worker_command
from myna.cli.keeping import open_history
from myna.core.fleet import Fleet
from myna.core.remote import ProcessService, Supervision
from myna.core.settings import read_settings
from myna.server.app import create_app
from myna.server.library import HubLibrary
from myna.server.run import make_server

RESTART_S = 0.1
CLIENTS = 3
MAX_UNREADY_S, MAX_DRAINING_S = 10.0, 0.1
MAX_EXIT_S, MAX_SECOND_EXIT_S, MAX_FROZEN_S = 35.0, 2.0, 70.0
PICTURE_PX = 5000
SHM = Path("/dev/shm")
ENGINE = "myna.pipeline.worker"
DECODER = "myna.media.child"
PROVER = "myna.engine.grammar_child"
PHASES = ("idle", "prefill", "stream", "speech")
MARKS = {"prefill": b"never comes", "stream": b'{"content":"', "speech": b'"data":"'}


# The server under attack.


def serve(port: int) -> None:
    """Serve as `myna serve` does, but start a dead engine again at once, however often it died."""
    settings = read_settings()
    rules = Supervision(first_delay_s=RESTART_S, max_delay_s=RESTART_S, max_deaths=sys.maxsize)
    command = worker_command(ModelChoice(path=embedded.folder(), model_id=embedded.NAME))
    fleet = Fleet(
        lambda _, progress: ProcessService(command, on_progress=progress, supervision=rules)
    )
    history = open_history(settings)
    assert history is not None

    async def run() -> None:
        library = HubLibrary(settings)
        app = create_app(fleet, library=library, history=history, home=settings.home)
        serving = asyncio.create_task(make_server(app, port=port).serve())
        await fleet.load(embedded.NAME)
        await serving
        await app.close()
        await fleet.close()

    asyncio.run(run())
    history.close()


# What is asked of it.


def request_of(phase: str, rng: random.Random) -> Json:
    """Write a request that is long in one phase; no prompt comes twice, so none is remembered."""
    number = rng.randrange(10**9)
    if phase == "prefill":
        words = " ".join(f"{rng.randrange(10**6)}" for _ in range(400))
        return chat(f"Read {words}", max_tokens=8)
    wishes: Json = {"max_tokens": 400, "ignore_eos": True}
    if phase == "speech":
        wishes |= {"modalities": ["text", "audio"], "audio": {"format": "pcm16"}}
    return chat(f"What is {number} plus 2?", **wishes)


@cache
def picture(px: int) -> str:
    """Draw a grey square, as the address of a PNG file that is small and takes a while to read."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", px, px, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(px * (px + 1)))
    file = b"\x89PNG\r\n\x1a\n"
    file += chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(file).decode()


def work_for(module: str, rng: random.Random) -> Json:
    """Write a request that keeps a child busy."""
    if module == PROVER:
        names = [f"f{rng.randrange(10**9)}" for _ in range(40)]
        schema = {"type": "object", "properties": {name: {"type": "integer"} for name in names}}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        return chat("What is 2 plus 2?", max_tokens=8, response_format=form)
    seen = {"type": "image_url", "image_url": {"url": picture(PICTURE_PX)}}
    turn = {"role": "user", "content": [seen, {"type": "text", "text": "what is it"}]}
    return {"stream": True, "messages": [turn], "max_tokens": 8}


# What is done to it.


def kill_engine(server: Server, phase: str, rng: random.Random, tally: Tally) -> None:
    """Kill the engine in a phase of its work."""
    what = f"engine, {phase}"
    (engine,) = server.find(ENGINE)
    asked = [] if phase == "idle" else ask(server, phase, rng)
    time.sleep(rng.uniform(0.0, 0.15))
    below = server.family()[1:]
    killed_s = time.monotonic()
    os.kill(engine, signal.SIGKILL)
    if phase == "idle":
        asked = [Asked(server, request_of("stream", rng))]
    tally.counts[what] += 1
    for one in asked:
        tally.end(one, what=what, since_s=killed_s)
    tally.time("ready again", until_restarted(server, engine), limit_s=READY_S)
    tally.leave(below, what=what)


def until_restarted(server: Server, engine: int) -> float | None:
    """Wait until another engine is ready; returns the seconds, or nothing if none came."""
    return wait_until(
        lambda: any(pid != engine for pid in server.find(ENGINE)) and server.is_ready(),
        limit_s=READY_S,
    )


def ask(server: Server, phase: str, rng: random.Random) -> list[Asked]:
    """Ask for a few answers, and wait for the phase in which they are to be met."""
    asked = [Asked(server, request_of(phase, rng), MARKS[phase]) for _ in range(CLIENTS)]
    if phase != "prefill":
        for one in asked:
            one.begun.wait()
    return asked


def kill_child(
    server: Server, module: str, rng: random.Random, tally: Tally, *, is_at_work: bool
) -> None:
    """Kill the children that run a module; the next request must not notice."""
    what = f"{module.rpartition('.')[2]}, {'at work' if is_at_work else 'idle'}"
    if not server.find(module):
        tally.check(
            f"{what}: no start", holds=Asked(server, work_for(module, rng)).fate() == "whole"
        )
    engine = server.find(ENGINE)
    asked = [Asked(server, work_for(module, rng))] if is_at_work else []
    time.sleep(rng.uniform(0.0, 0.3))
    killed_s = time.monotonic()
    children = server.find(module)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    tally.counts[what] += 1
    tally.leave(children, what=what)
    for one in asked:
        tally.end(one, what=what, since_s=killed_s)
    fate = Asked(server, work_for(module, rng)).fate()
    tally.check(f"{what}: the next answer was {fate}", holds=fate == "whole")
    tally.check(f"{what}: the engine is another one", holds=server.find(ENGINE) == engine)


def kill_servers(home: Path, num_kills: int, rng: random.Random, tally: Tally) -> None:
    """Kill servers so often in each phase; each finds what the one before has kept."""
    writer: Writer | None = None
    first: Json | None = None
    phases = PHASES * num_kills
    for idx in range(len(phases) + 1):
        started_s = time.monotonic()
        with served(home) as server:
            if writer is not None:
                tally.time("server: ready", time.monotonic() - started_s, limit_s=READY_S)
                tally.keep(writer, server)
            first = first or server.canary()
            tally.check("server: another greedy answer than before", holds=server.canary() == first)
            if idx == len(phases):
                return
            writer = Writer(server)
            for module in (DECODER, PROVER) if idx // len(PHASES) % 2 else ():
                Asked(server, work_for(module, rng)).fate()
            kill_server(server, phases[idx], rng, tally)


def kill_server(server: Server, phase: str, rng: random.Random, tally: Tally) -> None:
    """Kill a server in a phase of its work."""
    what = f"server, {phase}"
    asked = [] if phase == "idle" else ask(server, phase, rng)
    time.sleep(rng.uniform(0.0, 0.15))
    below = server.family()
    killed_s = time.monotonic()
    server.process.kill()
    tally.counts[what] += 1
    for one in asked:
        tally.fates[f"{what}: {one.fate()}"] += 1
        tally.time("server: the end", one.ended_s - killed_s, limit_s=MAX_ERROR_S)
    tally.leave(below, what=what)


def freeze_engine(server: Server, rng: random.Random, tally: Tally) -> None:
    """Stop the engine without killing it, with answers under way."""
    (engine,) = server.find(ENGINE)
    asked = ask(server, "stream", rng)
    frozen_s = time.monotonic()
    os.kill(engine, signal.SIGSTOP)
    unready_s = wait_until(lambda: not server.is_ready(), limit_s=READY_S)
    tally.counts["frozen"] += 1
    tally.time("frozen: /readyz 503", unready_s, limit_s=MAX_UNREADY_S)
    late_s = time.monotonic()
    tally.end(Asked(server, request_of("stream", rng)), what="frozen, late", since_s=late_s)
    for one in asked:
        tally.end(one, what="frozen", since_s=frozen_s, limit_s=MAX_FROZEN_S)
    tally.time("ready again", until_restarted(server, engine), limit_s=READY_S)
    tally.leave([engine], what="frozen")


def stop_server(home: Path, rng: random.Random, tally: Tally, *, is_hasty: bool) -> None:
    """Tell a server to stop, with answers under way; tell it twice if `is_hasty`."""
    what = "SIGTERM twice" if is_hasty else "SIGTERM"
    with served(home) as server:
        writer = Writer(server)
        asked = ask(server, "stream", rng)
        below = server.family()
        stopped_s = time.monotonic()
        server.process.terminate()
        tally.counts[what] += 1
        if is_hasty:
            server.process.terminate()
        else:
            unready_s = wait_until(lambda: not server.is_ready(), limit_s=READY_S, tick_s=0.0)
            tally.time("SIGTERM: /readyz 503", unready_s, limit_s=MAX_DRAINING_S)
            late = Asked(server, request_of("stream", rng))
            tally.end(late, what="SIGTERM, late", since_s=time.monotonic())
            tally.check("SIGTERM: a new request was let in", holds=not late.is_whole)
        for one in asked:
            fate = one.fate()
            tally.fates[f"{what}: {fate}"] += 1
            tally.check(f"{what}: an open answer {fate}", holds=is_hasty or fate == "whole")
        status = server.process.wait(MAX_EXIT_S)
        limit_s = MAX_SECOND_EXIT_S if is_hasty else MAX_EXIT_S
        tally.time(f"{what}: exit", time.monotonic() - stopped_s, limit_s=limit_s)
        tally.check(f"{what}: exit status {status}", holds=is_hasty or status == 0)
        tally.leave(below, what=what)
    with served(home) as server:
        tally.keep(writer, server)


# All of it.


def attack_engine(home: Path, num_kills: int, rng: random.Random, tally: Tally) -> None:
    """Kill the engine so often in each phase."""
    ours = (sys.executable, __file__, "--serve")
    with served(home, ours) as server:
        _under_watch(
            server,
            [
                partial(kill_engine, server, phase, rng, tally)
                for _ in range(num_kills)
                for phase in PHASES
            ],
            tally,
        )


def attack_children(home: Path, num_kills: int, rng: random.Random, tally: Tally) -> None:
    """Kill each kind of child so often, idle and at work."""
    with served(home) as server:
        _under_watch(
            server,
            [
                partial(kill_child, server, module, rng, tally, is_at_work=is_at_work)
                for _ in range(num_kills)
                for module in (DECODER, PROVER)
                for is_at_work in (False, True)
            ],
            tally,
        )


def attack_by_frost(home: Path, num_kills: int, rng: random.Random, tally: Tally) -> None:
    """Freeze the engine, once for fifty kills: it takes a minute."""
    with served(home) as server:
        attacks = [partial(freeze_engine, server, rng, tally)] * -(-num_kills // 50)
        _under_watch(server, attacks, tally)


def attack_by_word(home: Path, num_kills: int, rng: random.Random, tally: Tally) -> None:
    """Tell servers to stop, once for five kills."""
    for idx in range(-(-num_kills // 5)):
        stop_server(home, rng, tally, is_hasty=idx % 2 == 1)


def _under_watch(server: Server, attacks: list[Callable[[], None]], tally: Tally) -> None:
    """Attack, and see to it that messages are kept and a greedy answer stays the same."""
    first = server.canary()
    writer = Writer(server)
    for attack in attacks:
        attack()
        tally.check("another greedy answer than before", holds=server.canary() == first)
    tally.keep(writer, server)
    tally.check("something is still open", holds=_is_idle(server))


def _is_idle(server: Server) -> bool:
    names = (b"num_requests_running", b"num_requests_waiting", b"http_open_requests")

    def holds() -> bool:
        lines = server.read("GET", "/metrics")[1].splitlines()
        return all(b"myna:" + name + b" 0" in lines for name in names)

    return wait_until(holds, limit_s=GONE_S) is not None


Attack = Callable[[Path, int, random.Random, Tally], None]

ATTACKS: Mapping[str, Attack] = {
    "engine": attack_engine,
    "children": attack_children,
    "server": kill_servers,
    "frozen": attack_by_frost,
    "stop": attack_by_word,
}
TOGETHER = (("engine", "children", "frozen"), ("server",))
ALONE = ("stop",)  # where a tenth of a second counts


def attack_in_turn(names: Sequence[str], num_kills: int, seed: int) -> Tally:
    """Attack in several ways, one after another, with a data folder of their own."""
    tally, rng = Tally(), random.Random(f"{seed} {names}")
    with tempfile.TemporaryDirectory() as home:
        for name in names:
            started_s = time.monotonic()
            ATTACKS[name](Path(home), num_kills, rng, tally)
            print(f"{name}: {time.monotonic() - started_s:.0f} s", flush=True)
    return tally


def attack(only: str | None, num_kills: int, seed: int) -> Tally:
    """Attack in all ways, or in one; what is killed in many ways is attacked at the same time."""
    if only is not None:
        return attack_in_turn([only], num_kills, seed)
    tally = Tally()
    with ThreadPoolExecutor() as pool:
        for part in pool.map(lambda names: attack_in_turn(names, num_kills, seed), TOGETHER):
            tally.add(part)
    tally.add(attack_in_turn(ALONE, num_kills, seed))
    return tally


def main() -> int:
    """Attack, and print the figures; returns 1 if anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="of each process and phase")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=ATTACKS, help="one kind of attack")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve is not None:
        serve(asked.serve)
        return 0
    shared, started_s = set(SHM.iterdir()), time.monotonic()
    tally = attack(asked.only, asked.kills, asked.seed)
    tally.check("something is left in /dev/shm", holds=not set(SHM.iterdir()) - shared)
    figures = {"seconds": round(time.monotonic() - started_s), **tally.figures()}
    print(json.dumps(figures, indent=2))
    if asked.json is not None:
        asked.json.write_text(json.dumps({"command": sys.argv, **figures}, indent=1))
    errors_s = [seconds for what, seconds in tally.worst_s.items() if what in tally.prompt]
    print(
        f"{tally.counts.total()} signals: errors within {max(errors_s, default=0.0):.2f} s, ready "
        f"again within {tally.worst_s.get('ready again', 0.0):.1f} s, {tally.num_lost} of "
        f"{tally.num_kept} messages lost, {tally.faults.total()} faults"
    )
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
