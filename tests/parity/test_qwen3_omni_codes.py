"""A service's own parts against the reference: files, chat template, engine and speaker give the
text, the codes and the sound that the reference gives.

What a service runs is what is compared: prompts are read in chunks with others beside them, voices
speak together, and sound is made in pieces.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import omni_pair
from closeness import compare
from media_files import write_image, write_sound, write_video
from myna.core.messages import AudioPart, ImagePart, Message, Part, TextPart, VideoPart
from myna.core.progress import silent
from myna.core.requests import ChatInput, Request, RequestId, SamplingParams
from myna.core.requests import Speech as Wish
from myna.engine.engine import Engine
from myna.layers.cache import PackedBatch, Rows
from myna.models.qwen3_omni.inputs import Layout
from myna.models.qwen3_omni.positions import Video, advance
from myna.models.qwen3_omni.talker import Turns, speaker_id
from myna.models.qwen3_omni.weights import Speech
from myna.models.tiny_omni import write_tiny_omni
from myna.models.tiny_tokenizer import WORDS
from myna.pipeline import speaking, speaking_prompt
from myna.pipeline.load import LoadedModel, LoadOptions, load_model
from myna.pipeline.media_prompt import Item, MediaReader, media_of
from myna.pipeline.prepare import Prepared, Preparer
from myna.pipeline.speaking import CodeVocoder, Speaking, TalkerVoice, speech_rules
from myna.speech import codes
from myna.speech.speaker import Speaker
from myna.speech.voice import Voice

NUM_SEEDS = 20
NUM_TOGETHER = 5
RICH_SEEDS = (4, 5, 11, 12, 17)  # pictures, sounds and clips, most behind a history
NUM_WORDS = 5
NUM_FRAMES = 15  # what four pieces of sound take
CHUNK_TOKENS = 13
VOICES = ("Ethan", "chelsie", "AIDEN")
SMALL_FILES = "*.json", "merges.txt"
INDEX = "model.safetensors.index.json"
RATE_HZ = 16_000

# The reference warns that the penalty sees no prompt, which is what is wanted.
pytestmark = pytest.mark.filterwarnings("ignore:Passing `repetition_penalty` with")


@dataclass(frozen=True)
class Spoken:
    """Hold an answer in text, codes (Q, T) and samples (W,)."""

    words: list[int]
    codes: Tensor
    wave: Tensor


@dataclass
class Heard:
    """Follow one voice: where its stream stands, and what it was made of."""

    state: object
    codes: list[Tensor] = field(default_factory=list)
    waves: list[Tensor] = field(default_factory=list)


class ListeningVocoder:
    """Make sound as a service does, and keep it with its codes, by voice."""

    def __init__(self, speech: Speech) -> None:
        self._vocoder = CodeVocoder(speech)
        self.heard: list[Heard] = []

    def fresh(self) -> Heard:
        self.heard.append(Heard(self._vocoder.fresh()))
        return self.heard[-1]

    def decode(self, codes: Tensor, heard: Sequence[Heard]) -> tuple[Tensor, list[Heard]]:
        waves, states = self._vocoder.decode(codes, [voice.state for voice in heard])
        for voice, piece, wave, state in zip(heard, codes, waves, states, strict=True):
            voice.codes.append(piece)
            voice.waves.append(wave)
            voice.state = state
        return waves, list(heard)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> omni_pair.OmniPair:
    """Save the reference's weights beside the small files of a release."""
    made = omni_pair.make_pair(tmp_path_factory.mktemp("codes"))
    small = write_tiny_omni(tmp_path_factory.mktemp("small"))
    for pattern in SMALL_FILES:
        for path in small.glob(pattern):
            if path.name != INDEX:
                shutil.copy(path, made.folder)
    return made


@pytest.fixture(scope="module")
def model(pair) -> LoadedModel:
    options = LoadOptions(model_id="m", dtype="float32", kv_memory_bytes=2**24)
    return load_model(pair.folder, options, silent)


