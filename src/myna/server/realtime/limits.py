"""What one call, and all of them together, may hold and how long they may last."""

from __future__ import annotations

import msgspec


class RealtimeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bound calls.

    A call ends `idle_s` after its client's last event and `session_s` after it began. A turn of
    more than `max_turn_s` is taken as if its speaker had paused; sound that a client collects by
    hand may not be longer. Of a conversation's media the oldest are forgotten above
    `max_media_bytes` or `max_media`, which is below what one request may hold. A client that
    leaves `max_unsent_bytes` unread is made to wait. Without keys, all callers count as one
    that may have all calls.
    """

    max_sessions: int = 256
    max_sessions_per_key: int = 32
    idle_s: float = 600.0
    session_s: float = 3600.0
    max_turn_s: float = 60.0
    min_commit_s: float = 0.1
    max_items: int = 1024
    max_text_chars: int = 1_000_000
    max_media_bytes: int = 32 * 2**20
    max_media: int = 12
    max_images: int = 16
    max_image_bytes: int = 512 * 1024
    max_responses: int = 4
    max_unsent_bytes: int = 4 * 2**20
    max_frame_bytes: int = 2**20
