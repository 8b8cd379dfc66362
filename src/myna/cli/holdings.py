"""What a running server holds: its models, what they do, and the memory they take.

Not here: how it is drawn (`myna ps`).
"""

from __future__ import annotations

import msgspec

from myna.cli.remote_server import RemoteServer
from myna.core.errors import NotFound, RemoteError

LOOK_S = 10.0
UNLOAD_S = 120.0  # an engine is given time to end by itself


class Instance(msgspec.Struct, kw_only=True):
    """Hold one model that a server loads or has loaded; the fields are the server's."""

    id: str
    status: str
    progress: float | None = None
    context_length: int | None = None
    created: int | None = None
    memory_bytes: int | None = None
    num_running: int = 0
    num_waiting: int = 0
    reason: str | None = None

    def state(self) -> str:
        """Say in words what it is doing."""
        if self.status != "loaded":
            return self.status if self.progress is None else f"{self.status} {self.progress:.0%}"
        if self.reason is not None:
            return f"cannot answer: {self.reason}"
        if not self.num_running and not self.num_waiting:
            return "idle"
        waiting = f", {self.num_waiting} waiting" if self.num_waiting else ""
        return f"answering {self.num_running}{waiting}"


class _Title(msgspec.Struct):
    key: str
    loaded_instances: tuple[Instance, ...] = ()


class _Titles(msgspec.Struct):
    models: tuple[_Title, ...]


class _Memory(msgspec.Struct):
    used_bytes: int
    machine_bytes: int


class _Unloaded(msgspec.Struct):
    instance_id: str


class Holdings(msgspec.Struct, kw_only=True):
    """Hold what a server told of itself.

    Attributes:
        used_bytes: what the server and its models hold together.
        unloaded: names that it could load or fetch.
    """

    url: str
    models: tuple[Instance, ...]
    used_bytes: int
    machine_bytes: int
    unloaded: tuple[str, ...]


class Freed(msgspec.Struct, kw_only=True):
    """Hold what unloading a model did; `num_ended` requests were open."""

    model: str
    num_bytes: int
    num_ended: int


def look(server: RemoteServer) -> Holdings:
    """Ask a server what it holds.

    Raises:
        NotFound: it is another kind of server.
        MynaError: as `RemoteServer.fetch`.
    """
    try:
        titles = server.fetch("GET", "/api/v1/models", type=_Titles, timeout_s=LOOK_S).models
    except RemoteError as error:
        if error.status != NotFound.status:
            raise
        raise NotFound(
            f"the server at {server.url} does not tell what it holds ({error.message})\n"
            "hint: give the address that `myna serve` printed"
        ) from error
    memory = server.fetch("GET", "/api/v1/memory", type=_Memory, timeout_s=LOOK_S)
    return Holdings(
        url=server.url,
        models=tuple(instance for title in titles for instance in title.loaded_instances),
        used_bytes=memory.used_bytes,
        machine_bytes=memory.machine_bytes,
        unloaded=tuple(title.key for title in titles if not title.loaded_instances),
    )


def unload(server: RemoteServer, name: str) -> Freed:
    """Have a server unload a model; its open requests end with an error.

    Raises:
        NotFound: it is not loaded.
        MynaError: as `RemoteServer.fetch`.
    """
    before = look(server)
    held = {instance.id: instance for instance in before.models}
    if name not in held:
        known = "is not loaded by" if name in before.unloaded else "is no model of"
        loaded = f"loaded are {', '.join(held)}" if held else "nothing is loaded"
        raise NotFound(f"{name!r} {known} the server at {server.url}; {loaded}")
    body = {"instance_id": name}
    server.fetch("POST", "/api/v1/models/unload", body, type=_Unloaded, timeout_s=UNLOAD_S)
    after = server.fetch("GET", "/api/v1/memory", type=_Memory, timeout_s=LOOK_S)
    return Freed(
        model=name,
        num_bytes=max(before.used_bytes - after.used_bytes, 0),
        num_ended=held[name].num_running + held[name].num_waiting,
    )
