"""Measure how soon a spoken answer begins: from the end of a turn to the first sound at the client.

    python benchmarks/voice_latency.py [--url http://127.0.0.1:8000] [--turns 30] [--json FILE]

Without an address the model in the box is served for it. The model is called over a real socket; a
voice made here speaks as a microphone does, 20 ms at a time. Two times are taken for each turn:
from `speech_stopped`, when the server knows that the turn is over, and from the end of the speech
itself, which adds the silence that turns wait for.
The bar is on the first: median at most 500 ms, 95 of 100 at most 900 ms.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import statistics
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from served import served
from websockets.sync.client import ClientConnection, connect

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/support"))
from talk_sounds import pcm16, silence, vowels

RATE_HZ = 24_000
FRAME_S = 0.02
FRAME_BYTES = round(RATE_HZ * FRAME_S) * 2
SILENCE_S = 2.0
MAX_MEDIAN_S, MAX_P95_S = 0.5, 0.9
ANSWER_S = 120.0


def speak(caller: ClientConnection, data: bytes) -> None:
    """Send sound at the pace of a microphone."""
    started_s = time.monotonic()
    for idx, start in enumerate(range(0, len(data), FRAME_BYTES)):
        time.sleep(max(started_s + idx * FRAME_S - time.monotonic(), 0.0))
        audio = base64.b64encode(data[start : start + FRAME_BYTES]).decode()
        caller.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


def take_turn(caller: ClientConnection, seed: int) -> dict[str, float]:
    """Speak once, and time what comes back."""
    speech = vowels(1.0 + 0.1 * (seed % 10), rate_hz=RATE_HZ, seed=seed)
    data = pcm16(speech) + pcm16(silence(SILENCE_S, rate_hz=RATE_HZ, seed=seed))
    times_s = {"spoken": time.monotonic() + len(speech) / RATE_HZ}
    speaker = threading.Thread(target=speak, args=(caller, data))
    speaker.start()
    while True:
        event: dict[str, Any] = json.loads(caller.recv(timeout=ANSWER_S))
        now_s = time.monotonic()
        match event["type"]:
            case "input_audio_buffer.speech_stopped":
                times_s["stopped"] = now_s
            case "response.output_audio.delta":
                times_s.setdefault("sound", now_s)
            case "response.done":
                break
            case "error":
                sys.exit(f"the server says: {event['error']['message']}")
    speaker.join()
    if "sound" not in times_s or "stopped" not in times_s:
        sys.exit(f"turn {seed} was not answered aloud: {event['response']['status_details']}")
    return {
        "from_stopped_s": times_s["sound"] - times_s["stopped"],
        "from_speech_end_s": times_s["sound"] - times_s["spoken"],
    }


def main() -> int:
    """Take turns, and print the figure last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="of a server; without it, nano is served")
    parser.add_argument("--model", default="")
    parser.add_argument("--key", default="EMPTY")
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.url is not None:
        return measure(options.url, options)
    with TemporaryDirectory() as home, served(Path(home)) as server:
        return measure(f"http://127.0.0.1:{server.port}", options)


def measure(url: str, options: argparse.Namespace) -> int:
    """Take turns with a server; gives 0 where the bar holds."""
    query = f"?model={options.model}" if options.model else ""
    address = url.replace("http", "ws", 1) + f"/v1/realtime{query}"
    headers = {"Authorization": f"Bearer {options.key}"}
    turns = []
    with connect(address, additional_headers=headers) as caller:
        session = {"type": "realtime", "instructions": "Answer in one short sentence."}
        caller.send(json.dumps({"type": "session.update", "session": session}))
        for seed in range(options.turns):
            turns.append(take_turn(caller, seed))
            print(", ".join(f"{name} {value:.3f}" for name, value in turns[-1].items()), flush=True)
    times_s = sorted(turn["from_stopped_s"] for turn in turns)
    median_s = statistics.median(times_s)
    p95_s = times_s[min(int(0.95 * len(times_s)), len(times_s) - 1)]
    if options.json is not None:
        machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        report = {"command": sys.argv, "machine": machine, "turns": turns}
        options.json.write_text(json.dumps(report, indent=1))
    print(
        f"speech_stopped to first sound, {len(turns)} turns: median {median_s:.3f} s, "
        f"p95 {p95_s:.3f} s"
    )
    return 0 if median_s <= MAX_MEDIAN_S and p95_s <= MAX_P95_S else 1


if __name__ == "__main__":
    sys.exit(main())
