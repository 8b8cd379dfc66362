"""Spoken answers: what the talker is told, by whom it is heard, and how both tracks end together.

Not here: the speaking itself (speech), what speaks (models).
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from torch import Tensor

from myna.core.errors import InvalidRequest, MynaError
from myna.core.events import (
    Accepted,
    AudioDelta,
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from myna.core.requests import Request
from myna.layers.cache import Rows
from myna.media.encode import encode_pcm16
from myna.models.qwen3_omni import code2wav
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.inputs import Layout
from myna.models.qwen3_omni.speech_config import SpeechConfig
from myna.models.qwen3_omni.talker import find_turns, speaker_id, suppressed_codes
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import Speech
from myna.pipeline.omni import Omni
from myna.pipeline.speaking_prompt import TalkerBeginning
from myna.speech.loop import SpeechLoop
from myna.speech.protocols import CodeDecoder, Rules
from myna.speech.speaker import Speaker
from myna.speech.turns import Turns
from myna.speech.voice import VoiceRequest

RATE_HZ = 24_000  # of code2wav's samples; config.json has no key for it
SEED_BITS = 63

Deliver = Callable[[list[Event]], None]


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Hold how an answer is spoken.

    Attributes:
        voice: speaks it.
        begun: what the prompt already holds of the answer.
        loop: the thread that speaks.
    """

    voice: VoiceRequest
    begun: list[int]
    loop: SpeechLoop

    def follow(self, num_read: int) -> None:
        """Let the voice read on in the prompt, of which the thinker has read so many tokens."""
        self.loop.follow(self.voice.id, num_read)


