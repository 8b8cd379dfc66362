import pytest
import torch

from myna.layers.rope import Rope
from myna.models.qwen3_omni.code_predictor import CodePredictor
from myna.train.batches import UNSCORED
from myna.train.nano_config import speech_config
from myna.train.rectangle import Rectangle
from myna.train.shapes import CODEBOOK_SIZE, NUM_CODEBOOKS
from myna.train.start import materialise
from myna.train.voice.pupil import Watched, score_others, strayed


@torch.no_grad()
def test_scores_of_all_codebooks_are_those_of_one_after_another() -> None:
    with torch.device("meta"):
        predictor = CodePredictor(speech_config().talker.code_predictor)
    materialise(predictor, seed=1)
    width = predictor.config.width
    hidden, first = torch.randn(2, 3, width).unbind()
    codes = torch.randint(CODEBOOK_SIZE, (3, NUM_CODEBOOKS))
    found = score_others(predictor, hidden, first, codes)
    assert found.shape == (3, NUM_CODEBOOKS - 1, CODEBOOK_SIZE)
    caches = predictor.fresh_caches(3)
    turns = predictor.rope_table.at(torch.arange(NUM_CODEBOOKS), torch.float32)
    x = torch.stack((hidden, first), 1).flatten(0, 1)
    rope = Rope(turns.cos[:2].repeat(3, 1, 1), turns.sin[:2].repeat(3, 1, 1))
    for book in range(NUM_CODEBOOKS - 1):
        if book:
            x = predictor.codec_embedding[book - 1][codes[:, book]]
            rope = Rope(turns.cos[book + 1 : book + 2], turns.sin[book + 1 : book + 2])
        expected = predictor.step(x, rope, caches, book=book)
        torch.testing.assert_close(found[:, book], expected, rtol=1e-4, atol=1e-4)


def test_a_watched_layer_attends_as_any_and_tells_where_its_first_head_looks() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(2 * 5, 3, 8), torch.randn(2 * 5, 1, 8), torch.randn(2 * 5, 1, 8)
    watched = Watched(2)
    torch.testing.assert_close(watched.attend(q, k, v), Rectangle(2).attend(q, k, v))
    shares = watched.looks.exp()
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 5))
    assert not shares.triu(1).any()
    values = v.view(2, 5, 8)
    torch.testing.assert_close(shares @ values, watched.attend(q, k, v).view(2, 5, 3, 8)[:, :, 0])


def test_attention_strays_where_it_is_not_on_the_word_sought() -> None:
    shares = torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]])
    written = torch.tensor([[UNSCORED, 0, 0]])
    sought = torch.tensor([[0, UNSCORED, 0]])  # the first row cannot see its word yet
    found = strayed(shares.log(), sought, written)
    assert float(found) == pytest.approx(-torch.tensor(0.8).log().item())
