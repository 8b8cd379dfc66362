"""What a service answers: a stream of these.

It ends in one `Finished` for each choice, or in one `Failed`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from myna.core.errors import ErrorInfo

FinishReason = Literal["stop", "length", "tool_calls"]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Count the tokens of one choice.

    `cached_tokens` of the prompt came from the prefix cache, `media_tokens` of it stand for
    pictures and sounds; `audio_tokens` are the frames of speech, which `completion_tokens` leaves
    out.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    media_tokens: int = 0
    audio_tokens: int = 0


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Give the seconds a choice spent waiting, reading its prompt and writing its answer."""

    queue_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0


class TokenLogprob(msgspec.Struct, frozen=True, kw_only=True):
    """Give a token, its natural-log probability and the likeliest alternatives.

    `logprob` is `None` for a prompt's first token.
    """

    token_id: int
    token: str
    token_bytes: bytes
    logprob: float | None
    top: tuple[TokenLogprob, ...] = ()


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    """Tell that the request is valid and queued: the first event of all that are not refused."""

    prompt_tokens: int


class PromptEcho(msgspec.Struct, frozen=True, kw_only=True, tag="prompt_echo"):
    """Repeat the prompt, for requests that asked for it."""

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] | None = None


class TextDelta(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """Add text to the answer of choice `index`.

    `logprobs` are those of the tokens that became visible with it.
    """

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class ReasoningDelta(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning"):
    """Add text to the reasoning that precedes the answer."""

    index: int
    text: str


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """Add to tool call number `call_idx`.

    Its first delta carries `id` and `name`, all may carry `arguments` text.
    """

    index: int
    call_idx: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class AudioDelta(msgspec.Struct, frozen=True, kw_only=True, tag="audio"):
    """Add sound to the spoken answer of choice `index`.

    Attributes:
        pcm: mono samples, 16-bit signed little-endian.
        rate_hz: samples a second.
        realtime_factor: seconds that a second of sound takes to make, lately, where that is known.
            Above 1, speech is slower than it is heard: a player that holds back a share of
            1 - 1 / factor of what is to come plays it without gaps.
    """

    index: int
    pcm: bytes
    rate_hz: int
    realtime_factor: float | None = None


class EditProgress(msgspec.Struct, frozen=True, kw_only=True, tag="edit_progress"):
    """Tell how far the edit of picture `index` has come.

    Attributes:
        stage: what is being done.
        done: the part of this stage that is done, from 0 to 1.
        remaining_s: time left for all of the edit, where it can be told.
    """

    index: int
    stage: Literal["reading", "planning", "drawing", "finishing"]
    done: float
    remaining_s: float | None = None


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """Tell by how much an edited picture lies off its original.

    Attributes:
        right_px: how far it was moved to the right.
        down_px: how far it was moved down.
        zoom: by how much it was made larger, about its centre.
        is_undone: whether it was brought back.
    """

    right_px: float
    down_px: float
    zoom: float
    is_undone: bool


class StepReuse(msgspec.Struct, frozen=True, kw_only=True):
    """Tell how often a step of an edit reused what an earlier one computed, and how well it fit.

    Changes are those of what the first block adds, relative to the last step that was computed
    whole; how much they change the picture depends on the model.

    Attributes:
        num_reused: steps that reused.
        num_steps: all steps.
        max_change: the largest change at which that was done; 0 if it never was.
        summed_change: of all of them.
    """

    num_reused: int
    num_steps: int
    max_change: float
    summed_change: float


class PictureDelta(msgspec.Struct, frozen=True, kw_only=True, tag="picture"):
    """Show picture `index` of an edit, unfinished or final.

    Attributes:
        data: a file.
        width: in pixels.
        height: in pixels.
        preview_idx: number of the preview; `None` if this is the final picture.
        drift: of a final picture, where it was measured.
        reuse: of a final picture, where steps were allowed to reuse.
    """

    index: int
    data: bytes
    width: int
    height: int
    preview_idx: int | None = None
    drift: Drift | None = None
    reuse: StepReuse | None = None


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """End choice `index`."""

    index: int
    reason: FinishReason
    usage: Usage
    timings: Timings = Timings()


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """End the whole request with an error."""

    error: ErrorInfo


Event = (
    Accepted
    | PromptEcho
    | TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | AudioDelta
    | EditProgress
    | PictureDelta
    | Finished
    | Failed
)
