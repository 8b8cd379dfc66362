"""A talker's prompt made piece by piece is the one made whole, and is read as the thinker reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from myna.core.events import Finished
from myna.core.messages import AudioPart, Message, TextPart
from myna.core.progress import silent
from myna.core.requests import ChatInput, Request, RequestId, SamplingParams, Speech
from myna.layers.cache import LayerCache, PackedBatch
from myna.media.encode import encode_wav
from myna.models.qwen3_omni.talker import ANSWER_ROWS, find_turns, speaker_id, talker_prompt
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.load import LoadedModel, LoadOptions, load_model
from myna.pipeline.prepare import Prepared, Preparer
from myna.pipeline.service import LocalService
from myna.pipeline.speaking import TalkerVoice
from myna.pipeline.speaking_prompt import TalkerBeginning
from myna.speech import turns, voice

OPTIONS = LoadOptions(model_id="tiny", dtype="float32", max_context=512, kv_memory_bytes=4 * 2**20)
FIRST_ID = 65


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(write_tiny_omni(tmp_path_factory.mktemp("omni")), OPTIONS, silent)


def ask(name: str = "a") -> Request:
    """Ask aloud about a sound that stands between words."""
    noise = np.random.default_rng(0).normal(0, 0.1, 32_000)
    sound = AudioPart(encode_wav(noise, rate_hz=16_000))
    message = Message(role="user", content=(TextPart("hear "), sound, TextPart(" and tell me")))
    return Request(
        id=RequestId(name),
        input=ChatInput(messages=(message,)),
        sampling=SamplingParams(temperature=0.0, max_tokens=4, seed=0),
        speech=Speech(),
    )


@pytest.fixture
def spoken(model: LoadedModel) -> Iterator[tuple[TalkerBeginning, Prepared]]:
    """Prepare the request; its hidden states are numbers of the test's."""
    preparer = Preparer(model)
    prepared = preparer.prepare(ask())
    preparer.close()
    assert isinstance(prepared, Prepared)
    assert prepared.spoken is not None
    assert prepared.engine_request.prompt is not None
    (tap,) = prepared.engine_request.prompt.taps
    torch.nn.init.normal_(tap.out.values, generator=torch.Generator().manual_seed(0))
    beginning = prepared.spoken.voice.beginning
    assert isinstance(beginning, TalkerBeginning)
    return beginning, prepared


@torch.inference_mode()
def test_pieces_join_to_the_whole(model: LoadedModel, spoken) -> None:
    beginning, prepared = spoken
    assert model.omni is not None
    config, talker = model.omni.config.speech, model.omni.speech.get().talker
    token_ids = torch.tensor(prepared.engine_request.token_ids)
    whole = talker_prompt(
        talker,
        config,
        token_ids=token_ids,
        turns=find_turns(token_ids, config.roles),
        media=prepared.engine_request.prompt.taps[0].out,
        first_id=FIRST_ID,
        speaker_id=speaker_id(config.talker, "ethan"),
        read=TalkerVoice(model.omni.speech.get(), model.omni.thinker).read,
    )
    num_prompt = beginning.num_prompt
    pieces = [beginning.prompt(slice(i, min(i + 7, num_prompt))) for i in range(0, num_prompt, 7)]
    found = torch.cat((*pieces, beginning.answer(FIRST_ID)))
    assert torch.allclose(found, whole.inputs, atol=1e-6)
    assert found[num_prompt:].shape[0] == ANSWER_ROWS
    assert beginning.positions.shape == (3, len(found))


def test_vectors_are_known_once_their_tokens_are_read(spoken) -> None:
    beginning, prepared = spoken
    num_tokens, num_prompt = len(prepared.engine_request.token_ids), beginning.num_prompt
    known = [beginning.num_known(num_read) for num_read in range(num_tokens + 1)]
    assert known[0] == 0
    assert known[-1] == num_prompt
    assert sorted(set(known)) == list(range(num_prompt + 1))


def test_without_media_all_is_known_at_once(model: LoadedModel) -> None:
    preparer = Preparer(model)
    said = ChatInput(messages=(Message(role="user", content=(TextPart("hello"),)),))
    prepared = preparer.prepare(msgspec.structs.replace(ask(), input=said))
    preparer.close()
    assert isinstance(prepared, Prepared)
    assert prepared.spoken is not None
    beginning = prepared.spoken.voice.beginning
    assert beginning.num_known(0) == beginning.num_prompt > 0


async def test_the_talker_reads_while_the_thinker_reads(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "CHUNK_POSITIONS", 8)
    monkeypatch.setattr(voice, "MAX_TAIL_S", 0.5)
    monkeypatch.setattr(turns, "CALL_S", 10.0)  # however slow this machine is
    config = replace(model.engine_config, max_step_tokens=16, prefix_caching=False)
    service = LocalService(replace(model, engine_config=config))
    passes: list[tuple[str, int]] = []

    def watch(name: str, decoder: torch.nn.Module) -> None:
        forward = decoder.forward

        def note(batch: PackedBatch, caches: Sequence[LayerCache]) -> torch.Tensor:
            passes.append((name, len(batch.token_ids)))
            return forward(batch, caches)

        monkeypatch.setattr(decoder, "forward", note)

    assert model.omni is not None
    watch("thinker", model.omni.thinker.decoder)
    watch("talker", model.omni.speech.get().talker.decoder)
    events = [event async for event in service.generate(ask())]
    await service.close()
    assert isinstance(events[-1], Finished)
    last_read = max(i for i, (name, size) in enumerate(passes) if name == "thinker" and size > 1)
    ahead = [size for name, size in passes[:last_read] if name == "talker"]
    after = [size for name, size in passes[last_read:] if name == "talker"]
    assert len(ahead) >= 3
    assert set(ahead) == {8}
    assert sum(size for size in after if size > 1) <= 16 + 8 + ANSWER_ROWS
