"""What the two halves of a remote service say to each other, and how that is cut into frames.

A frame is four bytes of length (big-endian) and that many bytes of msgpack, decoded against a typed
union: nothing but these messages can come out of it.
Not here: who sends what when (core.remote, core.worker).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Generic, TypeVar

import msgspec

from myna.core.errors import ErrorInfo, TooLarge
from myna.core.events import Event
from myna.core.requests import ChatInput, Request
from myna.core.service import Health, ModelCard

MAX_FRAME_BYTES = 160 * 2**20  # a request's media at their limit, and room for its words
LENGTH_BYTES = 4


class Generate(msgspec.Struct, frozen=True, kw_only=True, tag="generate"):
    """Ask the worker for an answer."""

    call_id: int
    request: Request


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """Tell the worker that nobody reads an answer any more."""

    call_id: int


class Tokenize(msgspec.Struct, frozen=True, kw_only=True, tag="tokenize"):
    """Ask the worker for the token ids of a text."""

    call_id: int
    text: str


class Detokenize(msgspec.Struct, frozen=True, kw_only=True, tag="detokenize"):
    """Ask the worker for the text of token ids."""

    call_id: int
    token_ids: tuple[int, ...]


class Render(msgspec.Struct, frozen=True, kw_only=True, tag="render"):
    """Ask the worker for the prompt of a conversation."""

    call_id: int
    chat: ChatInput


class Loading(msgspec.Struct, frozen=True, kw_only=True, tag="loading"):
    """Tell how far the worker's loading has come."""

    step: str
    done: int
    total: int


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag="loaded"):
    """Tell that the worker's service answers from now on."""

    models: tuple[ModelCard, ...]
    health: Health


class LoadFailed(msgspec.Struct, frozen=True, kw_only=True, tag="load_failed"):
    """Tell why the worker's service could not be made; the worker ends after it."""

    error: ErrorInfo


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """Tell that the worker's event loop turns, and how its service is."""

    health: Health


class Streamed(msgspec.Struct, frozen=True, kw_only=True, tag="streamed"):
    """Carry one event of an answer."""

    call_id: int
    event: Event


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """Tell that an answer has no further events."""

    call_id: int


class Tokenized(msgspec.Struct, frozen=True, kw_only=True, tag="tokenized"):
    """Answer `Tokenize`."""

    call_id: int
    token_ids: tuple[int, ...]


class Written(msgspec.Struct, frozen=True, kw_only=True, tag="written"):
    """Answer `Detokenize` or `Render`."""

    call_id: int
    text: str


class CallFailed(msgspec.Struct, frozen=True, kw_only=True, tag="call_failed"):
    """Answer anything but `Generate` with an error."""

    call_id: int
    error: ErrorInfo


Command = Generate | Cancel | Tokenize | Detokenize | Render
Reply = (
    Loading | Loaded | LoadFailed | Heartbeat | Streamed | Ended | Tokenized | Written | CallFailed
)

Incoming = TypeVar("Incoming")
Outgoing = TypeVar("Outgoing")


class BrokenFrame(Exception):
    """Tell that the other half sent what no healthy half sends; the connection cannot go on."""


class Channel(Generic[Incoming, Outgoing]):
    """Exchange typed messages over one stream socket."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: msgspec.msgpack.Decoder[Incoming],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder
        self._encoder = msgspec.msgpack.Encoder()

    async def receive(self) -> tuple[Incoming, int] | None:
        """Wait for the next message; returns it with its size in bytes, or `None` at the end.

        Raises:
            BrokenFrame: the bytes are not a message.
        """
        try:
            header = await self._reader.readexactly(LENGTH_BYTES)
            num_bytes = int.from_bytes(header, "big")
            if num_bytes > MAX_FRAME_BYTES:
                raise BrokenFrame(f"a frame claims {num_bytes} bytes, above {MAX_FRAME_BYTES}")
            body = await self._reader.readexactly(num_bytes)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        try:
            return self._decoder.decode(body), num_bytes
        except msgspec.MsgspecError as error:
            raise BrokenFrame(f"a frame of {num_bytes} bytes is no message: {error}") from error

    def post(self, message: Outgoing) -> None:
        """Send a small message without waiting; does nothing once the connection is closed.

        Raises:
            TooLarge: the message does not fit a frame.
        """
        body = self._encoder.encode(message)
        if len(body) > MAX_FRAME_BYTES:
            raise TooLarge(
                f"the request takes {len(body)} bytes, but {MAX_FRAME_BYTES} fit; shorten it"
            )
        if not self._writer.is_closing():
            self._writer.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)

    async def send(self, message: Outgoing) -> None:
        """Send a message, waiting while the other half reads more slowly than this one writes."""
        self.post(message)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def close(self) -> None:
        """Close the connection, dropping what has not been sent."""
        transport = self._writer.transport
        transport.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


_command_decoder = msgspec.msgpack.Decoder(Command)
_reply_decoder = msgspec.msgpack.Decoder(Reply)


async def to_worker(sock: socket.socket) -> Channel[Reply, Command]:
    """Open the asking half's end of a socket pair."""
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    return Channel(reader, writer, _reply_decoder)


async def to_asker(sock: socket.socket) -> Channel[Command, Reply]:
    """Open the worker's end of a socket pair."""
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    return Channel(reader, writer, _command_decoder)
