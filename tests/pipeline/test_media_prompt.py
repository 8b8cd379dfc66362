"""Media become rows of a prompt, charged first, encoded once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from myna.core.errors import ContextOverflow, TooLarge
from myna.core.messages import AudioPart, ImagePart, VideoPart, text_message
from myna.core.progress import silent
from myna.media.encode import encode_wav
from myna.media.limits import MediaLimits
from myna.models.tiny_omni import token_ids, write_tiny_omni
from myna.pipeline import media_prompt
from myna.pipeline.load import LoadOptions, load_model
from myna.pipeline.media_prompt import MediaReader, media_of
from myna.pipeline.omni import Omni

OPTIONS = LoadOptions(model_id="tiny", dtype="float32", max_context=1024, kv_memory_bytes=2**21)
IDS = token_ids()
IMAGE = [IDS["<|vision_start|>"], IDS["<|image_pad|>"], IDS["<|vision_end|>"]]
AUDIO = [IDS["<|audio_start|>"], IDS["<|audio_pad|>"], IDS["<|audio_end|>"]]


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def wav(num_samples: int) -> bytes:
    return encode_wav(np.sin(np.arange(num_samples) * 0.1) * 0.5, rate_hz=16_000)


@pytest.fixture(scope="module")
def omni(tmp_path_factory: pytest.TempPathFactory) -> Omni:
    folder: Path = write_tiny_omni(tmp_path_factory.mktemp("omni"))
    found = load_model(folder, OPTIONS, silent).omni
    assert found is not None
    return found


@pytest.fixture(scope="module")
def reader(omni: Omni) -> Iterator[MediaReader]:
    made = MediaReader(omni, context=200, limits=MediaLimits(max_items=3))
    yield made
    made.close()


def test_embeddings_lie_where_their_placeholders_were(reader: MediaReader, omni: Omni) -> None:
    items = reader.decode([ImagePart(png(0)), AudioPart(wav(16_000)), ImagePart(png(1))])
    prompt = reader.prompt([5, *IMAGE, *AUDIO, 6, *IMAGE], items, states_depth=2)
    counts = [6, 13, 6]
    assert prompt.num_media_tokens == sum(counts)
    assert len(prompt.token_ids) == sum(counts) + 8
    heard, seen = prompt.batch.replaced
    assert heard.rows.tolist() == list(range(10, 23))
    assert seen.rows.tolist() == [*range(2, 8), *range(26, 32)]
    alone = omni.thinker.visual(torch.from_numpy(items[2].patches.rows), [items[2].patches.grid])
    assert torch.equal(seen.values[6:], alone.tokens)
    assert len(prompt.batch.added) == len(alone.deepstack)
    assert torch.equal(prompt.batch.added[1][0].values[6:], alone.deepstack[1])
    (tap,) = prompt.batch.taps
    assert prompt.states is not None
    assert prompt.states.rows is tap.out
    assert tap.out.values.isnan().all()
    assert prompt.max_cached == 1  # nothing from the first medium on is known
    assert prompt.marks == tuple(zip([1, 9, 25], [item.digest for item in items], strict=True))
    assert prompt.layout.advance < 0  # pictures take fewer positions than tokens


def test_what_is_seen_again_is_not_encoded_again(
    reader: MediaReader, omni: Omni, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = reader.decode([ImagePart(png(7))])
    first = reader.prompt(IMAGE, items)
    monkeypatch.setattr(omni.thinker.visual, "forward", None)
    again = reader.prompt(IMAGE, reader.decode([ImagePart(png(7))]))
    assert torch.equal(again.batch.replaced[0].values, first.batch.replaced[0].values)
    assert again.marks == first.marks


def test_embeddings_beyond_the_room_for_them_are_forgotten(
    omni: Omni, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = MediaReader(omni, context=200)
    items = reader.decode([ImagePart(png(seed)) for seed in range(3)])
    monkeypatch.setattr(media_prompt, "KEPT_BYTES", 2 * 6 * 32 * 4 * 4)
    reader.prompt(IMAGE * 3, items)
    assert list(reader._kept) == [items[1].digest, items[2].digest]
    reader.close()


def test_digests_tell_contents_and_shapes_apart(reader: MediaReader) -> None:
    frames = tuple(png(seed) for seed in range(4))
    parts = [
        [ImagePart(png(0))],
        [ImagePart(png(1))],
        [AudioPart(wav(16_000))],
        [AudioPart(wav(16_160))],
        [VideoPart(frames=frames[:2], fps=2.0)],
        [VideoPart(frames=frames[:2], fps=1.0)],
        [VideoPart(frames=frames[1::-1], fps=2.0)],
    ]
    wide = MediaReader(reader._omni, context=100_000)
    digests = [wide.decode(part)[0].digest for part in parts]
    wide.close()
    assert len(set(digests)) == len(digests)


def test_the_frames_of_a_clip_are_one_item_and_no_more_than_allowed(omni: Omni) -> None:
    limits = MediaLimits(max_items=2, max_frames=5)
    reader = MediaReader(omni, context=100_000, limits=limits)
    frames = tuple(png(seed) for seed in range(4))
    clip, _ = reader.decode([VideoPart(frames=frames), ImagePart(png(0))])
    assert clip.patches is not None
    assert clip.patches.grid[0] == 2
    with pytest.raises(TooLarge, match="holds 3 media items"):
        reader.decode([VideoPart(frames=frames), *[ImagePart(png(0))] * 2])
    with pytest.raises(TooLarge, match="asks for 8 video frames"):
        reader.decode([VideoPart(frames=frames)] * 2)
    reader.close()


def test_tokens_are_charged_before_anything_is_encoded(reader: MediaReader) -> None:
    with pytest.raises(ContextOverflow, match="a sound costs 260 tokens"):
        reader.decode([AudioPart(wav(20 * 16_000))])


def test_the_shortest_sound_is_a_token(reader: MediaReader) -> None:
    items = reader.decode([AudioPart(wav(100))])
    assert reader.prompt(AUDIO, items).num_media_tokens == 1


def test_media_are_listed_in_order() -> None:
    sound, picture = AudioPart(b"a"), ImagePart(b"b")
    message = text_message("user", "hi")
    spoken = type(message)(role="user", content=(sound, *message.content, picture))
    assert media_of([message, spoken, spoken]) == [sound, picture, sound, picture]
