"""`myna serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from myna.cli.compose import ModelChoice, choose, worker_command
from myna.cli.console import note, progress_bars
from myna.cli.keeping import open_history
from myna.cli.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    EchoOption,
    KeepPackedOption,
    KvInt8Option,
    KvMemoryOption,
    MaxContextOption,
    YarnOption,
)
from myna.cli.remote_server import DEFAULT_PORT
from myna.cli.serve_options import (
    USUAL,
    AliasOption,
    AllowHostOption,
    AllowOriginOption,
    ApiKeyFileOption,
    ApiKeyOption,
    DeadlineOption,
    DrainOption,
    FetchMediaOption,
    MaxModelsOption,
    MaxRequestsOption,
    MediaDomainOption,
    ServePlan,
    StuckOption,
    TlsCertOption,
    TlsKeyOption,
    WithoutKeyOption,
    all_keys,
    remote_media,
    server_settings,
    tls_files,
)
from myna.core.errors import InvalidRequest, Unavailable
from myna.core.fleet import Fleet, Member, Open
from myna.core.progress import Progress
from myna.core.remote import ProcessService, Supervision
from myna.core.settings import read_settings
from myna.server.app import create_app
from myna.server.auth import LOOPBACK_HOSTS
from myna.server.library import HubLibrary, Library, path_here
from myna.server.run import Server, make_server
from myna.store.history import History

EXIT_INTERRUPTED = 130
BACKLOG = 2048


def command(
    model: Annotated[
        str | None, typer.Argument(help="A name of `myna list`, a folder or a GGUF file.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = DEFAULT_PORT,
    api_key: ApiKeyOption = None,
    api_key_file: ApiKeyFileOption = None,
    without_key: WithoutKeyOption = False,
    alias: AliasOption = None,
    allow_origin: AllowOriginOption = None,
    allow_host: AllowHostOption = None,
    fetch_media: FetchMediaOption = False,
    media_domain: MediaDomainOption = None,
    max_models: MaxModelsOption = 1,
    max_requests: MaxRequestsOption = USUAL.limits.max_requests,
    deadline: DeadlineOption = USUAL.deadline_s,
    drain: DrainOption = 30.0,
    stuck_after: StuckOption = Supervision.stuck_s,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    dtype: DtypeOption = Dtype.AUTO,
    max_context: MaxContextOption = None,
    keep_packed: KeepPackedOption = None,
    device: DeviceOption = Device.CPU,
    kv_memory: KvMemoryOption = None,
    kv_int8: KvInt8Option = False,
    yarn: YarnOption = None,
    echo: EchoOption = False,
) -> None:
    """Serve a model over HTTP, to OpenAI clients and to browsers, until Ctrl-C."""
    settings = read_settings()
    app_settings = server_settings(
        host,
        keys=all_keys(settings.api_keys, api_key or (), api_key_file),
        is_open=without_key,
        aliases=alias or (),
        origins=allow_origin or (),
        hosts=allow_host or (),
        remote_media=remote_media(media_domain or (), is_on=fetch_media),
        max_requests=max_requests,
        deadline_s=deadline,
    )
    choice = choose(
        model or settings.default_model,
        settings,
        dtype=dtype,
        max_context=max_context,
        keep_packed=keep_packed,
        device=device,
        kv_memory=kv_memory,
        kv_int8=kv_int8,
        yarn=yarn,
        is_echo=echo,
    )
    plan = ServePlan(
        choice=choice,
        supervision=Supervision(stuck_s=stuck_after),
        settings=app_settings,
        max_models=max_models,
        grace_s=drain,
        tls=tls_files(tls_cert, tls_key),
    )
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="level=%(levelname)s logger=%(name)s %(message)s",
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with listen(host, port) as sock:
        history = open_history(settings)
        try:
            is_done = asyncio.run(
                _serve(plan, HubLibrary(settings), sock, history=history, home=settings.home)
            )
        finally:
            if history is not None:
                history.close()
    if not is_done:
        raise typer.Exit(EXIT_INTERRUPTED)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket, before anything is loaded.

    Raises:
        InvalidRequest: the host is no address of this machine.
        Unavailable: the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise InvalidRequest(f"{host!r} is no address to listen on ({error.strerror})") from error
    try:
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(
            f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}\n"
            "hint: choose another with --port; --port 0 takes a free one"
        ) from error


def opener(choice: ModelChoice, library: Library, supervision: Supervision | None = None) -> Open:
    """Say how models are opened: the chosen one as it was asked for, others alike."""

    def open_service(name: str, progress: Progress) -> ProcessService:
        chosen = choice
        if name != choice.model_id:
            path = path_here(library, name)
            chosen = msgspec.structs.replace(choice, path=path, model_id=name)
        return ProcessService(worker_command(chosen), on_progress=progress, supervision=supervision)

    return open_service


async def _serve(
    plan: ServePlan,
    library: Library,
    sock: socket.socket,
    *,
    history: History | None,
    home: Path,
) -> bool:
    """Serve until a signal comes; returns whether the model was ready by then."""
    host, port = sock.getsockname()[:2]
    model_id = plan.choice.model_id
    opened = opener(plan.choice, library, plan.supervision)
    fleet = Fleet(opened, max_models=plan.max_models)
    with progress_bars() as progress:
        app = create_app(fleet, settings=plan.settings, library=library, history=history, home=home)
        server = make_server(app, shutdown_grace_s=plan.grace_s, tls=plan.tls)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        telling = asyncio.create_task(_tell_draining(server))
        try:
            is_ready = await _is_ready_before(serving, fleet.load(model_id, progress))
        except BaseException:
            await _stop(server, serving, fleet)
            raise
    if is_ready:
        has_keys = bool(plan.settings.api_keys)
        _tell_ready(model_id, host, port, has_keys=has_keys, is_secure=plan.tls is not None)
        await asyncio.wait({serving})
    telling.cancel()
    await _stop(server, serving, fleet)
    return is_ready


async def _is_ready_before(
    serving: asyncio.Task[None], load: Coroutine[None, None, Member]
) -> bool:
    """Wait for the model; returns whether it came before the server was stopped."""
    loading = asyncio.create_task(load)
    await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        loading.result()
        return True
    loading.cancel()
    await asyncio.gather(loading, return_exceptions=True)
    return False


async def _stop(server: Server, serving: asyncio.Task[None], fleet: Fleet) -> None:
    server.should_exit = True
    await asyncio.wait({serving})
    await server.app.close()
    await fleet.close()
    serving.result()


async def _tell_draining(server: Server) -> None:
    """Say why the program does not end at once after the first Ctrl-C."""
    gate = server.app.context.gate
    while not gate.is_draining:
        await asyncio.sleep(0.1)
    if not gate.idle.is_set():
        note("open answers may finish now; Ctrl-C again ends them")


def _tell_ready(
    model_id: str, host: str, port: int, *, has_keys: bool, is_secure: bool = False
) -> None:
    """Say where the model is served, in lines that work as they are printed."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{reachable}]" if ":" in reachable else reachable
    url = f"{'https' if is_secure else 'http'}://{shown}:{port}"
    body = '{"messages": [{"role": "user", "content": "Hello"}]}'
    key = ' -H "Authorization: Bearer $MYNA_API_KEY"' if has_keys else ""
    note(
        f"\n{model_id} is served at {url}\n\n"
        f"  curl {url}/v1/chat/completions{key} -H 'Content-Type: application/json' "
        f"-d '{body}'\n"
        f"  {own_command()} chat --url {url}\n"
    )
    if host not in LOOPBACK_HOSTS and not has_keys:
        note("warning: whoever reaches this machine may use it; MYNA_API_KEY sets a key")


def own_command() -> str:
    """Write the command that runs this very program, from the current folder."""
    program = Path(sys.argv[0])
    if program.name != "myna":
        return f"{shlex.quote(sys.executable)} -m myna"
    program = program.absolute()
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return shlex.quote(str(program))
