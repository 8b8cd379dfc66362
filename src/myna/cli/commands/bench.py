"""`myna bench`."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import resource
import sys
import time
from typing import Annotated

import typer

import myna
from myna.cli.compose import choose, load_here
from myna.cli.console import answer, answer_json, progress_bars, size_text, table
from myna.cli.measure import Plan, Speed, measure
from myna.cli.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    EchoOption,
    JsonOption,
    KeepPackedOption,
    KvInt8Option,
)
from myna.core.progress import Progress
from myna.core.service import Service
from myna.core.settings import read_settings


def command(
    model: Annotated[
        str | None, typer.Argument(help="A name of `myna list`, a folder or a GGUF file.")
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(min=2, help="Tokens to read.")] = 512,
    answer_tokens: Annotated[int, typer.Option(min=2, help="Tokens to write.")] = 64,
    parallel: Annotated[int, typer.Option(min=1, help="Answers to write at once.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Runs; the median counts.")] = 3,
    dtype: DtypeOption = Dtype.AUTO,
    keep_packed: KeepPackedOption = None,
    device: DeviceOption = Device.CPU,
    kv_int8: KvInt8Option = False,
    echo: EchoOption = False,
    json: JsonOption = False,
) -> None:
    """Measure how fast a model reads and writes on this machine."""
    settings = read_settings()
    choice = choose(
        model or settings.default_model,
        settings,
        dtype=dtype,
        max_context=None,
        keep_packed=keep_packed,
        device=device,
        kv_memory=None,
        kv_int8=kv_int8,
        yarn=None,
        is_echo=echo,
    )
    plan = Plan(
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        parallel=parallel,
        repeats=repeats,
    )
    with progress_bars() as progress:
        started_s = time.perf_counter()
        service = load_here(choice, progress)
        load_s = time.perf_counter() - started_s
        speeds = asyncio.run(_measure(service, plan, progress))
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if json:
        answer_json(
            {
                "model": choice.model_id,
                "dtype": dtype,
                "plan": plan,
                "speeds": speeds,
                "load_s": round(load_s, 3),
                "peak_memory_bytes": peak_bytes,
                "command": sys.argv,
                "machine": _machine(),
            }
        )
        return
    rows = [(each.what, f"{each.tokens_per_s:g} tokens/s") for each in speeds]
    rows += [("loading", f"{load_s:.3g} s"), ("peak memory", size_text(peak_bytes))]
    answer(table(rows))


async def _measure(service: Service, plan: Plan, progress: Progress) -> tuple[Speed, ...]:
    try:
        return await measure(service, plan, progress=progress)
    finally:
        await service.close()


def _machine() -> dict[str, object]:
    """Describe what the figures were measured on."""
    return {
        "myna": myna.__version__,
        "torch": importlib.metadata.version("torch"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "num_cores": os.cpu_count(),
        "num_usable_cores": len(os.sched_getaffinity(0)),
    }
