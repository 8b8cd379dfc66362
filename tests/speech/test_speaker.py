"""Voices speak frame by frame, wait for their text, and never disturb each other."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from beginnings import TokenBeginning
from myna.core.errors import InvalidRequest
from myna.core.requests import RequestId
from myna.layers.cache import PackedBatch, Rows
from myna.layers.dense_cache import DenseCache
from myna.speech import codes as speech_codes
from myna.speech import speaker as speaker_module
from myna.speech.speaker import MAX_UNREAD_STEPS, Speaker
from myna.speech.voice import CHUNK_POSITIONS

SOUND_BAR = 1e-5  # relative to the peak; float32 sums in another order
TEXT = [65, 70, 12, 90, 33, 8]


def told(speaker: Speaker, request, text: list[int]) -> None:
    speaker.add(request)
    speaker.say(request.id, text)
    speaker.end_text(request.id)


def all_codes(speaker: Speaker, request_id: str) -> list[list[int]]:
    """Follow one voice's frames to its end, by what its vocoder is given."""
    frames: list[list[int]] = []
    decode = speaker._vocoder.decode

    def spy(codes, states):
        frames.extend(codes[0].T.tolist())
        return decode(codes, states)

    speaker._vocoder = type(
        "Spy", (), {"fresh": speaker._vocoder.fresh, "decode": staticmethod(spy)}
    )()
    while speaker.has_work():
        speaker.step()
    return frames


def obvious_codes(parts, request, text: list[int], limit: int) -> list[list[int]]:
    """Speak greedily, reading everything anew for each frame, as the specification has it."""
    talker, rules = parts.talker, parts.rules
    beginning = request.beginning
    prompt = beginning.prompt(slice(0, beginning.num_prompt))
    inputs = [*prompt, *beginning.answer(text[0])]
    queue = [*text[1:], rules.end_token]
    frames: list[list[int]] = []
    suppressed = torch.zeros(talker.decoder.vocab_size, dtype=torch.bool)
    suppressed[list(rules.suppressed)] = True
    while len(frames) < limit:
        rows = Rows(torch.arange(len(inputs)), torch.stack(inputs))
        nothing = torch.zeros(len(inputs), dtype=torch.int64)
        batch = PackedBatch(nothing, torch.arange(len(inputs)).float(), replaced=(rows,))
        caches = [DenseCache() for _ in range(talker.decoder.num_layers)]
        hidden = talker.decoder.forward(batch, caches)[-1:]
        seen = torch.zeros(1, talker.decoder.vocab_size, dtype=torch.bool)
        seen[0, [frame[0] for frame in frames]] = True
        logits = talker.decoder.logits(hidden)
        first = speech_codes.choose(logits, seen=seen, suppressed=suppressed, points=None)
        if int(first) == rules.end_code:
            break
        frame, vector = talker.complete(hidden, first, None)
        frames.append(frame[0].tolist())
        token = queue.pop(0) if queue else rules.pad_token
        inputs.append(vector[0] + talker.read(torch.tensor([token]))[0])
    return frames


@torch.inference_mode()
def test_frames_equal_those_of_reading_everything_anew(parts):
    speaker, request = parts.speaker(), parts.request("a")
    told(speaker, request, TEXT)
    frames = all_codes(speaker, "a")
    assert len(frames) > len(TEXT)
    assert frames == obvious_codes(parts, request, TEXT, len(frames))


def test_eight_voices_together_each_sound_as_alone(parts, listen):
    requests = [parts.request("v" * (i + 1), seed=i, num_tokens=3 + i) for i in range(8)]
    alone, together = {}, {}
    for i, request in enumerate(requests):
        told(speaker := parts.speaker(), request, TEXT[: 2 + i % 4])
        listen(speaker, alone)
    speaker = parts.speaker()
    for i, request in enumerate(requests):
        told(speaker, request, TEXT[: 2 + i % 4])
        listen(speaker, together, max_steps=1)  # each joins while the others are further on
    assert speaker.num_voices == 8
    listen(speaker, together)
    for name, one in alone.items():
        assert together[name].num_frames == one.num_frames
        assert torch.allclose(
            together[name].wave, one.wave, rtol=0, atol=SOUND_BAR * float(one.wave.abs().max())
        )


def test_the_stream_is_the_wave_of_all_frames_at_once(parts, listen):
    speaker, heard = parts.speaker(), {}
    told(speaker, parts.request("a", seed=4), TEXT)
    listen(speaker, heard)
    again = parts.speaker()
    told(again, parts.request("a", seed=4), TEXT)
    frames = torch.tensor(all_codes(again, "a"))
    whole = parts.speech.code2wav.decode(frames.T[None])[0]
    wave = heard["a"].wave
    assert len(wave) == len(whole) == 1920 * len(frames) - 555
    assert torch.allclose(wave, whole, rtol=0, atol=SOUND_BAR * float(whole.abs().max()))


