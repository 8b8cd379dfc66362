"""`/tokenize`, `/detokenize` and `/apply-template` on the wire, as vLLM and llama.cpp have them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from myna.server.schemas.chat import ChatRequest
from myna.server.schemas.completions import TokenId
from myna.server.schemas.sampling import Name


class TokenizeRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /tokenize`; vLLM names the text `prompt`, llama.cpp `content`."""

    model: Name | None = None
    prompt: str | None = None
    content: str | None = None


class Tokens(msgspec.Struct, kw_only=True):
    """The tokens of a text."""

    tokens: tuple[int, ...]
    count: int
    max_model_len: int


class DetokenizeRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /detokenize`."""

    tokens: Annotated[list[TokenId], Meta(max_length=1_000_000)]
    model: Name | None = None


class Detokenized(msgspec.Struct, kw_only=True):
    """The text of tokens, under both names that clients read."""

    prompt: str
    content: str


class TemplateRequest(ChatRequest, kw_only=True):
    """Body of `POST /apply-template`: that of a chat, of which the conversation counts."""


class Prompt(msgspec.Struct, kw_only=True):
    """What the chat template makes of a conversation."""

    prompt: str
