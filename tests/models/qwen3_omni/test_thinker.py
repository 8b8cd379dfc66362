"""The thinker's batches: what replaces tokens, what is added, what is taken out, in any chunks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from myna.engine.protocols import Decoder
from myna.layers.cache import PackedBatch, Rows, Tap, join
from myna.layers.dense_cache import DenseCache
from myna.models.qwen3_omni.thinker import fresh_states, media_rows, prompt_batch
from omni_prompts import Conversation

BAR = 1e-5
DEPTH = 4


@pytest.fixture(scope="module")
def conversation(tiny_config) -> Conversation:
    """Draw a conversation in which a picture, a video and a sound appear."""
    drawn = (Conversation(seed, tiny_config) for seed in range(99))
    return next(item for item in drawn if item.images and item.videos and item.mels)


def run(thinker, batch: PackedBatch, size: int) -> Tensor:
    decoder = thinker.decoder
    caches = [DenseCache() for _ in range(decoder.num_layers)]
    stops = range(0, len(batch.token_ids), size)
    with torch.inference_mode():
        return torch.cat([decoder(batch.cut(start, start + size), caches) for start in stops])


def test_its_decoder_is_what_the_engine_runs(tiny_thinker, tiny_config) -> None:
    decoder: Decoder = tiny_thinker.decoder
    config = tiny_config.thinker.text
    assert (decoder.num_layers, decoder.num_kv_heads) == (config.num_layers, config.num_kv_heads)
    assert (decoder.head_width, decoder.vocab_size) == (config.head_width, config.vocab_size)
    assert decoder.dtype is torch.float32


@pytest.mark.parametrize("size", [1, 5, 16])
def test_prompts_may_be_cut_anywhere(tiny_thinker, conversation, size: int) -> None:
    layout = conversation.layout()
    whole, whole_states = conversation.batch(tiny_thinker, layout, depth=DEPTH)
    chunks, chunk_states = conversation.batch(tiny_thinker, layout, depth=DEPTH)
    expected = run(tiny_thinker, whole, len(layout.token_ids))
    found = run(tiny_thinker, chunks, size)
    assert float((found - expected).abs().max()) < BAR * 10
    assert not whole_states.values.isnan().any()
    assert float((chunk_states.values - whole_states.values).abs().max()) < BAR * 10


def test_requests_do_not_feel_each_other(tiny_thinker, tiny_config, conversation) -> None:
    other = Conversation(7, tiny_config)
    batches, states = zip(
        *(item.batch(tiny_thinker, item.layout(), depth=DEPTH) for item in (conversation, other)),
        strict=True,
    )
    alone = [run(tiny_thinker, batch, len(batch.token_ids)) for batch in batches]
    kept = [rows.values.clone() for rows in states]
    lengths = [len(batch.token_ids) for batch in batches]

    class Apart(DenseCache):
        """Attend within each of two requests."""

        def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            parts = zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True)
            return torch.cat([DenseCache().attend(*part) for part in parts])

    for rows in states:
        rows.values.fill_(torch.nan)
    decoder = tiny_thinker.decoder
    with torch.inference_mode():
        together = decoder(join(batches), [Apart() for _ in range(decoder.num_layers)])
    assert float((together - torch.cat(alone)).abs().max()) < BAR * 10
    for rows, values in zip(states, kept, strict=True):
        assert float((rows.values - values).abs().max()) < BAR * 10


def test_plain_text_needs_positions_on_one_axis_only(tiny_thinker) -> None:
    token_ids = torch.arange(12)
    plain = PackedBatch(token_ids, torch.arange(12))
    three = PackedBatch(token_ids, torch.arange(12.0).expand(3, -1))
    assert torch.equal(run(tiny_thinker, plain, 12), run(tiny_thinker, three, 12))


def test_a_tap_holds_what_was_added_after_its_last_layer(tiny_thinker) -> None:
    """The next layer's input is what is taken."""
    one, last = torch.tensor([3]), torch.ones(1, 32)
    out = Rows(torch.tensor([2, 3]), torch.zeros(2, 32))
    entered: list[Tensor] = []
    hook = tiny_thinker.decoder.layers[2].register_forward_pre_hook(
        lambda _module, inputs: entered.append(inputs[0])
    )
    batch = PackedBatch(
        torch.arange(5), torch.arange(5), added=((), (Rows(one, last),)), taps=(Tap(2, out),)
    )
    run(tiny_thinker, batch, 5)
    hook.remove()
    assert torch.equal(out.values, entered[0][[2, 3]])


def test_states_are_made_for_the_medias_places(conversation) -> None:
    layout = conversation.layout()
    rows = media_rows(layout)
    assert rows.tolist() == sorted({*layout.audio_rows.tolist(), *layout.visual_rows.tolist()})
    states = fresh_states(layout, width=32, dtype=torch.bfloat16)
    assert states.values.shape == (len(rows), 32)
    assert states.values.isnan().all()


def test_encoders_and_placeholders_must_agree(conversation) -> None:
    layout = conversation.layout()
    with pytest.raises(AssertionError, match="disagree on the number of tokens"):
        prompt_batch(layout, heard=torch.zeros(len(layout.audio_rows) + 1, 32))
