"""Put services together: the composition root of everything that answers.

The front process of `myna serve` never imports torch, so this module does so only where the model
is to live in this very process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from myna.cli.console import bytes_of
from myna.cli.fetching import find_or_fetch
from myna.core.echo import EchoService
from myna.core.progress import Progress
from myna.core.service import Service
from myna.core.settings import Settings

if TYPE_CHECKING:
    from myna.pipeline.load import LoadedModel

ECHO_MODEL = "echo"


class ModelChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Say which model is to be loaded, and how; without a `path`, the echo that needs none.

    The other fields are those of `pipeline.load.LoadOptions`.
    """

    path: Path | None
    model_id: str
    dtype: str = "auto"
    device: str = "cpu"
    max_context: int | None = None
    keep_packed: bool | None = None
    kv_memory_bytes: int | None = None
    kv_int8: bool = False
    yarn_factor: float | None = None
    lora: str | None = None
    weight_memory_bytes: int | None = None

    def load_options(self) -> dict[str, object]:
        """Write the fields of `pipeline.load.LoadOptions`."""
        return {
            name: value for name, value in msgspec.structs.asdict(self).items() if name != "path"
        }


def choose(
    name: str,
    settings: Settings,
    *,
    dtype: str,
    max_context: int | None,
    keep_packed: bool | None,
    kv_memory: str | None,
    yarn: float | None,
    is_echo: bool,
    device: str = "cpu",
    kv_int8: bool = False,
) -> ModelChoice:
    """Find the model that a user named, fetching it if it is small and not here."""
    return ModelChoice(
        path=None if is_echo else find_or_fetch(name, settings),
        model_id=ECHO_MODEL if is_echo else model_id_of(name),
        dtype=dtype,
        device=device,
        max_context=max_context,
        keep_packed=keep_packed,
        kv_memory_bytes=None if kv_memory is None else bytes_of(kv_memory),
        kv_int8=kv_int8,
        yarn_factor=yarn,
    )


def model_id_of(name: str) -> str:
    """Give the name clients use for a model: that of the catalogue, or of the file or folder."""
    path = Path(name)
    return (path.stem if path.suffix == ".gguf" else path.resolve().name) or name


def worker_command(choice: ModelChoice) -> tuple[str, ...]:
    """Write the command of a process that serves this model; loads nothing here."""
    if choice.path is None:
        return (sys.executable, "-m", "myna.core.echo_worker", "0.02")
    spoken = msgspec.json.encode({"path": str(choice.path), "load": choice.load_options()}).decode()
    return (sys.executable, "-m", "myna.pipeline.worker", spoken)


def load_here(choice: ModelChoice, progress: Progress) -> Service:
    """Load the model into this process."""
    if choice.path is None:
        return EchoService(delay_s=0.02)
    # Loads torch: seconds that only a model in this process is worth.
    from myna.pipeline.load import LoadOptions  # noqa: PLC0415
    from myna.pipeline.service import load_service  # noqa: PLC0415

    options = msgspec.convert(choice.load_options(), LoadOptions)
    return load_service(choice.path, options, progress)


def load_model_here(choice: ModelChoice, progress: Progress) -> LoadedModel:
    """Load the model into this process, for whoever looks at more than its answers."""
    # See load_here.
    from myna.pipeline.load import LoadOptions, load_model  # noqa: PLC0415

    assert choice.path is not None, "the echo is no model"
    return load_model(choice.path, msgspec.convert(choice.load_options(), LoadOptions), progress)
