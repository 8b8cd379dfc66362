import torch

from myna.layers.rope import Rope
from myna.models.qwen3_omni.code_predictor import CodePredictor
from myna.train.nano_config import speech_config
from myna.train.shapes import CODEBOOK_SIZE, NUM_CODEBOOKS
from myna.train.start import materialise
from myna.train.voice.pupil import score_others


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
