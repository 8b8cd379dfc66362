"""Nothing assumes the processor: networks run on a pretended device, whose tensors have no values
and refuse to meet those of another.

What a real GPU does is for tests/gpu.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

from myna.core.errors import Unavailable
from myna.core.requests import RequestId
from myna.engine.batch import Chunk, in_packing_order, pack
from myna.engine.kv_cache import KVCache
from myna.engine.protocols import Decoder
from myna.engine.sequence import EngineRequest, Sequence
from myna.layers.cache import PackedBatch, Rows, Tap
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import Speech
from myna.models.registry import blueprint_for_folder
from myna.models.tiny import tiny_config
from myna.models.tiny_omni import tiny_omni_config
from myna.pipeline.machine import find_device, free_bytes
from myna.pipeline.speaking import CodeVocoder, TalkerVoice
from myna.speech.cache import CachePool, VoiceCache, joined

PRETENDED = "pretended"
DTYPES = (torch.float32, torch.bfloat16)


class Absent(_DummyBackendModule):
    """Keep everybody else from finding the device."""

    def is_available(self) -> bool:
        return False


@pytest.fixture(scope="module")
def registered() -> torch.device:
    """Let torch know the device, which stays for the life of the process and computes nothing."""
    _setup_privateuseone_for_python_backend(PRETENDED, backend_module=Absent())
    return torch.device(PRETENDED, 0)


@pytest.fixture(name="device")
def without_values(registered: torch.device) -> Iterator[torch.device]:
    """Let every tensor be one without values."""
    with FakeTensorMode():
        yield registered


def build(
    make: Any, dtype: torch.dtype, device: torch.device
) -> Any:  # Any: networks of several kinds
    """Make a network as loaders do: without memory, then its parameters on the pretended device."""
    with torch.device("meta"):
        network = make()
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            made = torch.empty(parameter.shape, dtype=dtype, device=device)
            setattr(module, name, nn.Parameter(made, requires_grad=False))
    return network


def sequence(num_tokens: int, *, num_computed: int, blocks: list[int]) -> Sequence:
    request = EngineRequest(id=RequestId("r"), token_ids=tuple(range(1, num_tokens + 1)))
    made = Sequence(request, 0, seed=0, arrival=0)
    made.num_computed, made.blocks = num_computed, blocks
    return made


def batch_of(decoder: Decoder) -> tuple[PackedBatch, list]:
    """Plan a step of a prompt's beginning, a later chunk in scattered blocks, and single tokens."""
    cache = KVCache(decoder, num_blocks=16, tokens_per_block=4)
    chunks = [
        Chunk(sequence(9, num_computed=0, blocks=[0, 1, 2]), 0, 9),
        Chunk(sequence(9, num_computed=4, blocks=[7, 3, 5]), 4, 9),
        Chunk(sequence(6, num_computed=5, blocks=[8, 9]), 5, 6),
        Chunk(sequence(3, num_computed=2, blocks=[10]), 2, 3),
    ]
    batch, plan = pack(in_packing_order(chunks), tokens_per_block=4, dtype=decoder.dtype)
    assert batch.token_ids.device.type == "cpu"
    return batch.to(decoder.device), cache.layers(plan.to(decoder.device))


@pytest.mark.parametrize(
    ("family", "dtype"),
    [
        *((family, dtype) for family in ("qwen2", "qwen3", "llama") for dtype in DTYPES),
        ("qwen3_moe", torch.bfloat16),  # experts in float32 are counted, which takes values
    ],
)
def test_decoders_run_where_their_weights_are(
    device: torch.device, family: str, dtype: torch.dtype
) -> None:
    blueprint = blueprint_for_folder(tiny_config(family), ())
    decoder = build(lambda: blueprint.family.network(blueprint.config), dtype, device)
    hidden = decoder(*batch_of(decoder))
    assert hidden.device == decoder.logits(hidden).device == device


