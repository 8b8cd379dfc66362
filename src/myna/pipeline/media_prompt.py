"""From the media of a request to a prompt that the thinker can read.

    bytes -> arrays (charged first) -> mel frames, patches -> embeddings -> rows of the prompt

Not here: where the media stand in the conversation (text.chat_template), reading the prompt
(engine).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor

from myna.core.messages import AudioPart, ImagePart, Message, TextPart, VideoPart
from myna.kernels.allocator import give_back_freed_memory
from myna.layers.cache import PackedBatch, Tap
from myna.media import patches
from myna.media.decoded import Clip
from myna.media.decoded import Sound as Waveform
from myna.media.decoder import Decoder
from myna.media.frame_choice import ClipOptions
from myna.media.limits import MediaBudget, MediaLimits
from myna.media.mel import HOP_SAMPLES, mel
from myna.media.patches import Patches
from myna.models.qwen3_omni.inputs import Layout, expand, picture, sound, video
from myna.models.qwen3_omni.positions import Medium
from myna.models.qwen3_omni.thinker import fresh_states, prompt_batch
from myna.models.qwen3_omni.vision_encoder import Seen
from myna.pipeline.kept_states import KeptStates, MediaStates, media_states
from myna.pipeline.omni import Omni

MediaPart = ImagePart | AudioPart | VideoPart
USUAL_FPS = 2.0
KEPT_BYTES = 256 * 2**20  # of embeddings, for the next turn of a conversation
LARGE_BYTES = 4 << 20  # of a medium, whose encoding took many times as much


@dataclass(frozen=True, kw_only=True)
class Item:
    """Hold one medium, ready to be encoded.

    Attributes:
        medium: its shape in the prompt.
        frames: (M, T) mel frames of its sound.
        patches: of its pictures.
        digest: of all that its embeddings and positions depend on.
    """

    medium: Medium
    frames: Tensor | None = None
    patches: Patches | None = None
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Hold what the encoders made of one medium."""

    heard: Tensor | None = None
    seen: Seen | None = None

    @property
    def num_bytes(self) -> int:
        """Count the bytes that they take."""
        tensors = [] if self.heard is None else [self.heard]
        tensors += [] if self.seen is None else [self.seen.tokens, *self.seen.deepstack]
        return sum(tensor.nbytes for tensor in tensors)


@dataclass(frozen=True, kw_only=True)
class MediaPrompt:
    """Hold a prompt with its media.

    Attributes:
        layout: its tokens and where the media are.
        batch: what the decoder reads.
        states: filled with hidden states at the media's places while it reads, if they are wanted;
            those of media that were read before are there already.
        marks: name the media for the prefix cache, each from its first token on.
        max_cached: how many tokens need not be read for their states; `None` for all.
    """

    layout: Layout
    batch: PackedBatch
    states: MediaStates | None
    marks: tuple[tuple[int, bytes], ...]
    max_cached: int | None

    @property
    def token_ids(self) -> tuple[int, ...]:
        """List the tokens."""
        return tuple(self.layout.token_ids.tolist())

    @property
    def num_media_tokens(self) -> int:
        """Count the tokens that stand for media."""
        return len(self.layout.audio_rows) + len(self.layout.visual_rows)


def media_of(messages: Sequence[Message]) -> list[MediaPart]:
    """List a conversation's media in order."""
    return [
        part for message in messages for part in message.content if not isinstance(part, TextPart)
    ]


