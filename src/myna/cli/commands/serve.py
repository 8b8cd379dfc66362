"""`myna serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from myna.cli.compose import ModelChoice, choose, worker_command
from myna.cli.console import note, progress_bars
from myna.cli.keeping import open_history
from myna.cli.options import (
    Dtype,
    DtypeOption,
    EchoOption,
    KeepPackedOption,
    KvMemoryOption,
    MaxContextOption,
    YarnOption,
)
from myna.core.errors import InvalidRequest, Unavailable
from myna.core.remote import ProcessService
from myna.core.settings import Settings, read_settings
from myna.server.app import create_app
from myna.server.run import Server, make_server
from myna.server.settings import ServerSettings
from myna.store.history import History

DEFAULT_PORT = 8000
LOOPBACK = ("127.0.0.1", "localhost", "::1")
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
    dtype: DtypeOption = Dtype.AUTO,
    max_context: MaxContextOption = None,
    keep_packed: KeepPackedOption = None,
    kv_memory: KvMemoryOption = None,
    yarn: YarnOption = None,
    echo: EchoOption = False,
) -> None:
    """Serve a model over HTTP, to OpenAI clients and to browsers, until Ctrl-C."""
    settings = read_settings()
    choice = choose(
        model or settings.default_model,
        settings,
        dtype=dtype,
        max_context=max_context,
        keep_packed=keep_packed,
        kv_memory=kv_memory,
        yarn=yarn,
        is_echo=echo,
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
            is_done = asyncio.run(_serve(choice, settings, sock, history=history))
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


async def _serve(
    choice: ModelChoice, settings: Settings, sock: socket.socket, *, history: History | None
) -> bool:
    """Serve until a signal comes; returns whether the model was ready by then."""
    host, port = sock.getsockname()[:2]
    app_settings = ServerSettings(
        api_keys=settings.api_keys, allowed_hosts=LOOPBACK if host in LOOPBACK else None
    )
    with progress_bars() as progress:
        service = ProcessService(worker_command(choice), on_progress=progress)
        server = make_server(create_app(service, settings=app_settings, history=history))
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        telling = asyncio.create_task(_tell_draining(server))
        try:
            await service.start()
            is_ready = await _is_ready_before(serving, service)
        except BaseException:
            await _stop(server, serving, service)
            raise
    if is_ready:
        _tell_ready(choice.model_id, host, port, has_keys=bool(settings.api_keys))
        await asyncio.wait({serving})
    telling.cancel()
    await _stop(server, serving, service)
    return is_ready


async def _is_ready_before(serving: asyncio.Task[None], service: ProcessService) -> bool:
    """Wait for the model; returns whether it came before the server was stopped."""
    loading = asyncio.create_task(service.wait_ready())
    await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        loading.result()
        return True
    loading.cancel()
    return False


async def _stop(server: Server, serving: asyncio.Task[None], service: ProcessService) -> None:
    server.should_exit = True
    await asyncio.wait({serving})
    await service.close()
    serving.result()


async def _tell_draining(server: Server) -> None:
    """Say why the program does not end at once after the first Ctrl-C."""
    gate = server.app.context.gate
    while not gate.is_draining:
        await asyncio.sleep(0.1)
    if not gate.idle.is_set():
        note("open answers may finish now; Ctrl-C again ends them")


def _tell_ready(model_id: str, host: str, port: int, *, has_keys: bool) -> None:
    """Say where the model is served, in lines that work as they are printed."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{reachable}]" if ":" in reachable else reachable
    url = f"http://{shown}:{port}"
    body = '{"messages": [{"role": "user", "content": "Hello"}]}'
    key = ' -H "Authorization: Bearer $MYNA_API_KEY"' if has_keys else ""
    note(
        f"\n{model_id} is served at {url}\n\n"
        f"  curl {url}/v1/chat/completions{key} -H 'Content-Type: application/json' "
        f"-d '{body}'\n"
        f"  {own_command()} chat --url {url}\n"
    )
    if host not in LOOPBACK and not has_keys:
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
