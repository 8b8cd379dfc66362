"""Pieces of messages -> media of core: decoded from base64, or fetched where that is switched on.

Not here: looking into the bytes, which only a process that may be killed does.
"""

from __future__ import annotations

import time

from myna.core.errors import InvalidRequest, MynaError, Unsupported
from myna.core.messages import AudioPart, ImagePart, Part, TextPart, VideoPart
from myna.core.service import ModelCard
from myna.media.data_url import decode_base64, is_data_url, parse_data_url
from myna.media.fetch import Fetcher
from myna.media.limits import MediaBudget
from myna.server.schemas.media import ContentPart, MediaOptions, MediaUrl

REMOTE = ("http://", "https://")
TEXT_TYPES = ("text", "input_text", "output_text", "reasoning_text", "summary_text")
# What each type of part is to a model, and the field that holds it.
MEDIA_TYPES = {
    "image_url": ("image", "image_url"),
    "input_image": ("image", "image_url"),
    "input_audio": ("audio", "input_audio"),
    "audio_url": ("audio", "audio_url"),
    "video_url": ("video", "video_url"),
    "video": ("video", "video"),
}


class PartReader:
    """Read the parts of one request's messages, all on one budget.

    Args:
        card: of the model that is to take them.
        options: how clips are to be taken in.
        fetcher: fetches media from addresses, if that is allowed at all.
    """

    def __init__(
        self,
        card: ModelCard,
        options: MediaOptions | None = None,
        *,
        fetcher: Fetcher | None = None,
    ) -> None:
        self._card = card
        self._fetcher = fetcher
        self._until_s: float | None = None
        self._options = options or MediaOptions()
        self._budget = MediaBudget()

    def read(self, part: ContentPart, *, param: str) -> Part:
        """Translate one part.

        Raises:
            Unsupported: the model does not take such parts.
            InvalidRequest: it holds nothing, or no media.
            TooLarge: the request's media are more than one request may hold.
        """
        if part.type in TEXT_TYPES:
            if part.text is None:
                raise _missing(f"{param}.text")
            return TextPart(part.text)
        kind, name = MEDIA_TYPES.get(part.type, (None, ""))
        if kind is None or kind not in self._card.inputs:
            inputs = ", ".join(self._card.inputs)
            raise Unsupported(
                f"{self._card.id!r} takes {inputs}, not a part of type {part.type!r}.", param=param
            )
        try:
            return self._media(part, kind, param=f"{param}.{name}")
        except MynaError as error:
            error.param = error.param or f"{param}.{name}"
            raise

    def _media(self, part: ContentPart, kind: str, *, param: str) -> Part:
        if part.type == "input_audio":
            if part.input_audio is None:
                raise _missing(param)
            return AudioPart(self._bytes(part.input_audio.data, may_be_bare=True))
        if isinstance(part.video, list) and part.type == "video":
            frames = self._frames(part.video)
            return VideoPart(frames=frames, fps=part.fps or self._options.fps)
        fields = {"image": part.image_url, "audio": part.audio_url, "video": part.video_url}
        value = part.video if part.type == "video" else fields[kind]
        if value is None or isinstance(value, list):
            raise _missing(param)
        data = self._bytes(value.url if isinstance(value, MediaUrl) else value)
        if kind == "image":
            return ImagePart(data)
        if kind == "audio":
            return AudioPart(data)
        return VideoPart(
            data=data,
            fps=part.fps or self._options.fps,
            has_sound=self._options.use_audio_in_video is True,
        )

    def _frames(self, urls: list[str]) -> tuple[bytes, ...]:
        """Decode a clip that is given as pictures: one item, whatever their number."""
        self._budget.charge_item(sum(decoded_bytes(url) for url in urls))
        return tuple(_decode(url, may_be_bare=False) for url in urls)

    def _bytes(self, text: str, *, may_be_bare: bool = False) -> bytes:
        if self._fetcher is not None and text[:8].lower().startswith(REMOTE):
            return self._fetched(self._fetcher, text)
        self._budget.charge_item(decoded_bytes(text))
        return _decode(text, may_be_bare=may_be_bare)

    def _fetched(self, fetcher: Fetcher, url: str) -> bytes:
        """Fetch one item; all of a request share one deadline and one budget."""
        if self._until_s is None:
            self._until_s = time.monotonic() + fetcher.policy.deadline_s
        self._budget.charge_item(0)  # counts it before anything is dialled
        left_bytes = self._budget.limits.max_bytes - self._budget.spent.num_bytes
        data = fetcher.fetch(url, max_bytes=left_bytes, until_s=self._until_s)
        self._budget.spent.num_bytes += len(data)
        return data


def decoded_bytes(text: str) -> int:
    """Bound, without decoding, how many bytes base64 holds."""
    return len(text) * 3 // 4


def _decode(text: str, *, may_be_bare: bool) -> bytes:
    if is_data_url(text):
        return parse_data_url(text).data
    scheme, colon, _ = text[:64].partition("://")
    if colon:
        raise Unsupported(
            f"Media at {scheme}:// addresses are not fetched: remote fetch is off; send "
            "data:TYPE;base64,DATA.",
            code="remote_fetch_off",
        )
    return decode_base64(text) if may_be_bare else parse_data_url(text).data


def decoded_picture(text: str, *, param: str) -> bytes:
    """Decode a picture that is not part of a message: a data URL, or bare base64."""
    try:
        return _decode(text, may_be_bare=True)
    except MynaError as error:
        error.param = error.param or param
        raise


def _missing(param: str) -> InvalidRequest:
    return InvalidRequest(
        f"`{param}` is missing; it is required.",
        param=param,
        code="missing_required_parameter",
    )