def draw_picture(draw: random.Random) -> Part:
    shape = (draw.randint(40, 140), draw.randint(40, 140), 3)
    pixels = np.random.default_rng(draw.randrange(99)).integers(0, 256, shape, dtype=np.uint8)
    return ImagePart(write_image(pixels))


def draw_sound(draw: random.Random) -> Part:
    """Draw some seconds; the reference would pad less than one as far as its neighbours."""
    num_samples = draw.randint(RATE_HZ, 3 * RATE_HZ)
    samples = np.random.default_rng(draw.randrange(99)).normal(0, 0.1, (1, num_samples))
    return AudioPart(write_sound(samples, form="wav", codec="pcm_s16le", rate_hz=RATE_HZ))


def draw_clip(draw: random.Random, *, has_sound: bool) -> Part:
    size = (32 * draw.randint(2, 4), 32 * draw.randint(2, 4))
    data = write_video(draw.randint(36, 90), size=size, with_sound=has_sound)
    return VideoPart(data=data, fps=draw.choice((None, 3.0)), has_sound=has_sound)


@dataclass(frozen=True)
class Conversation:
    """Draw two turns, or one, with media in each; a turn after the first has a history."""

    messages: tuple[Message, ...]
    has_sound: bool

    @classmethod
    def draw(cls, seed: int) -> Conversation:
        draw = random.Random(seed)
        has_sound = seed % 3 == 1  # of clips; the reference can only hear all of them or none
        kinds: list[Callable[[random.Random], Part]] = [
            draw_picture,
            draw_sound,
            lambda draw: draw_clip(draw, has_sound=has_sound),
            draw_picture,
        ]
        # Half of all begin with a picture and a sound; the first has text alone.
        chosen = kinds[:2] if seed % 2 else draw.sample(kinds, draw.randint(1, 4))
        parts = [make(draw) for make in chosen] if seed else []
        split = draw.randint(0, len(parts))

        def words() -> TextPart:
            return TextPart("".join(draw.choices(WORDS, k=draw.randint(1, 6))))

        def turn(role: str, *media: Part) -> Message:
            pieces = [piece for part in media for piece in (part, words())]
            return Message(role=role, content=(*pieces, words()))

        history = (turn("user", *parts[:split]), turn("assistant")) if split else ()
        return cls((turn("system"), *history, turn("user", *parts[split:])), has_sound)

    def arguments(self, token_ids: Sequence[int], items: Sequence[Item]) -> dict[str, object]:
        """Say the same to the reference."""
        said: dict[str, object] = {
            "input_ids": torch.tensor([token_ids]),
            "attention_mask": torch.ones(1, len(token_ids), dtype=torch.int64),
            "use_audio_in_video": self.has_sound,
        }
        mels = [item.frames for item in items if item.frames is not None]
        if mels:
            longest = max(mel.shape[1] for mel in mels)
            lengths = torch.tensor([mel.shape[1] for mel in mels])
            said["input_features"] = torch.stack(
                [functional.pad(mel, (0, longest - mel.shape[1])) for mel in mels]
            )
            said["feature_attention_mask"] = (torch.arange(longest) < lengths[:, None]).long()
        cut = [(item.medium, item.patches) for item in items if item.patches is not None]
        for is_clip, name in ((False, "image"), (True, "video")):
            own = [patches for medium, patches in cut if isinstance(medium, Video) is is_clip]
            if own:
                pixels = "pixel_values_videos" if is_clip else "pixel_values"
                said[pixels] = torch.from_numpy(np.concatenate([one.rows for one in own]))
                said[f"{name}_grid_thw"] = torch.tensor([one.grid for one in own])
        clips = [medium for medium, _ in cut if isinstance(medium, Video)]
        if clips:
            said["video_second_per_grid"] = torch.tensor([clip.seconds_per_step for clip in clips])
        return said