class TalkerVoice:
    """Hand the talker and the thinker's embeddings to the speaker; satisfies `Talker`."""

    def __init__(self, speech: Speech, thinker: Thinker) -> None:
        self._talker = speech.talker
        self._thinker = thinker.decoder

    @property
    def decoder(self) -> CodeDecoder:
        """Give what chooses the first codes."""
        return self._talker.decoder

    def read(self, token_ids: Tensor) -> Tensor:
        """Make vectors of text: (n,) int64 -> (n, D)."""
        token_ids = token_ids.to(self._thinker.device)
        vectors = self._thinker.embed_tokens(token_ids, self._thinker.dtype)
        out: Tensor = self._talker.text_projection(vectors)
        return out

    def complete(
        self, hidden: Tensor, first: Tensor, points: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Choose the other codes of frames; see `speech.protocols.Talker`."""
        points = None if points is None else points.to(hidden.device)
        frames = self._talker.complete(hidden, first.to(hidden.device), points)
        return frames.codes.cpu(), frames.vectors


class CodeVocoder:
    """Hand code2wav to the speaker; satisfies `Vocoder`."""

    def __init__(self, speech: Speech) -> None:
        self._code2wav = speech.code2wav

    def fresh(self) -> object:
        """Make the state of one stream that has not begun."""
        return self._code2wav.fresh_state()

    def decode(self, codes: Tensor, states: Sequence[object]) -> tuple[Tensor, list[object]]:
        """Decode the next piece of B streams; see `speech.protocols.Vocoder`."""
        own = [state for state in states if isinstance(state, code2wav.State)]
        state = code2wav.join(own)  # a copy, so the streams' own states stay as they are
        wave: Tensor = self._code2wav(codes.to(self._code2wav.device), state)
        return wave.cpu(), list(code2wav.split(state))


class Speaking:
    """Speak for one model; loads what speaks, and starts its thread, with the first request.

    Safe from any thread.
    """

    def __init__(self, omni: Omni, turns: Turns) -> None:
        self._omni = omni
        self._turns = turns
        self._lock = threading.Lock()
        self._loop: SpeechLoop | None = None

    @property
    def states_depth(self) -> int:
        """Count the thinker's layers that have run when the talker reads their states."""
        return _speech_config(self._omni.config).talker.hidden_layer

    def plan(
        self, request: Request, layout: Layout, states: Rows | None, *, deadline_s: float | None
    ) -> Spoken:
        """Settle how an answer is spoken.

        Args:
            request: asks for speech, and was checked.
            layout: of the thinker's prompt.
            states: hidden states at its media, written while it is read (`Spoken.follow`).
            deadline_s: the `time.monotonic()` at which the voice fails.

        Raises:
            InvalidRequest: the prompt begins no answer.
            Unavailable: what speaks does not fit this machine's memory.
        """
        config = self._omni.config
        speech_config = _speech_config(config)
        turns = find_turns(layout.token_ids, speech_config.roles)
        code = speaker_id(speech_config.talker, self._voice(request))
        assert self._omni.speech is not None, "a model with a talker has its weights"
        speech = self._omni.speech.get()
        talker = TalkerVoice(speech, self._omni.thinker)

        beginning = TalkerBeginning(
            speech.talker,
            config,
            layout=layout,
            turns=turns,
            states=states,
            speaker_id=code,
            read=talker.read,
        )
        seed = request.sampling.seed
        voice = VoiceRequest(
            id=request.id,
            beginning=beginning,
            seed=secrets.randbits(SEED_BITS) if seed is None else seed,
            deadline_s=deadline_s,
        )
        return Spoken(voice=voice, begun=turns.begun.tolist(), loop=self._loop_of(speech, talker))

    def check(self, request: Request) -> None:
        """Refuse what cannot be spoken, before any work is done.

        Raises:
            InvalidRequest: there is no such voice, or more than one choice.
        """
        speech_config = _speech_config(self._omni.config)
        speaker_id(speech_config.talker, self._voice(request))
        if request.num_choices != 1:
            raise InvalidRequest(
                f"`n` is {request.num_choices}, but only one answer at a time can be spoken; ask "
                "for one, or for text alone",
                param="n",
            )

    def close(self) -> None:
        """Stop; open voices fail."""
        with self._lock:
            if self._loop is not None:
                self._loop.close()

    def _loop_of(self, speech: Speech, talker: TalkerVoice) -> SpeechLoop:
        with self._lock:
            if self._loop is None:
                rules = speech_rules(_speech_config(self._omni.config))
                speaker = Speaker(talker, CodeVocoder(speech), rules)
                self._loop = SpeechLoop(speaker, self._turns)
            return self._loop

    def _voice(self, request: Request) -> str:
        wish = None if request.speech is None else request.speech.voice
        return wish or self._omni.voices[0]


def _speech_config(config: Config) -> SpeechConfig:
    if config.speech is None:
        raise InvalidRequest(
            "speech was asked for, but this model only writes: it has no talker (as the Thinking "
            "and Captioner models have none); ask for text, or take the Instruct model",
            param="modalities",
        )
    return config.speech


def speech_rules(config: SpeechConfig) -> Rules:
    """Gather the numbers that speech goes by."""
    return Rules(
        num_codebooks=config.code2wav.num_codebooks,
        end_code=config.talker.codec.eos,
        suppressed=suppressed_codes(config.talker),
        end_token=config.roles.tts_eos,
        pad_token=config.roles.tts_pad,
        frame_s=config.code2wav.frame_samples / RATE_HZ,
        max_positions=config.talker.text.context_length,
    )


class SpokenTrack:
    """Follow one answer's speech beside its text; satisfies `speech.protocols.Listener`.

    Text comes on the engine's thread, sound on the one that speaks; the answer ends when both have.
    """

    def __init__(self, spoken: Spoken, deliver: Deliver) -> None:
        self._spoken = spoken
        self._id = spoken.voice.id
        self._loop = spoken.loop
        self._deliver = deliver
        self._held: list[int] = []
        self._lock = threading.Lock()
        self._finished: Finished | None = None
        self._num_frames: int | None = None

    def start(self) -> None:
        """Begin to speak, with what the prompt already holds of the answer."""
        self._loop.start(self._spoken.voice, self)
        if self._spoken.begun:
            self._loop.say(self._id, self._spoken.begun)

    def speak(self, *, num_tokens: int) -> None:
        """Speak what the prompt holds of the answer, so many tokens, and nothing else."""
        self._deliver([Accepted(prompt_tokens=num_tokens)])
        self.start()
        usage = Usage(prompt_tokens=num_tokens, completion_tokens=0)
        self.finish((), Finished(index=0, reason="stop", usage=usage))

    def cancel(self) -> None:
        """Fall silent before the next frame."""
        self._loop.cancel(self._id)

    def take(self, token_id: int, events: Sequence[Event]) -> None:
        """Take a token and what became visible with it: only text that was sent is spoken."""
        self._held.append(token_id)
        self._say(events)

    def finish(self, events: Sequence[Event], finished: Finished) -> None:
        """Take what the text's end made visible; all that is held besides was cut off."""
        self._say(events)
        self._loop.end_text(self._id)
        with self._lock:
            self._finished = finished
        self._end_if_done()

    def on_sound(self, samples: Tensor, realtime_factor: float | None) -> None:
        """Send a piece of sound."""
        pcm = encode_pcm16(samples.numpy())
        factor = None if realtime_factor is None else round(realtime_factor, 3)
        self._deliver([AudioDelta(index=0, pcm=pcm, rate_hz=RATE_HZ, realtime_factor=factor)])

    def on_end(self, num_frames: int) -> None:
        """Learn that all is said."""
        with self._lock:
            self._num_frames = num_frames
        self._end_if_done()

    def on_error(self, error: MynaError) -> None:
        """End the request with an error."""
        self._deliver([Failed(error=error.info())])

    def _say(self, events: Sequence[Event]) -> None:
        if any(isinstance(event, ReasoningDelta | ToolCallDelta) for event in events):
            self._held.clear()
        if self._held and any(isinstance(event, TextDelta) for event in events):
            self._loop.say(self._id, self._held)
            self._held = []

    def _end_if_done(self) -> None:
        with self._lock:
            finished, num_frames = self._finished, self._num_frames
            if finished is None or num_frames is None:
                return
            self._finished = None
        usage = msgspec.structs.replace(finished.usage, audio_tokens=num_frames)
        self._deliver([msgspec.structs.replace(finished, usage=usage)])
