"""The talker while it learns: what it reads, and what its choices should have been.

A head beside it tells the phonemes of the frame that it chooses. Codes alone foretell much of what
follows, so that it would long not care for the text; therefore one head of attention is told to
look for the word that was just spoken, and one in the next layer for the word to be spoken (see
`train.guidance`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.cache import PackedBatch, Rows
from myna.models.qwen3_omni.code_predictor import CodePredictor
from myna.models.qwen3_omni.talker import Talker
from myna.train.examples import UNSCORED
from myna.train.guidance import Watched, strayed
from myna.train.loop import Losses
from myna.train.rectangle import Rectangle
from myna.train.voice.codec import NUM_PHONEMES
from myna.train.voice.lessons import Sheet
from myna.train.voice.shards import SLOTS

PHONEME_SHARE = 0.3
GUIDED_SHARE = 0.3
GUIDED_LAYER = 1  # looks for the word just spoken; the layer after it for the word to be spoken
OTHERS_SHARE = 1.0


class Pupil(nn.Module):
    """Hold a talker, the thinker's words, and what only training needs.

    Args:
        talker: learns.
        words: (V, D of the thinker), the embedding of text, which does not learn.
    """

    def __init__(self, talker: Talker, words: Tensor) -> None:
        super().__init__()
        self.talker = talker
        self.words = nn.Parameter(words, requires_grad=False)
        self.phonemes = nn.Linear(talker.config.text.width, SLOTS * NUM_PHONEMES)

    def inputs(self, sheet: Sheet, media: Tensor) -> Tensor:
        """Add the two tracks up: (B*T, D).

        Args:
            sheet: says what is on them.
            media: (n, D of the thinker), for the n rows that are a medium's.
        """
        found, where = torch.unique(sheet.text.flatten(), return_inverse=True)
        x: Tensor = self.talker.text_projection(self.words[found])[where]  # (B*T, D)
        is_medium = sheet.is_medium.flatten()
        if is_medium.any():
            projected = self.talker.hidden_projection(media.to(x.dtype))
            x = x.index_copy(0, is_medium.nonzero()[:, 0], projected)
        has_code, is_frame = sheet.has_code.flatten(), sheet.is_frame.flatten()
        rows = has_code.nonzero()[:, 0]
        x = x.index_add(0, rows, self.talker.embed(sheet.codes.flatten()[rows]))
        rows = is_frame.nonzero()[:, 0]
        others = self.talker.code_predictor.embed(sheet.others.flatten(0, 1)[rows])
        return x.index_add(0, rows, others)

    def read(self, sheet: Sheet, media: Tensor) -> tuple[Tensor, Tensor]:
        """Run the talker's decoder: (B*T, D), after its norm, and how far its attention strays."""
        x = self.inputs(sheet, media)
        everything = Rows(torch.arange(len(x)), x)
        nothing = torch.zeros(len(x), dtype=torch.int64)
        batch = PackedBatch(nothing, sheet.positions, replaced=(everything,))
        decoder = self.talker.decoder
        caches = [Rectangle(len(sheet.text)) for _ in range(decoder.num_layers)]
        guided = [Watched(len(sheet.text)), Watched(len(sheet.text))]
        caches[GUIDED_LAYER : GUIDED_LAYER + 2] = guided
        out: Tensor = decoder(batch, caches)
        spoken = strayed(guided[0].looks, sheet.spoken, sheet.written)
        to_speak = strayed(guided[1].looks, sheet.to_speak, sheet.written)
        return out, spoken + to_speak

    def losses(self, sheet: Sheet, media: Tensor, *, chosen: Tensor) -> Losses:
        """Compare its choices with the codec's codes.

        Args:
            sheet: B sequences.
            media: as for `inputs`.
            chosen: (n,) int64, which of the rows that make a frame the code predictor learns from.
        """
        hidden, astray = self.read(sheet, media)
        labels = sheet.next_codes.flatten()
        rows = (labels != UNSCORED).nonzero()[:, 0]
        scores = self.talker.decoder.logits(hidden[rows])
        first = functional.cross_entropy(scores, labels[rows])
        frames = sheet.makes_frame.flatten().nonzero()[:, 0]
        told = self.phonemes(hidden[frames]).float().unflatten(-1, (SLOTS, -1)).flatten(0, 1)
        phonemes = functional.cross_entropy(
            told, sheet.next_phonemes.flatten(0, 1)[frames].flatten()
        )
        picked = frames[chosen]
        codes = torch.cat((labels[picked, None], sheet.next_others.flatten(0, 1)[picked]), 1)
        scores = score_others(
            self.talker.code_predictor, hidden[picked], self.talker.embed(codes[:, 0]), codes
        )
        others = functional.cross_entropy(scores.flatten(0, 1), codes[:, 1:].flatten())
        loss = first + OTHERS_SHARE * others + PHONEME_SHARE * phonemes + GUIDED_SHARE * astray
        parts = {"first": first, "others": others, "phonemes": phonemes, "astray": astray}
        return {"loss": loss, **parts}


def score_others(predictor: CodePredictor, hidden: Tensor, first: Tensor, codes: Tensor) -> Tensor:
    """Score the codes of frames after the first, each given the ones before it.

    Args:
        predictor: learns.
        hidden: (n, D), the talker's states that chose the first codes.
        first: (n, D), the talker's embeddings of those.
        codes: (n, Q) int64.

    Returns:
        (n, Q-1, V) float32.
    """
    size, num_codebooks = codes.shape
    tables, heads = (predictor.get_parameter(name) for name in ("codec_embedding", "lm_head"))
    given = [
        functional.embedding(codes[:, book], table)
        for book, table in enumerate(tables[:-1], start=1)
    ]
    x = torch.stack((hidden, first, *given), 1).flatten(0, 1)  # (n*Q, D)
    rope = predictor.rope_table.at(torch.arange(num_codebooks).repeat(size), x.dtype)
    cache = Rectangle(size)
    for layer in predictor.layers:
        x = layer(x, rope, cache)
    states = predictor.norm(x).unflatten(0, (size, -1))[:, 1:]  # (n, Q-1, D)
    return torch.einsum("nqd,qvd->nqv", states, heads).float()