@torch.inference_mode()
def reference_speaks(pair, said: dict[str, object], *, voice: str, num_valid: int) -> Spoken:
    """Run the reference's own loops, without the vocabulary's padding."""
    code2wav = pair.reference.code2wav
    decode = code2wav.chunked_decode
    chosen: list[Tensor] = []

    def listen(frames: Tensor, **kwargs: object) -> Tensor:
        chosen.append(frames[0])
        return decode(frames, **kwargs)

    code2wav.chunked_decode = listen
    num_rows = pair.config.thinker.text.vocab_size
    try:
        sequences, wave = pair.reference.generate(
            **said,
            speaker=voice,
            thinker_max_new_tokens=NUM_WORDS,
            thinker_do_sample=False,
            thinker_eos_token_id=None,
            thinker_suppress_tokens=list(range(num_valid, num_rows)),
            talker_max_new_tokens=NUM_FRAMES + 1,
            talker_do_sample=False,
        )
    finally:
        del code2wav.chunked_decode
    words = sequences[0, said["input_ids"].shape[1] :].tolist()
    return Spoken(words, chosen[0], wave.flatten())


def voice_of(seed: int) -> str:
    return VOICES[seed % len(VOICES)]


def ask(seed: int) -> Request:
    return Request(
        id=RequestId(f"r{seed}"),
        input=ChatInput(messages=Conversation.draw(seed).messages),
        sampling=SamplingParams(temperature=0.0, max_tokens=NUM_WORDS, ignore_eos=True),
        speech=Wish(voice=voice_of(seed)),
    )


def think(model: LoadedModel, prepared: Sequence[Prepared]) -> list[list[int]]:
    """Answer all at once, reading the prompts in chunks."""
    config = replace(
        model.engine_config, prefill_chunk_tokens=CHUNK_TOKENS, max_step_tokens=4 * CHUNK_TOKENS
    )
    engine = Engine(model.decoder, config)
    words: dict[RequestId, list[int]] = {}
    for one in prepared:
        words[one.engine_request.id] = []
        engine.add(one.engine_request)
    while engine.has_work():
        for output in engine.step():
            assert output.error is None, output.error
            if output.token is not None:
                words[output.request_id].append(output.token.token_id)
    return list(words.values())


def speak(
    model: LoadedModel, prepared: Sequence[Prepared], texts: Sequence[Sequence[int]]
) -> list[Heard]:
    """Speak all texts at once, with the likeliest codes. As in the reference, the last word of an
    answer that its length has ended is not spoken.
    """
    omni = model.omni
    speech = omni.speech.get()
    vocoder = ListeningVocoder(speech)
    rules = speech_rules(omni.config.speech)
    speaker = Speaker(TalkerVoice(speech, omni.thinker), vocoder, rules)
    for one in prepared:
        speaker.add(replace(one.spoken.voice, seed=None))
        speaker.follow(one.engine_request.id, len(one.engine_request.token_ids))
    while speaker.has_work():  # the prompts are read ahead
        speaker.step()
    for one, words in zip(prepared, texts, strict=True):
        speaker.say(one.engine_request.id, words[:-1])
        speaker.end_text(one.engine_request.id)
    for _ in range(NUM_FRAMES):
        assert [output.error for output in speaker.step() if output.error] == []
    return vocoder.heard


def we_speak(model: LoadedModel, seeds: Sequence[int]) -> tuple[list[Prepared], list[Spoken]]:
    """Do what a service does, for all conversations together."""
    preparer = Preparer(model)
    try:
        prepared = [preparer.prepare(ask(seed)) for seed in seeds]
        words = think(model, prepared)
        heard = speak(model, prepared, words)
    finally:
        preparer.close()
    spoken = [
        Spoken(own, torch.cat(voice.codes, -1), torch.cat(voice.waves))
        for own, voice in zip(words, heard, strict=True)
    ]
    return prepared, spoken


