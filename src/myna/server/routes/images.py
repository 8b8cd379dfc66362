"""`POST /v1/images/edits`, and why there is no `POST /v1/images/generations`."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core import requests as core
from myna.core.errors import InvalidRequest, Unsupported
from myna.core.events import (
    Drift,
    EditProgress,
    Event,
    Finished,
    PictureDelta,
    StepReuse,
    Usage,
)
from myna.media.limits import MediaBudget
from myna.server.body import read_wire
from myna.server.context import context_of, request_key
from myna.server.form import read_form
from myna.server.media import decoded_picture
from myna.server.render import events_of
from myna.server.schemas.images import (
    DriftObject,
    EditBody,
    EditFields,
    ImageEvent,
    ImageList,
    ImageObject,
    ImageUsage,
    InputDetails,
    ReuseObject,
    SentPicture,
)
from myna.server.schemas.media import MediaUrl
from myna.server.schemas.parse import from_form
from myna.server.sse import EventStream, WholeAnswer

BODY = msgspec.json.Decoder(EditBody)
TIMEOUT_S = 24 * 3600.0  # on a plain machine an edit takes hours; who hangs up ends it
Sent = tuple[EditFields, tuple[bytes, ...], bytes | None]  # fields, pictures, mask


async def create_edit(request: Request) -> Response:
    """Change pictures as a prompt says."""
    context = context_of(request)
    settings = context.settings
    is_json = request.headers.get("content-type", "").startswith("application/json")
    fields, pictures, mask = await (_read_json(request) if is_json else _read_form(request))
    card = await context.model(fields.model)
    if "edit" not in card.capabilities:
        raise Unsupported(f"{card.id!r} does not edit pictures.", param="model")
    _check(fields)
    asked = core.Request(
        id=core.RequestId(f"req_{request_key(request)}"),
        model=card.id,
        input=_question(fields, pictures, mask),
        sampling=core.SamplingParams(seed=fields.seed),
        num_choices=fields.n or 1,
        deadline_s=TIMEOUT_S,
    )
    events = events_of(context.service, asked)
    file_format = fields.output_format or "png"
    if fields.stream:
        return EventStream(
            edit_events(events, file_format=file_format),
            ping_s=settings.ping_s,
            timeout_s=TIMEOUT_S + settings.overtime_s,
            request_id=asked.id,
        )
    return WholeAnswer(
        partial(whole_edit, events, file_format=file_format),
        timeout_s=TIMEOUT_S + settings.overtime_s,
    )


async def refuse_generation(request: Request) -> Response:
    """Say why pictures are not made of nothing here."""
    del request
    raise Unsupported(
        "No model here draws a picture from words alone: Qwen-Image-Edit changes pictures. Send "
        "one with your prompt to /v1/images/edits.",
    )


async def _read_form(request: Request) -> Sent:
    form = await read_form(request)
    fields = from_form(form.fields, EditFields)
    pictures = form.lists.get("image", ())
    if (single := form.files.get("image")) is not None:
        pictures = (single, *pictures)
    return _charged(fields, tuple(pictures), form.files.get("mask"))


async def _read_json(request: Request) -> Sent:
    body = await read_wire(request, BODY, may_hold_media=True)
    sent: list[SentPicture | str] = list(body.images or ())
    sent += [body.image] if isinstance(body.image, str) else body.image or ()
    pictures = tuple(_bytes(picture, f"images.{idx}") for idx, picture in enumerate(sent))
    mask = None if body.mask is None else _bytes(body.mask, "mask")
    return _charged(body, pictures, mask)


def _bytes(picture: SentPicture | str, param: str) -> bytes:
    """Decode a picture of a JSON body."""
    url = picture.image_url if isinstance(picture, SentPicture) else picture
    return decoded_picture(url.url if isinstance(url, MediaUrl) else url, param=param)


def _charged(fields: EditFields, pictures: Sequence[bytes], mask: bytes | None) -> Sent:
    """Refuse what holds nothing, or too much."""
    if not pictures or not all(pictures):
        raise InvalidRequest(
            "There is no `image`, or an empty one; send the picture to be changed.",
            param="image",
            code="missing_required_parameter",
        )
    budget = MediaBudget()
    for data in (*pictures, *([] if mask is None else [mask])):
        budget.charge_item(len(data))
    return fields, tuple(pictures), mask or None


def _check(fields: EditFields) -> None:
    """Refuse what would change the answer, where nothing here can."""
    if fields.response_format == "url":
        raise Unsupported(
            "Pictures are sent as `b64_json`; nothing is kept here that a `url` could name.",
            param="response_format",
        )
    if fields.background not in (None, "auto", "opaque"):
        raise Unsupported(
            "Pictures are opaque; leave `background` out.",
            param="background",
        )


def _question(
    fields: EditFields, pictures: tuple[bytes, ...], mask: bytes | None
) -> core.EditInput:
    size = None
    if fields.size not in (None, "auto"):
        wide, _, high = fields.size.partition("x")
        size = int(wide), int(high)
    return core.EditInput(
        pictures=pictures,
        prompt=fields.prompt,
        negative_prompt=" " if fields.negative_prompt is None else fields.negative_prompt,
        mask=mask,
        size=size,
        work_px=fields.work_px,
        num_steps=fields.steps,
        guidance=fields.guidance,
        step_cache=fields.step_cache,
        num_previews=(fields.partial_images or 0) if fields.stream else 0,
        is_aligned=fields.align is not False,
        file_format=fields.output_format or "png",
        quality=95 if fields.output_compression is None else fields.output_compression,
    )


async def whole_edit(events: AsyncGenerator[Event, None], *, file_format: str) -> bytes:
    """Write the whole answer."""
    made: list[ImageObject] = []
    size, usage = "", Usage(prompt_tokens=0, completion_tokens=0)
    async with aclosing(events):
        async for event in events:
            match event:
                case PictureDelta(preview_idx=None):
                    made.append(
                        ImageObject(
                            b64_json=_base64(event.data),
                            drift=_drift(event.drift),
                            reuse=_reuse(event.reuse),
                        )
                    )
                    size = _size(event)
                case Finished():
                    usage = event.usage
    answer = ImageList(
        created=int(time.time()),
        data=made,
        output_format=file_format,
        size=size,
        usage=image_usage(usage),
    )
    return msgspec.json.encode(answer)


async def edit_events(
    events: AsyncGenerator[Event, None], *, file_format: str
) -> AsyncGenerator[bytes, None]:
    """Write an edit as events: how far it has come, previews, and pictures when they are done."""
    done: list[PictureDelta] = []
    async with aclosing(events):
        async for event in events:
            now = int(time.time())
            match event:
                case EditProgress():
                    yield msgspec.json.encode(
                        ImageEvent(
                            type="image_edit.progress",
                            created_at=now,
                            index=event.index,
                            stage=event.stage,
                            progress=round(event.done, 4),
                            remaining_s=UNSET
                            if event.remaining_s is None
                            else round(event.remaining_s, 1),
                        )
                    )
                case PictureDelta(preview_idx=None):
                    done.append(event)
                case PictureDelta(preview_idx=int(number)):
                    yield _picture(event, file_format, number=number)
                case Finished(index=index, usage=usage):
                    picture = next(picture for picture in done if picture.index == index)
                    yield _picture(picture, file_format, usage=usage)


def _picture(
    picture: PictureDelta,
    file_format: str,
    *,
    number: int | None = None,
    usage: Usage | None = None,
) -> bytes:
    return msgspec.json.encode(
        ImageEvent(
            type="image_edit.completed" if number is None else "image_edit.partial_image",
            created_at=int(time.time()),
            index=picture.index,
            b64_json=_base64(picture.data),
            partial_image_index=UNSET if number is None else number,
            output_format=file_format,
            size=_size(picture),
            drift=_drift(picture.drift),
            reuse=_reuse(picture.reuse),
            usage=UNSET if usage is None else image_usage(usage),
        )
    )


def image_usage(usage: Usage) -> ImageUsage:
    """Count the tokens of what was read."""
    return ImageUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=InputDetails(
            image_tokens=usage.media_tokens,
            text_tokens=usage.prompt_tokens - usage.media_tokens,
        ),
        total_tokens=usage.prompt_tokens,
    )


def _drift(drift: Drift | None) -> DriftObject | msgspec.UnsetType:
    if drift is None:
        return UNSET
    return DriftObject(
        right_px=round(drift.right_px, 2),
        down_px=round(drift.down_px, 2),
        zoom=round(drift.zoom, 5),
        undone=drift.is_undone,
    )


def _reuse(reuse: StepReuse | None) -> ReuseObject | msgspec.UnsetType:
    if reuse is None:
        return UNSET
    return ReuseObject(
        reused_steps=reuse.num_reused,
        steps=reuse.num_steps,
        max_change=round(reuse.max_change, 5),
        summed_change=round(reuse.summed_change, 5),
    )


def _size(picture: PictureDelta) -> str:
    return f"{picture.width}x{picture.height}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


routes = [
    Route("/v1/images/edits", create_edit, methods=["POST"]),
    Route("/v1/images/generations", refuse_generation, methods=["POST"]),
]
