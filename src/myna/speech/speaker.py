"""Let many voices speak at once: one frame of each that has text, then their sound.

Every step takes all voices that can go on, so one joins or leaves at any frame. A voice that has no
text yet reads its prompt meanwhile, as far as it is known, so that little is left when its text
begins. Not here: threads (loop), what the networks are (models).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from myna.core.errors import DeadlineExceeded, InternalError, MynaError
from myna.core.requests import RequestId
from myna.layers.cache import PackedBatch, Rows, join
from myna.speech.cache import CachePool, VoiceCache, joined
from myna.speech.codes import choose
from myna.speech.protocols import Rules, Talker, Vocoder
from myna.speech.voice import Voice, VoiceRequest

log = logging.getLogger("myna.speech")

# So many tokens make one fused step; more voices take turns.
MAX_TOGETHER = 8
# A prompt is read on while every listener has so much sound ahead, or after so many frames.
READING_LEAD_S = 0.4
MAX_UNREAD_STEPS = 4
# So many chunks of prompts are read in a step in which nobody speaks.
MAX_CHUNKS = 4


@dataclass(frozen=True, kw_only=True)
class VoiceOutput:
    """Report a piece of sound, the end of a voice, or its failure.

    Attributes:
        samples: (W,) float32.
        realtime_factor: beside samples, the seconds that a second of sound takes, lately; `None`
            before that can be told.
        num_frames: set when all is said.
        error: set when the voice failed.
    """

    id: RequestId
    samples: Tensor | None = None
    realtime_factor: float | None = None
    num_frames: int | None = None
    error: MynaError | None = None


Stage = Callable[[Sequence[Voice]], list[VoiceOutput]]


class Speaker:
    """Run a talker and a vocoder for all voices. All methods belong to one thread."""

    def __init__(self, talker: Talker, vocoder: Vocoder, rules: Rules) -> None:
        self._talker = talker
        self._vocoder = vocoder
        self._rules = rules
        self._voices: dict[RequestId, Voice] = {}
        self._pool = CachePool(talker.decoder)
        self._num_unread_steps = 0

    @property
    def num_voices(self) -> int:
        """Count the voices that have not ended."""
        return len(self._voices)

    def add(self, request: VoiceRequest) -> None:
        """Begin a voice, which waits for text."""
        cache = VoiceCache(self._pool)
        self._voices[request.id] = Voice(request, cache, self._vocoder.fresh(), self._rules)

    def say(self, request_id: RequestId, token_ids: list[int]) -> None:
        """Give a voice more text; unknown ids are ignored."""
        if request_id in self._voices:
            self._voices[request_id].say(token_ids)
            self._start_clock(request_id)

    def end_text(self, request_id: RequestId) -> None:
        """Tell a voice that no text follows; unknown ids are ignored."""
        if request_id in self._voices:
            self._voices[request_id].end_text()
            self._start_clock(request_id)

    def follow(self, request_id: RequestId, num_read: int) -> None:
        """Tell a voice that so many tokens of its prompt were read; unknown ids are ignored."""
        if request_id in self._voices:
            self._voices[request_id].follow(num_read)
            self._start_clock(request_id)

    def cancel(self, request_id: RequestId) -> None:
        """Forget a voice; unknown ids are ignored."""
        voice = self._voices.pop(request_id, None)
        if voice is not None:
            voice.cache.release()

    def has_work(self) -> bool:
        """Tell whether any voice can go on."""
        return any(voice.can_go_on for voice in self._voices.values())

    @property
    def lead_s(self) -> float:
        """Give the sound that the worst off of those who can be told more has ahead."""
        now_s = time.monotonic()
        ready = [voice.pace.lead_s(now_s) for voice in self._voices.values() if voice.is_ready]
        return min(ready, default=0.0)

    @property
    def slack_s(self) -> float | None:
        """Give the sound that the worst off of all listeners has ahead; None if nobody listens."""
        now_s = time.monotonic()
        heard = [voice.pace for voice in self._voices.values() if voice.pace.is_heard]
        return min((pace.lead_s(now_s) for pace in heard), default=None)

    @torch.inference_mode()
    def step(self) -> list[VoiceOutput]:
        """Let every voice that can speak say one frame, and one other read on in its prompt."""
        outputs = self._expire()
        ready = [voice for voice in self._voices.values() if voice.is_ready]
        speaking = [voice for voice in ready if not voice.is_mute]
        for group in _groups(speaking):
            outputs += self._guarded(self._advance, group)
        while groups := self._due(speaking):
            for group in groups:
                outputs += self._guarded(self._sound, group)
        ended = [voice for voice in ready if voice.is_mute or voice.is_over]
        outputs += [self._end(voice) for voice in ended if voice.request.id in self._voices]
        for _ in range(1 if speaking else MAX_CHUNKS):
            outputs += self._guarded(self._read, self._reading(speaking))
        return outputs

    def _expire(self) -> list[VoiceOutput]:
        """Fail the voices whose deadline has passed."""
        going = [voice for voice in self._voices.values() if voice.can_go_on]
        return [self._fail(voice, _too_late(voice)) for voice in going if _is_late(voice)]

    def _reading(self, speaking: Sequence[Voice]) -> list[Voice]:
        """Choose who reads on: the first of those who can, if the speaking ones can wait."""
        self._num_unread_steps += 1
        can_wait = self.lead_s >= READING_LEAD_S or self._num_unread_steps >= MAX_UNREAD_STEPS
        waiting = [voice for voice in self._voices.values() if voice.next_chunk() is not None]
        if not waiting or (speaking and not can_wait):
            return []
        self._num_unread_steps = 0
        return waiting[:1]

    def _read(self, voices: Sequence[Voice]) -> list[VoiceOutput]:
        """Read the next part of one voice's prompt."""
        for voice in voices:
            chunk = voice.next_chunk()
            assert chunk is not None, "nobody else is to read"
            beginning = voice.request.beginning
            batch = _read_batch(beginning.prompt(chunk), beginning.positions[..., chunk])
            decoder, caches = self._talker.decoder, joined([voice.cache], [len(batch.token_ids)])
            decoder.forward(batch.to(decoder.device), caches)
            voice.take_chunk(chunk)
            self._start_clock(voice.request.id)
        return []

    def _guarded(self, stage: Stage, voices: Sequence[Voice]) -> list[VoiceOutput]:
        """Run a stage for voices together; if that fails, one by one, to find out whose fault it
        is.
        """
        try:
            return stage(voices) if voices else []
        except Exception as exception:  # noqa: BLE001  # the boundary between voices
            if len(voices) > 1:
                return [output for voice in voices for output in self._guarded(stage, [voice])]
            return [self._fail(voices[0], _as_error(voices[0], exception))]

    def _advance(self, voices: Sequence[Voice]) -> list[VoiceOutput]:
        """Choose a frame for each voice; none is changed before all is computed."""
        batch, sizes = self._batch(voices)
        decoder = self._talker.decoder
        caches = joined([voice.cache for voice in voices], sizes)
        hidden = decoder.forward(batch.to(decoder.device), caches)  # (N, D)
        last = hidden[[end - 1 for end in accumulate(sizes)]]  # (B, D)
        drawn = [points for voice in voices if (points := voice.points()) is not None]
        points = torch.stack(drawn) if drawn else None  # (B, Q)
        first = self._first_codes(decoder.logits(last).cpu(), voices, points)  # (B,)
        rest = None if points is None else points[:, 1:]
        frames, vectors = self._talker.complete(last, first, rest)  # (B, Q), (B, D)
        for voice, size, codes, vector in zip(voices, sizes, frames, vectors, strict=True):
            voice.commit(size)
            if int(codes[0]) == self._rules.end_code:
                voice.is_over = True
            else:
                voice.add_frame(codes, vector)
                self._check(voice)
                voice.pace.take_frame(time.monotonic(), goes_on=voice.is_ready)
        return []

    def _batch(self, voices: Sequence[Voice]) -> tuple[PackedBatch, list[int]]:
        """Lay what the voices read next one after another; count the rows of each."""
        tokens = torch.tensor([voice.next_token() for voice in voices])
        texts = self._talker.read(tokens)  # (B, D)
        parts = []
        for voice, text in zip(voices, texts, strict=True):
            inputs, positions = voice.next_inputs(text)
            parts.append(_read_batch(inputs, positions))
        return join(parts), [len(part.token_ids) for part in parts]

    def _first_codes(
        self, logits: Tensor, voices: Sequence[Voice], points: Tensor | None
    ) -> Tensor:
        if not bool(logits.amax(-1).isfinite().all()):
            raise InternalError(
                "the talker's scores are not finite numbers; the weights may be damaged"
            )
        seen = torch.zeros(logits.shape, dtype=torch.bool)
        for row, voice in zip(seen, voices, strict=True):
            row[voice.first_codes] = True
        suppressed = torch.zeros(logits.shape[-1], dtype=torch.bool)
        suppressed[list(self._rules.suppressed)] = True
        drawn = None if points is None else points[:, 0]
        return choose(logits, seen=seen, suppressed=suppressed, points=drawn)

    def _check(self, voice: Voice) -> None:
        """End a voice that will not end by itself."""
        trouble = voice.trouble()
        if trouble is not None:
            log.warning(
                "request=%s event=speech_ended frames=%d reason=%r",
                voice.request.id,
                voice.num_frames,
                trouble,
            )
            voice.is_over = True

    def _due(self, voices: Sequence[Voice]) -> list[list[Voice]]:
        """Gather the voices whose frames are to become sound: equal pieces, all first or none."""
        groups: dict[tuple[int, bool], list[Voice]] = {}
        for voice in voices:
            size = voice.piece_size()
            if size is not None and voice.request.id in self._voices:
                is_first = len(voice.unheard) == voice.num_frames
                groups.setdefault((size, is_first), []).append(voice)
        return list(groups.values())

    def _sound(self, voices: Sequence[Voice]) -> list[VoiceOutput]:
        """Make the next piece of each voice; none is changed before all is computed."""
        size = voices[0].piece_size()
        codes = torch.stack([torch.stack(voice.unheard[:size], -1) for voice in voices])
        waves, states = self._vocoder.decode(codes, [voice.state for voice in voices])
        outputs = []
        for voice, wave, state in zip(voices, waves.float(), states, strict=True):
            voice.take_piece(codes.shape[-1], state)
            voice.pace.take_sound(codes.shape[-1], time.monotonic())
            factor = voice.pace.realtime_factor
            outputs.append(VoiceOutput(id=voice.request.id, samples=wave, realtime_factor=factor))
        return outputs

    def _start_clock(self, request_id: RequestId) -> None:
        voice = self._voices[request_id]
        if voice.is_ready:
            voice.pace.go(time.monotonic())

    def _end(self, voice: Voice) -> VoiceOutput:
        self.cancel(voice.request.id)
        factor = voice.pace.realtime_factor
        if factor is not None and factor > 1:
            log.warning(
                "request=%s event=speech_is_slow factor=%.2f hint: players stutter unless they "
                "hold sound back; use fewer --predictor-bits or speak for fewer at once",
                voice.request.id,
                factor,
            )
        return VoiceOutput(id=voice.request.id, num_frames=voice.num_frames)

    def _fail(self, voice: Voice, error: MynaError) -> VoiceOutput:
        self.cancel(voice.request.id)
        return VoiceOutput(id=voice.request.id, error=error)