def test_a_voice_waits_for_text_rather_than_speak_on(parts, listen, heard_type):
    speaker, request, heard = parts.speaker(), parts.request("a", seed=1), {"a": heard_type()}
    speaker.add(request)
    assert not speaker.has_work()
    for num_told, token in enumerate(TEXT, start=1):
        speaker.say(request.id, [token])
        listen(speaker, heard)
        assert len(speaker._voices["a"].first_codes) == num_told
    assert heard["a"].num_frames is None
    speaker.end_text(request.id)
    listen(speaker, heard)
    # Text that comes bit by bit is spoken as text that is there at once.
    at_once = {}
    told(other := parts.speaker(), request, TEXT)
    listen(other, at_once)
    assert torch.equal(at_once["a"].wave, heard["a"].wave)


def test_equal_seeds_give_equal_speech_and_others_another(parts, listen):
    waves = []
    for seed in (1, 1, 2):
        heard = {}
        told(speaker := parts.speaker(), parts.request("a", seed=seed), TEXT)
        listen(speaker, heard)
        waves.append(heard["a"].wave)
    assert torch.equal(waves[0], waves[1])
    assert len(waves[0]) != len(waves[2]) or not torch.equal(waves[0], waves[2])


def test_a_voice_without_text_ends_without_a_frame(parts, listen):
    speaker, heard = parts.speaker(), {}
    told(speaker, parts.request("a"), [])
    listen(speaker, heard)
    assert (heard["a"].num_frames, heard["a"].pieces) == (0, [])
    assert speaker.num_voices == 0


def test_cancelling_silences_one_voice_and_no_other(parts, listen):
    speaker, heard = parts.speaker(), {}
    told(speaker, parts.request("a", seed=1), TEXT)
    told(speaker, parts.request("b", seed=2), TEXT)
    speaker.step()
    speaker.cancel(RequestId("a"))
    speaker.cancel(RequestId("unknown"))
    listen(speaker, heard)
    assert "a" not in heard
    assert heard["b"].num_frames


def test_one_voices_failure_is_its_own(parts, listen, caplog):
    def fail(ids: torch.Tensor):
        raise RuntimeError(f"cannot begin with {ids[-1]}")

    def refuse(ids: torch.Tensor):
        raise InvalidRequest(f"{ids[-1]} cannot be spoken")

    before = torch.tensor([65])
    speaker, heard, alone = parts.speaker(), {}, {}
    told(speaker, replace(parts.request("bad"), beginning=TokenBeginning(fail, before)), TEXT)
    told(speaker, replace(parts.request("refused"), beginning=TokenBeginning(refuse, before)), TEXT)
    told(speaker, parts.request("good"), TEXT)
    listen(speaker, heard)
    told(other := parts.speaker(), parts.request("good"), TEXT)
    listen(other, alone)
    assert "speaking the answer failed" in str(heard["bad"].error)
    assert "cannot begin with 65" in caplog.text
    assert str(heard["refused"].error) == "65 cannot be spoken"
    assert heard["good"].num_frames == alone["good"].num_frames
    assert torch.equal(heard["good"].wave, alone["good"].wave)


def test_a_failing_vocoder_ends_the_voice_that_it_fails_for(parts, listen):
    speaker, heard = parts.speaker(), {}
    decode = speaker._vocoder.decode

    class Broken:
        fresh = staticmethod(parts.vocoder.fresh)

        @staticmethod
        def decode(codes, states):
            if len(states) > 1 or states[0] is doomed.state:
                raise RuntimeError("no memory")
            return decode(codes, states)

    speaker._vocoder = Broken()
    told(speaker, parts.request("a"), TEXT)
    told(speaker, parts.request("bb"), TEXT)
    doomed = speaker._voices["a"]
    listen(speaker, heard)
    assert "speaking the answer failed" in str(heard["a"].error)
    assert heard["bb"].num_frames
    assert heard["bb"].error is None


def test_scores_that_are_no_numbers_fail_the_voice(parts, listen):
    speaker, heard = parts.speaker(), {}
    request = parts.request("a")
    broken = TokenBeginning(lambda ids: parts.talker.read(ids) * torch.nan, torch.tensor([5]))
    told(speaker, replace(request, beginning=broken), TEXT)
    listen(speaker, heard)
    assert "not finite numbers" in str(heard["a"].error)


def test_a_deadline_ends_the_voice(parts, listen):
    speaker, heard = parts.speaker(), {}
    told(speaker, replace(parts.request("a"), deadline_s=time.monotonic() - 1), TEXT)
    listen(speaker, heard)
    assert "the deadline passed after 0 frames" in str(heard["a"].error)


@pytest.mark.parametrize(
    ("rules", "reason"),
    [({"max_positions": 9}, "its context is full"), ({"frame_s": 9.0}, "too long for its text")],
)
def test_speech_that_does_not_end_is_ended(parts, listen, caplog, rules, reason):
    speaker = Speaker(parts.talker, parts.vocoder, replace(parts.rules, end_code=-1, **rules))
    heard = {}
    told(speaker, parts.request("a"), [3])
    listen(speaker, heard)
    assert heard["a"].num_frames
    assert reason in caplog.text