def omni(device: torch.device) -> tuple[Config, Thinker, Speech]:
    config = Config.from_hf(tiny_omni_config())
    assert config.speech is not None
    thinker = build(lambda: Thinker(config.thinker), torch.bfloat16, device)
    return config, thinker, build(lambda: Speech(config.speech), torch.bfloat16, device)


def test_a_thinker_hears_and_sees_there(device: torch.device) -> None:
    config, thinker, _ = omni(device)
    frames = torch.empty(config.thinker.audio.num_mels, 230, device=device)
    assert thinker.audio_tower([frames]).device == device
    width = thinker.visual.patch_embed.proj.weight[0].numel()
    seen = thinker.visual(torch.empty(16, width).to(device), [(1, 4, 4)])
    assert seen.tokens.device == device


def test_a_thinker_reads_media_and_writes_its_states_to_memory(device: torch.device) -> None:
    _, thinker, _ = omni(device)
    decoder = thinker.decoder
    batch, layers = batch_of(decoder)
    width, rows = decoder.norm.weight.shape[0], torch.arange(3)
    found = Rows(rows, torch.empty(3, width, dtype=torch.bfloat16).to(device))
    states = Rows(rows, torch.empty(3, width))
    rich = PackedBatch(
        token_ids=torch.zeros(16, dtype=torch.int64),
        positions=torch.zeros(3, 16),
        replaced=(found,),
        added=((found,),),
        taps=(Tap(1, states),),
    ).to(device)
    assert rich.taps[0].out.values is states.values
    assert decoder(rich, layers).device == device
    assert batch.token_ids.device == device


def test_a_voice_speaks_there_and_is_heard_here(device: torch.device) -> None:
    config, thinker, speech = omni(device)
    assert config.speech is not None
    voice, vocoder = TalkerVoice(speech, thinker), CodeVocoder(speech)
    num_codes = config.speech.code2wav.num_codebooks
    text = voice.read(torch.tensor([1, 2, 3]))
    assert text.device == device
    codes, vectors = voice.complete(text[:2], torch.tensor([1, 2]), torch.empty(2, num_codes - 1))
    assert (codes.device.type, vectors.device) == ("cpu", device)
    for size in (1, 2, 4):
        state = vocoder.fresh()
        wave, (state,) = vocoder.decode(codes[:1, :, None].expand(-1, -1, size), [state])
        wave, _ = vocoder.decode(codes[:1, :, None].expand(-1, -1, size), [state])
        assert wave.device.type == "cpu"


@pytest.mark.parametrize("sizes", [(5, 3), (1, 1)])
def test_voices_attend_there(device: torch.device, sizes: tuple[int, int]) -> None:
    _, _, speech = omni(device)
    decoder = speech.talker.decoder
    pool = CachePool(decoder)
    caches = [VoiceCache(pool), VoiceCache(pool)]
    caches[0].reserve(2)
    caches[0].length = 2
    rows = torch.zeros(sum(sizes), dtype=torch.int64)
    batch = PackedBatch(rows, torch.zeros(3, sum(sizes))).to(decoder.device)
    assert decoder(batch, joined(caches, sizes)).device == device


def test_tensors_of_two_devices_do_not_meet(device: torch.device) -> None:
    """The pretence itself refuses what a GPU would."""
    with pytest.raises(RuntimeError, match="on the same device"):
        torch.empty(2, 2, device=device) @ torch.empty(2, 2)


def test_nobody_else_finds_the_pretended_device(device: torch.device) -> None:
    assert device.type == PRETENDED
    assert not torch.accelerator.is_available()


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Unavailable, match=r"'cuda' was asked for, but torch .* sees no such GPU"):
        find_device("cuda")
    assert find_device("cpu") == torch.device("cpu")


def test_memory_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (70, 80))
    assert free_bytes(torch.device("cuda", 0)) == 70
    assert free_bytes(torch.device("cpu")) > 1 << 20
