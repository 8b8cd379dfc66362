"""`/v1/images/...` on the wire: what is to be changed, and what comes back.

Beside OpenAI's fields stand those of the model: `negative_prompt`, `steps`, `guidance`, `seed`,
`work_px`, `step_cache` and `align`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from myna.server.schemas.media import MediaUrl
from myna.server.schemas.sampling import MAX_SEED, Name

MAX_PROMPT_CHARS = 8000
MAX_CHOICES = 10
MAX_PREVIEWS = 3
SIZE_PATTERN = "^(auto|[0-9]{1,5}x[0-9]{1,5})$"


class EditFields(msgspec.Struct, kw_only=True):
    """Fields of `POST /v1/images/edits` beside the pictures."""

    prompt: Annotated[str, Meta(min_length=1, max_length=MAX_PROMPT_CHARS)]
    model: Name | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    size: Annotated[str, Meta(pattern=SIZE_PATTERN)] | None = None
    background: Name | None = None
    input_fidelity: Name | None = None
    quality: Name | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    partial_images: Annotated[int, Meta(ge=0, le=MAX_PREVIEWS)] | None = None
    stream: bool | None = None
    user: str | None = None
    negative_prompt: Annotated[str, Meta(max_length=MAX_PROMPT_CHARS)] | None = None
    steps: Annotated[int, Meta(ge=1)] | None = None
    guidance: Annotated[float, Meta(ge=1)] | None = None
    seed: Annotated[int, Meta(ge=0, le=MAX_SEED)] | None = None
    work_px: Annotated[int, Meta(ge=1)] | None = None
    step_cache: Annotated[float, Meta(ge=0, le=1)] | None = None
    align: bool | None = None


class SentPicture(msgspec.Struct, kw_only=True):
    """One picture in a JSON body; a plain string is its address as well."""

    image_url: str | MediaUrl


class EditBody(EditFields, kw_only=True):
    """Body of `POST /v1/images/edits` in JSON; pictures are data URLs, or bare base64."""

    images: list[SentPicture | str] | None = None
    image: list[str] | str | None = None
    mask: SentPicture | str | None = None


class InputDetails(msgspec.Struct, kw_only=True):
    """What the prompt is made of."""

    image_tokens: int
    text_tokens: int


class ImageUsage(msgspec.Struct, kw_only=True):
    """Tokens of an edit; a picture that is drawn is made of none."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int = 0
    total_tokens: int


class DriftObject(msgspec.Struct, kw_only=True):
    """By how much a picture lay off its original, and whether it was brought back."""

    right_px: float
    down_px: float
    zoom: float
    undone: bool


class ReuseObject(msgspec.Struct, kw_only=True):
    """How many steps reused an earlier one, and the changes at which they did."""

    reused_steps: int
    steps: int
    max_change: float
    summed_change: float


class ImageObject(msgspec.Struct, kw_only=True):
    """One picture."""

    b64_json: str
    drift: DriftObject | UnsetType = UNSET
    reuse: ReuseObject | UnsetType = UNSET


class ImageList(msgspec.Struct, kw_only=True):
    """The answer to an edit."""

    created: int
    data: list[ImageObject]
    output_format: str
    size: str
    usage: ImageUsage


class ImageEvent(msgspec.Struct, kw_only=True):
    """One event of a streamed edit; `image_edit.progress` is ours, the others OpenAI's."""

    type: Literal["image_edit.progress", "image_edit.partial_image", "image_edit.completed"]
    created_at: int
    index: int = 0
    b64_json: str | UnsetType = UNSET
    partial_image_index: int | UnsetType = UNSET
    output_format: str | UnsetType = UNSET
    size: str | UnsetType = UNSET
    stage: str | UnsetType = UNSET
    progress: float | UnsetType = UNSET
    remaining_s: float | UnsetType = UNSET
    drift: DriftObject | UnsetType = UNSET
    reuse: ReuseObject | UnsetType = UNSET
    usage: ImageUsage | UnsetType = UNSET