def expect(
    pair, model: LoadedModel, seeds: Sequence[int], prepared: Sequence[Prepared]
) -> list[Spoken]:
    """Let the reference answer, one conversation after another."""
    reader = MediaReader(model.omni, context=model.engine_config.max_total_tokens)
    try:
        conversations = [Conversation.draw(seed) for seed in seeds]
        items = [reader.decode(media_of(one.messages)) for one in conversations]
    finally:
        reader.close()
    return [
        reference_speaks(
            pair,
            conversation.arguments(ready.engine_request.token_ids, own),
            voice=voice_of(seed),
            num_valid=model.tokenizer.vocab_size,
        )
        for seed, conversation, ready, own in zip(
            seeds, conversations, prepared, items, strict=True
        )
    ]


def check(found: Sequence[Spoken], expected: Sequence[Spoken]) -> None:
    for i, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.words == theirs.words, f"parity fails at words of {i}"
        assert ours.codes.numel() > 0, f"parity fails at {i}: silence"
        assert torch.equal(ours.codes, theirs.codes), f"parity fails at codes of {i}"
        compare({f"wave of {i}": ours.wave}, {f"wave of {i}": theirs.wave})


@pytest.mark.parametrize("first", range(0, NUM_SEEDS, NUM_TOGETHER))
def test_answers_of_a_service_equal_the_reference(pair, model, first: int) -> None:
    seeds = range(first, first + NUM_TOGETHER)
    prepared, found = we_speak(model, seeds)
    check(found, expect(pair, model, seeds, prepared))


def forget_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the talker hear the last turn alone."""
    find = speaking.find_turns

    def find_last(*args: object) -> Turns:
        turns = find(*args)
        is_gap = turns.user_rows.diff() > 1
        start = int(is_gap.nonzero()[-1]) + 1 if is_gap.any() else 0
        return replace(turns, user_rows=turns.user_rows[start:])

    monkeypatch.setattr(speaking, "find_turns", find_last)


def exchange_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each of the media's tokens the state of another."""
    make = speaking_prompt.user_inputs

    def make_with_others(*args: object, media: Rows | None, **kwargs: object) -> Tensor:
        rolled = None if media is None else Rows(media.rows, media.values.roll(1, 0))
        return make(*args, media=rolled, **kwargs)

    monkeypatch.setattr(speaking_prompt, "user_inputs", make_with_others)


def take_states_a_layer_early(monkeypatch: pytest.MonkeyPatch) -> None:
    early = property(lambda self: self._omni.config.speech.talker.hidden_layer - 1)
    monkeypatch.setattr(Speaking, "states_depth", early)


def move_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking_prompt, "advance", lambda places: advance(places) + 7)


def move_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layout, "advance", property(lambda self: advance(self.positions) + 20))


def take_another_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "speaker_id", lambda config, name: speaker_id(config, name) - 1)


def forget_the_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "REPETITION_PENALTY", 1.0)


def pad_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the token that says that no text follows."""
    next_token = Voice.next_token

    def without_end(self: Voice) -> int:
        token, rules = next_token(self), self._rules
        return rules.pad_token if token == rules.end_token else token

    monkeypatch.setattr(Voice, "next_token", without_end)


def forget_deepstack(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = PackedBatch.cut
    monkeypatch.setattr(PackedBatch, "cut", lambda *args: replace(cut(*args), added=()))


MUTANTS = (
    forget_the_history,
    exchange_states,
    take_states_a_layer_early,
    move_frames,
    move_words,
    take_another_voice,
    forget_the_penalty,
    pad_early,
    forget_deepstack,
)


@pytest.fixture(scope="module")
def expected(pair, model) -> list[Spoken]:
    prepared, found = we_speak(model, RICH_SEEDS)
    answers = expect(pair, model, RICH_SEEDS, prepared)
    check(found, answers)
    return answers


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_fails_parity(model, expected, mutant, monkeypatch) -> None:
    mutant(monkeypatch)
    _, found = we_speak(model, RICH_SEEDS)
    with pytest.raises(AssertionError, match="parity fails at"):
        check(found, expected)
