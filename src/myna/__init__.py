"""Myna: Qwen's omni models, whole, on the machine you have. What is used first is imported then."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myna.core import errors as errors
    from myna.core import events as events
    from myna.core.messages import Message as Message
    from myna.core.requests import Request as Request
    from myna.core.requests import SamplingParams as SamplingParams
    from myna.core.service import Service

__version__ = "0.1.0"
_HOMES = {"Message": "messages", "Request": "requests", "SamplingParams": "requests"}


def load(model: str, *, dtype: str = "auto", max_context: int | None = None) -> Service:
    """Load a model into this process: a name of `myna list`, a folder or a GGUF file."""
    settings = import_module("myna.core.settings").read_settings()
    path = import_module("myna.hub.cache").find(model, settings.models_dir)
    kind = import_module("myna.pipeline.load").LoadOptions
    options = kind(model_id=path.stem, dtype=dtype, max_context=max_context)
    silent = import_module("myna.core.progress").silent
    service: Service = import_module("myna.pipeline.service").load_local_service(
        path, options, silent
    )
    return service


def __getattr__(name: str) -> object:
    """Import a public name from its home in core."""
    if name in ("errors", "events"):
        return import_module(f"myna.core.{name}")
    if name in _HOMES:
        return getattr(import_module(f"myna.core.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'myna' has no attribute {name!r}")
