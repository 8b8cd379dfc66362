"""What an operator wants to see: counts and times, as Prometheus reads them.

No label or value ever holds a prompt, a key or a name that a client made up. The names are those
that vLLM's dashboards know, under a prefix of our own.
Source: the Prometheus text format, version 0.0.4; docs.vllm.ai design/metrics.
"""

from __future__ import annotations

import bisect
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from myna.core.events import Usage
from myna.core.service import Health

PREFIX = "myna:"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
GAP_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0)
REFUSAL_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
FACTORS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0)
REFUSED = (429, 503)
STATM = Path("/proc/self/statm")


class Histogram:
    """Count values by how large they are."""

    def __init__(self, name: str, help_text: str, bounds: Sequence[float]) -> None:
        self.name = name
        self.help_text = help_text
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self) -> Iterator[str]:
        """Write it down; each bucket counts all values up to its bound."""
        yield from _heading(self.name, "histogram", self.help_text)
        num_below = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            num_below += count
            yield f'{PREFIX}{self.name}_bucket{{le="{bound}"}} {num_below}'
        yield f"{PREFIX}{self.name}_sum {self.total:.6f}"
        yield f"{PREFIX}{self.name}_count {num_below}"


class Metrics:
    """Count what one server does."""

    def __init__(self) -> None:
        self.time_to_first_token = Histogram(
            "time_to_first_token_seconds", "From a request to its first output.", LATENCY_S
        )
        self.inter_token_latency = Histogram(
            "inter_token_latency_seconds", "Between two pieces of a text.", GAP_S
        )
        self.request_latency = Histogram(
            "e2e_request_latency_seconds", "From a request to its end.", LATENCY_S
        )
        self.time_to_first_audio = Histogram(
            "time_to_first_audio_seconds", "From a request to its first sound.", LATENCY_S
        )
        self.audio_realtime_factor = Histogram(
            "audio_realtime_factor", "Seconds of work for a second of sound.", FACTORS
        )
        self.refusal = Histogram(
            "refusal_seconds", "From a request to its answer of 429 or 503.", REFUSAL_S
        )
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.loop_lag_s = 0.0

    def count_status(self, status: int | None, duration_s: float) -> None:
        """Count an HTTP request by its status, and time it if it was refused."""
        self.statuses["none" if status is None else str(status)] += 1
        if status in REFUSED:
            self.refusal.observe(duration_s)

    def count_tokens(self, usage: Usage, *, is_first_choice: bool) -> None:
        """Count the tokens of one choice; the prompt of several choices counts once."""
        if is_first_choice:
            self.tokens["prompt_tokens"] += usage.prompt_tokens
            self.tokens["prefix_cache_queries"] += usage.prompt_tokens
            self.tokens["prefix_cache_hits"] += usage.cached_tokens
        self.tokens["generation_tokens"] += usage.completion_tokens
        self.tokens["audio_tokens"] += usage.audio_tokens

    def text(self, health: Health, gauges: dict[str, float]) -> str:
        """Write everything down.

        Args:
            health: of the service.
            gauges: further values of now, by name.
        """
        return "\n".join((*self._lines(health, gauges), ""))

    def _lines(self, health: Health, gauges: dict[str, float]) -> Iterator[str]:
        now = {
            "num_requests_running": health.num_running,
            "num_requests_waiting": health.num_waiting,
            "engine_ready": int(health.ready),
            "engine_heartbeat_age_seconds": health.heartbeat_age_s,
            "event_loop_lag_seconds": self.loop_lag_s,
            "rss_bytes": resident_bytes(),
            **gauges,
        }
        for name, value in now.items():
            yield from _heading(name, "gauge", "Now.")
            yield f"{PREFIX}{name} {value:g}" if value < 1e6 else f"{PREFIX}{name} {value:.0f}"
        for name in (
            "prompt_tokens",
            "generation_tokens",
            "audio_tokens",
            "prefix_cache_queries",
            "prefix_cache_hits",
        ):
            yield from _heading(f"{name}_total", "counter", "Tokens.")
            yield f"{PREFIX}{name}_total {self.tokens[name]}"
        yield from _heading("requests_total", "counter", "Requests to the service, by their end.")
        for outcome, count in sorted(self.requests.items()):
            yield f'{PREFIX}requests_total{{outcome="{outcome}"}} {count}'
        yield from _heading("http_requests_total", "counter", "HTTP requests, by their status.")
        for status, count in sorted(self.statuses.items()):
            yield f'{PREFIX}http_requests_total{{status="{status}"}} {count}'
        for histogram in (
            self.time_to_first_token,
            self.inter_token_latency,
            self.request_latency,
            self.time_to_first_audio,
            self.audio_realtime_factor,
            self.refusal,
        ):
            yield from histogram.lines()


def resident_bytes() -> int:
    """Tell how much memory this process holds; 0 where the system does not say."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _heading(name: str, kind: str, help_text: str) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {help_text}"
    yield f"# TYPE {PREFIX}{name} {kind}"