class Passes:
    """Count the positions of each pass through a decoder."""

    def __init__(self, decoder) -> None:
        self.sizes: list[int] = []
        self._decoder = decoder

    def __getattr__(self, name: str):
        return getattr(self._decoder, name)

    def forward(self, batch, caches):
        self.sizes.append(len(batch.token_ids))
        return self._decoder.forward(batch, caches)


LONG = 2 * CHUNK_POSITIONS + 7


def long_voice(parts, monkeypatch, *, is_known: bool, name: str = "a"):
    """Make a speaker that is watched, and a voice with a prompt of more than two chunks."""
    passes = Passes(parts.talker.decoder)
    monkeypatch.setattr(type(parts.talker), "decoder", property(lambda _: passes))
    return parts.speaker(), passes, parts.request(name, seed=1, num_tokens=LONG, is_known=is_known)


def test_a_prompt_is_read_ahead_of_the_text_as_it_becomes_known(parts, listen, monkeypatch):
    speaker, passes, request = long_voice(parts, monkeypatch, is_known=False)
    speaker.add(request)
    for num_read, expected in (
        (CHUNK_POSITIONS - 1, []),
        (CHUNK_POSITIONS + 9, [CHUNK_POSITIONS]),
        (LONG - 1, [CHUNK_POSITIONS] * 2),
    ):
        speaker.follow(request.id, num_read)
        listen(speaker, {})
        assert passes.sizes == expected
    speaker.say(request.id, TEXT[:1])
    assert not speaker.has_work()  # the prompt's end is not known
    speaker.follow(request.id, LONG)
    listen(speaker, {})
    assert passes.sizes == [CHUNK_POSITIONS, CHUNK_POSITIONS, 7 + 1]


@pytest.mark.parametrize("steps", [[LONG], [1, CHUNK_POSITIONS, LONG], [0, 200, 201, LONG]])
def test_reading_ahead_changes_no_bit_of_the_speech(parts, listen, steps):
    request = parts.request("a", seed=1, num_tokens=LONG, is_known=False)
    known, heard, at_once = parts.request("a", seed=1, num_tokens=LONG), {}, {}
    speaker = parts.speaker()
    speaker.add(request)
    for num_read in steps:
        speaker.follow(request.id, num_read)
        listen(speaker, heard)
    speaker.say(request.id, TEXT)
    speaker.end_text(request.id)
    listen(speaker, heard)
    told(other := parts.speaker(), known, TEXT)
    listen(other, at_once)
    assert heard["a"].num_frames
    assert torch.equal(heard["a"].wave, at_once["a"].wave)


@torch.inference_mode()
def test_a_prompt_read_in_chunks_gives_the_frames_of_one_read_whole(parts):
    speaker, request = parts.speaker(), parts.request("a", num_tokens=LONG)
    told(speaker, request, TEXT)
    frames = all_codes(speaker, "a")
    assert len(frames) > len(TEXT)
    assert frames[:6] == obvious_codes(parts, request, TEXT, 6)


def test_who_speaks_goes_before_who_reads(parts, monkeypatch):
    speaker, passes, request = long_voice(parts, monkeypatch, is_known=True)
    other = parts.request("other", seed=2)
    speaker.add(other)
    speaker.say(other.id, [3] * 50)
    speaker.step()
    speaker.add(request)
    monkeypatch.setattr(speaker_module, "READING_LEAD_S", 1e9)  # nobody is ever so far ahead
    passes.sizes.clear()
    for _ in range(2 * MAX_UNREAD_STEPS):
        speaker.step()
    frames, chunks = passes.sizes.count(1), passes.sizes.count(CHUNK_POSITIONS)
    assert (frames, chunks) == (2 * MAX_UNREAD_STEPS, 2)


def test_the_slack_is_what_the_worst_off_listener_has_ahead(parts, listen):
    speaker, heard = parts.speaker(), {}
    request = parts.request("a", seed=1)
    speaker.add(request)
    assert speaker.slack_s is None
    speaker.say(request.id, TEXT)
    listen(speaker, heard)
    assert not speaker.has_work()  # it waits for text while its listener hears on
    assert 0 < speaker.slack_s <= parts.rules.frame_s * len(TEXT)
    speaker.cancel(request.id)
    assert speaker.slack_s is None


def test_a_failure_while_reading_ahead_ends_the_voice(parts, listen):
    def fail(ids: torch.Tensor):
        raise RuntimeError("no vectors")

    speaker, heard = parts.speaker(), {}
    before = torch.zeros(LONG, dtype=torch.int64)
    speaker.add(replace(parts.request("a"), beginning=TokenBeginning(fail, before)))
    listen(speaker, heard)
    assert "speaking the answer failed" in str(heard["a"].error)
    assert speaker.num_voices == 0
