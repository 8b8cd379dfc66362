"""Counts and times, in the text that Prometheus reads."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from myna.core.events import Usage
from myna.core.service import Health
from myna.server import metrics as module
from myna.server.metrics import Histogram, Metrics, resident_bytes

SAMPLE = re.compile(r'myna:[a-z0-9_]+(\{[a-z]+="[^"]*"\})? -?[0-9.e+-]+')


def test_buckets_of_a_histogram_count_all_below_them() -> None:
    histogram = Histogram("x_seconds", "Help.", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    assert list(histogram.lines()) == [
        "# HELP myna:x_seconds Help.",
        "# TYPE myna:x_seconds histogram",
        'myna:x_seconds_bucket{le="0.1"} 2',
        'myna:x_seconds_bucket{le="1.0"} 3',
        'myna:x_seconds_bucket{le="+Inf"} 4',
        "myna:x_seconds_sum 7.650000",
        "myna:x_seconds_count 4",
    ]


def test_every_line_is_one_that_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.requests["stop"] += 1
    metrics.statuses["200"] += 2
    usage = Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=3)
    metrics.count_tokens(usage, is_first_choice=True)
    metrics.count_tokens(usage, is_first_choice=False)
    text = metrics.text(Health(ready=True, num_running=3), {"model_load_seconds": 1.5})
    lines = text.splitlines()
    assert all(SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    for line in (
        "myna:num_requests_running 3",
        "myna:model_load_seconds 1.5",
        "myna:prompt_tokens_total 5",
        "myna:prefix_cache_hits_total 3",
        "myna:generation_tokens_total 4",
        'myna:requests_total{outcome="stop"} 1',
        'myna:http_requests_total{status="200"} 2',
    ):
        assert line in lines


def test_memory_is_told_where_the_system_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resident_bytes() > 2**20
    monkeypatch.setattr(module, "STATM", Path("/nowhere"))
    assert resident_bytes() == 0


async def test_metrics_are_served(client: httpx.AsyncClient) -> None:
    asked = {"messages": [{"role": "user", "content": "a secret word"}]}
    await client.post("/v1/chat/completions", json=asked)
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'myna:requests_total{outcome="stop"} 1' in answer.text
    assert 'myna:http_requests_total{status="200"} 1' in answer.text
    assert "secret" not in answer.text


def test_refusals_are_timed_and_answers_are_not() -> None:
    metrics = Metrics()
    for status in (200, 429, 503, None):
        metrics.count_status(status, 0.002)
    text = metrics.text(Health(ready=True), {})
    assert 'myna:refusal_seconds_bucket{le="0.001"} 0' in text
    assert 'myna:refusal_seconds_bucket{le="0.0025"} 2' in text
    assert 'myna:http_requests_total{status="none"} 1' in text