class MediaReader:
    """Read the media of requests; safe from any thread.

    Args:
        omni: the model.
        context: the most tokens that a request may have.
        limits: what the media of a request may cost, but for tokens.
    """

    def __init__(self, omni: Omni, *, context: int, limits: MediaLimits | None = None) -> None:
        self._omni = omni
        self._config = omni.config.thinker
        self._limits = msgspec.structs.replace(limits or MediaLimits(), max_tokens=context)
        self._decoder = Decoder()
        self._kept: OrderedDict[bytes, Embeddings] = OrderedDict()
        self._states = KeptStates()

    def has_places(self, token_ids: Sequence[int]) -> bool:
        """Tell whether a prompt has placeholders."""
        ids = self._config.media
        return not {ids.audio, ids.image, ids.video}.isdisjoint(token_ids)

    def decode(self, parts: Sequence[MediaPart]) -> list[Item]:
        """Decode media and cut them for the encoders.

        Raises:
            InvalidRequest: something is damaged, or of no known kind.
            TooLarge: something costs more than a request may; the error says what to lower.
        """
        budget = MediaBudget(self._limits)
        return [self._decode(part, budget) for part in parts]

    def prompt(
        self, token_ids: Sequence[int], items: Sequence[Item], *, states_depth: int | None = None
    ) -> MediaPrompt:
        """Encode media and put them into their places.

        Args:
            token_ids: the prompt, with one placeholder for each item.
            items: in the order of their placeholders.
            states_depth: decoder layers after which hidden states are wanted, if they are.

        Raises:
            InvalidRequest: placeholders and media do not fit together.
        """
        layout = expand(token_ids, [item.medium for item in items], self._config)
        with self._omni.encoding, torch.inference_mode():
            found = [self._encode(item) for item in items]
        heard = [part.heard for part in found if part.heard is not None]
        seen = [part.seen for part in found if part.seen is not None]
        digests = [item.digest for item in items]
        states, tap, max_cached = None, None, None
        if states_depth is not None:
            width = self._config.text.width
            rows = fresh_states(layout, width=width, dtype=self._omni.thinker.decoder.dtype)
            tap = Tap(states_depth, rows)
            states = media_states(rows, layout, digests, depth=states_depth)
            max_cached = self._states.recall(states)
        batch = prompt_batch(
            layout,
            heard=torch.cat(heard) if heard else None,
            seen=_join(seen) if seen else None,
            tap=tap,
        )
        starts = (span.start for span in layout.spans)
        return MediaPrompt(
            layout=layout,
            batch=batch,
            states=states,
            marks=tuple(zip(starts, digests, strict=True)),
            max_cached=max_cached,
        )

    def keep_states(self, states: MediaStates, *, num_read: int) -> None:
        """Keep the hidden states of the media among the tokens read, for who speaks next."""
        self._states.keep(states, num_read=num_read)

    def close(self) -> None:
        """End the processes that decode."""
        self._decoder.close()

    def _decode(self, part: MediaPart, budget: MediaBudget) -> Item:
        match part:
            case ImagePart(data=data):
                return self._picture(data, budget)
            case AudioPart(data=data):
                return self._sound(self._decoder.audio(data, budget), budget)
            case VideoPart(frames=()):
                options = ClipOptions(
                    factor=self._omni.rule.factor,
                    fps=part.fps or USUAL_FPS,
                    max_px=self._omni.frame_px,
                    with_sound=part.has_sound,
                )
                return self._clip(self._decoder.video(part.data, options, budget), budget)
            case VideoPart():
                return self._clip(self._clip_of_frames(part, budget), budget)

    def _picture(self, data: bytes, budget: MediaBudget) -> Item:
        decoded, rule = self._decoder.image(data, budget), self._omni.rule
        height, width = decoded.pixels.shape[:2]
        budget.charge_tokens(patches.count_image_tokens(height, width, rule), "a picture")
        cut = patches.cut_image(decoded, rule)
        return _item(picture(cut.grid, self._config), cut=cut)

    def _sound(self, decoded: Waveform, budget: MediaBudget) -> Item:
        frames = self._frames(decoded, budget)
        return _item(sound(frames.shape[1], self._config), frames=frames)

    def _clip(self, decoded: Clip, budget: MediaBudget) -> Item:
        rule, (num_frames, height, width) = self._omni.rule, decoded.frames.shape[:3]
        steps = -(-num_frames // rule.num_together)
        budget.charge_tokens(steps * height * width // rule.factor**2, "a video")
        frames = None if decoded.sound is None else self._frames(decoded.sound, budget)
        cut = patches.cut_clip(decoded, rule)
        medium = video(
            cut.grid,
            self._config,
            fps=decoded.sample_fps,
            sound_frames=None if frames is None else frames.shape[1],
        )
        return _item(medium, frames=frames, cut=cut)

    def _frames(self, decoded: Waveform, budget: MediaBudget) -> Tensor:
        """Make (M, T) mel frames, charged first."""
        num_frames = max(1, len(decoded.samples) // HOP_SAMPLES)
        budget.charge_tokens(self._config.audio.num_tokens(num_frames), "a sound")
        found = mel([decoded.samples])
        return torch.from_numpy(found.features[0, :, : found.lengths[0]])

    def _clip_of_frames(self, part: VideoPart, budget: MediaBudget) -> Clip:
        """Decode pictures that are one item together."""
        limits, num_items = budget.limits, budget.spent.items
        wider = msgspec.structs.replace(limits, max_items=num_items + limits.max_frames)
        inner = MediaBudget(wider, spent=budget.spent)
        pictures = [self._decoder.image(data, inner) for data in part.frames]
        budget.spent = inner.spent
        budget.spent.items = num_items
        budget.charge_item(0)
        clip = patches.clip_of_pictures(
            pictures,
            factor=self._omni.rule.factor,
            sample_fps=part.fps or USUAL_FPS,
            max_px=self._omni.frame_px,
        )
        num_frames, height, width = clip.frames.shape[:3]
        budget.charge_frames(num_frames, width, height)
        return clip

    def _encode(self, item: Item) -> Embeddings:
        """Encode one medium, unless a request before had it too; the lock is held."""
        if item.digest in self._kept:
            self._kept.move_to_end(item.digest)
            return self._kept[item.digest]
        thinker, frames, cut = self._omni.thinker, item.frames, item.patches
        device = thinker.decoder.device
        heard = None if frames is None else thinker.audio_tower([frames.to(device)])
        rows = None if cut is None else torch.from_numpy(cut.rows).to(device)
        seen = None if cut is None or rows is None else thinker.visual(rows, [cut.grid])
        found = Embeddings(heard=heard, seen=seen)
        if found.num_bytes > LARGE_BYTES:
            give_back_freed_memory()
        self._kept[item.digest] = found
        while sum(kept.num_bytes for kept in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return found


def _item(medium: Medium, *, frames: Tensor | None = None, cut: Patches | None = None) -> Item:
    """Name a medium by all that reaches the model; its shape says where each array ends."""
    hasher = hashlib.sha256(repr(medium).encode())
    for array in (None if frames is None else frames.numpy(), None if cut is None else cut.rows):
        shape = () if array is None else array.shape
        hasher.update(f" {shape} ".encode())
        hasher.update(b"" if array is None else np.ascontiguousarray(array).data)
    return Item(medium=medium, frames=frames, patches=cut, digest=hasher.digest())


def _join(seen: Sequence[Seen]) -> Seen:
    deepstack = zip(*(part.deepstack for part in seen), strict=True)
    return Seen(
        torch.cat([part.tokens for part in seen]),
        tuple(torch.cat(features) for features in deepstack),
    )
