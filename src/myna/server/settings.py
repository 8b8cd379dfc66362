"""What the operator of a server may choose, and what a client may not exceed."""

from __future__ import annotations

import msgspec

from myna.media.fetch import FetchPolicy


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bound what one client, and all of them together, can make the server hold.

    `max_requests` counts requests that were read and have not ended, `max_held_bytes` the bodies of
    all that are open; above, the answer is 429.
    As many as an engine runs at once keep it busy; more would only wait, and be late.
    JSON nests at most `max_depth` levels and holds at most `max_values` values, which bounds what
    decoding it takes; the marks between values are counted, even those inside texts.
    A request that may hold media has `max_media_body_bytes`: what its media may take, as base64.
    Headers have `header_s` to arrive, a body `body_grace_s` and its size at `min_body_bytes_per_s`;
    a reader that takes nothing for `stall_s` is dropped.
    """

    max_body_bytes: int = 64 * 2**20
    max_media_body_bytes: int = 176 * 2**20
    max_held_bytes: int = 256 * 2**20
    max_values: int = 1_000_000
    max_depth: int = 64
    max_requests: int = 32
    max_prompts: int = 256
    min_body_bytes_per_s: int = 1024
    header_s: float = 10.0
    body_grace_s: float = 10.0
    stall_s: float = 60.0


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Configure one server.

    Args:
        api_keys: keys that are accepted; with none, every caller is.
        aliases: other names under which models are served, each with the served model's id.
        allowed_hosts: what the Host header may name, ports aside; `None` allows any. Set it when
            listening on loopback, so that no web site can reach the server by its own name.
        allowed_origins: web origins that may call from a browser, beside the server's own.
        remote_media: what media may be fetched from addresses in requests; `None` fetches nothing.
        deadline_s: time a request may take in all; the service is to keep it.
        first_output_s: time a request may wait for its first output; reading a long prompt takes
            minutes on a plain machine.
        gap_s: time that may pass between two outputs.
        overtime_s: time after the deadline at which the server itself ends the request.
        ping_s: silence after which a stream gets a comment, so that proxies keep it open.
        limits: bounds on clients.
    """

    api_keys: tuple[str, ...] = ()
    aliases: dict[str, str] = {}
    allowed_hosts: tuple[str, ...] | None = None
    allowed_origins: tuple[str, ...] = ()
    remote_media: FetchPolicy | None = None
    deadline_s: float = 600.0
    first_output_s: float = 300.0
    gap_s: float = 60.0
    overtime_s: float = 5.0
    ping_s: float = 15.0
    limits: Limits = Limits()

    @property
    def timeout_s(self) -> float:
        """Add up the time after which the server gives a request up."""
        return self.deadline_s + self.overtime_s
