"""`/v1/completions` on the wire: the request."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from myna.server.schemas.sampling import MAX_CHOICES, SamplingFields

TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class CompletionRequest(SamplingFields, kw_only=True):
    """Body of `POST /v1/completions`; a prompt is text or token ids, one or many."""

    prompt: str | Annotated[list[str | TokenId | list[TokenId]], Meta(min_length=1)]
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    suffix: str | None = None
    best_of: Annotated[int, Meta(ge=0, le=MAX_CHOICES)] | None = None
