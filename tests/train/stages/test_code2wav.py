import pytest
import torch

from fake_voice import quickly, silent
from myna.train.shapes import CODEBOOK_SIZE, FRAME_SAMPLES, NUM_CODEBOOKS
from myna.train.stages import code2wav, codec, speech_data
from myna.train.voice.codec import CODE_WIDTH, Codec


@pytest.fixture
def teacher() -> Codec:
    torch.manual_seed(0)
    made = Codec()
    made.quantiser.begin(torch.randn(900, CODE_WIDTH), seed=1)
    return made


@torch.no_grad()
def test_codes_begin_with_the_meaning_that_the_codec_gave_them(teacher: Codec) -> None:
    network = code2wav.fresh(teacher)
    rows = network.get_parameter("code_embedding.weight")
    codes = torch.randint(CODEBOOK_SIZE, (200, NUM_CODEBOOKS))
    offsets = torch.arange(NUM_CODEBOOKS) * CODEBOOK_SIZE
    assert 0.7 < float(rows[codes + offsets].mean(1).std()) < 1.4
    entries = teacher.quantiser.entries.flatten(0, 1)
    near = torch.cdist(entries[:1], entries[1:]).argmin()
    assert torch.cdist(rows[:1], rows[1:]).argmin() == near


def test_the_wave_that_was_made_is_no_distance_away(teacher: Codec) -> None:
    network = code2wav.fresh(teacher)
    codes = torch.randint(CODEBOOK_SIZE, (1, NUM_CODEBOOKS, 4))
    with torch.no_grad():
        made = network.decode(codes)
        missing = 4 * FRAME_SAMPLES - made.shape[1]
        right = torch.cat((torch.zeros(1, missing), made), 1)
        losses = [
            float(code2wav.losses(network, waves, codes)["loss"])
            for waves in (right, 0.1 * torch.randn_like(right))
        ]
    assert losses[0] < 1e-4 < losses[1]


def test_features_learn_how_the_sound_looks(teacher: Codec) -> None:
    network = code2wav.fresh(teacher)
    codes = torch.randint(CODEBOOK_SIZE, (1, NUM_CODEBOOKS, 3))
    waves = 0.1 * torch.randn(1, 3 * FRAME_SAMPLES)
    before = code2wav.foretold(network, waves, codes)
    before.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad
    assert float(code2wav.foretold(network, waves, codes).detach()) < float(before.detach())


def test_a_step_changes_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    speech_data.run(minutes=None, report=silent)
    codec.run(minutes=None, report=silent)
    lines: list[str] = []
    code2wav.run(minutes=None, report=lines.append)
    assert lines[-1].startswith("step 1/1  loss ")
