"""Speech on a GPU: the codes and the sound of the processor, frames that are played as run ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from myna.core.events import AudioDelta, Finished
from myna.core.messages import AudioPart, Message, TextPart
from myna.core.progress import silent
from myna.core.requests import ChatInput, Request, RequestId, SamplingParams, Speech
from myna.layers.graphs import Graphed
from myna.media.encode import encode_wav
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.load import LoadedModel, LoadOptions, load_model
from myna.pipeline.service import LocalService
from myna.pipeline.speaking import CodeVocoder, TalkerVoice
from myna.speech import voice

SOUND_ATOL = 1e-4  # float32, of a peak of about 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_omni(tmp_path_factory.mktemp("omni") / "tiny")


def load(folder: Path, device: torch.device, dtype: str = "float32") -> LoadedModel:
    options = LoadOptions(
        model_id="tiny",
        device="cuda" if device.type == "cuda" else "cpu",
        dtype="bfloat16" if dtype == "bfloat16" else "float32",
        max_context=512,
        kv_memory_bytes=2**22,
    )
    return load_model(folder, options, silent)


def voice_of(model: LoadedModel) -> tuple[TalkerVoice, CodeVocoder]:
    assert model.omni is not None
    assert model.omni.speech is not None
    speech = model.omni.speech.get()
    return TalkerVoice(speech, model.omni.thinker), CodeVocoder(speech)


def test_frames_and_sound_equal_those_of_the_processor(folder: Path, device: torch.device) -> None:
    results = []
    for place in (torch.device("cpu"), device):
        talker, vocoder = voice_of(load(folder, place))
        hidden = talker.read(torch.tensor([5, 6, 7]))
        points = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
        codes, vectors = talker.complete(hidden, torch.tensor([1, 2, 3]), points)
        state, pieces = vocoder.fresh(), []
        for size in (1, 2, 4):
            piece = codes[:1, :, None].expand(-1, -1, size)
            wave, (state,) = vocoder.decode(piece, [state])
            pieces.append(wave)
        results.append((codes, vectors.cpu(), torch.cat(pieces, 1)))
    (codes, vectors, wave), (codes_there, vectors_there, wave_there) = results
    assert torch.equal(codes, codes_there)
    torch.testing.assert_close(vectors_there, vectors, rtol=0, atol=SOUND_ATOL)
    torch.testing.assert_close(wave_there, wave, rtol=0, atol=SOUND_ATOL)


def test_played_frames_equal_run_ones(folder: Path, gpu: torch.device) -> None:
    talker, _ = voice_of(load(folder, gpu, "bfloat16"))
    predictor = talker._talker.code_predictor
    assert isinstance(predictor.graphed, Graphed)
    for num_voices in (1, 3, 1):
        hidden = talker.read(torch.arange(num_voices) + 5)
        first = talker._talker.embed(torch.arange(num_voices).to(gpu))
        points = torch.rand(num_voices, predictor.config.num_codebooks - 1).to(gpu)
        for given in ((hidden, first), (hidden, first, points)):
            assert torch.equal(predictor.predict(*given).codes, predictor(*given))


async def test_an_answer_is_heard_and_spoken(
    folder: Path, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "MAX_TAIL_S", 1.0)
    monkeypatch.setattr(voice, "MAX_S_PER_TOKEN", 0.1)
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    content = (TextPart("what is this? "), AudioPart(encode_wav(noise, rate_hz=16_000)))
    sizes = []
    for place in (torch.device("cpu"), device):
        request = Request(
            id=RequestId("r"),
            input=ChatInput(messages=(Message(role="user", content=content),)),
            sampling=SamplingParams(temperature=0.0, max_tokens=6, seed=0),
            speech=Speech(),
        )
        service = LocalService(load(folder, place))
        events = [event async for event in service.generate(request)]
        await service.close()
        assert isinstance(events[-1], Finished), events[-1]
        sizes.append(sum(len(event.pcm) for event in events if isinstance(event, AudioDelta)))
    assert sizes[0] == sizes[1] > 0