def _read_batch(inputs: Tensor, positions: Tensor) -> PackedBatch:
    """Let (n, D) vectors be read, at their (n,) or (3, n) places."""
    rows = Rows(torch.arange(len(inputs)), inputs)
    nothing = torch.zeros(len(inputs), dtype=torch.int64)
    return PackedBatch(nothing, positions, replaced=(rows,))


def _groups(voices: Sequence[Voice]) -> list[Sequence[Voice]]:
    """Gather the voices that step together.

    Drawn voices and others choose differently, and those that begin read many positions at once.
    """
    groups: dict[tuple[bool, bool], list[Voice]] = {}
    for voice in voices:
        groups.setdefault((voice.is_sampled, voice.has_begun), []).append(voice)
    return [
        group[start : start + MAX_TOGETHER]
        for group in groups.values()
        for start in range(0, len(group), MAX_TOGETHER)
    ]


def _is_late(voice: Voice) -> bool:
    deadline_s = voice.request.deadline_s
    return deadline_s is not None and time.monotonic() >= deadline_s


def _too_late(voice: Voice) -> MynaError:
    return DeadlineExceeded(
        f"the deadline passed after {voice.num_frames} frames of speech; allow more time, ask for "
        "less, or try when the server is less busy"
    )


def _as_error(voice: Voice, exception: Exception) -> MynaError:
    """Log a failed voice with its cause, and make the error that its caller sees."""
    log.error("request=%s event=speech_failed", voice.request.id, exc_info=exception)
    if isinstance(exception, MynaError):
        return exception
    return InternalError("speaking the answer failed; the server's log has the cause")
