"""Code predictor: a small decoder that fills in the codes of a frame after the first.

It runs anew for each frame of every stream, on a handful of positions: the talker's hidden state,
the first code, then code after code, each codebook with an embedding and a head of its own.

Not here: the first code of a frame, and when speech ends (talker).
Source: transformers 5.23 `Qwen3OmniMoeTalkerCodePredictorModelForConditionalGeneration`;
arXiv:2509.17765 §2.
Differs: embeddings and heads are stacked, one matrix each for all codebooks; q, k and v are one
matrix, and so are gate and up.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.kernels import depth, packed
from myna.kernels.depth import DepthDecoder, Frames, Nucleus
from myna.kernels.packed import Packed, Weight
from myna.layers.decoder import DecoderLayer
from myna.layers.fused import fuse
from myna.layers.graphs import Graphed
from myna.layers.mlp import GatedMlp
from myna.layers.norm import RmsNorm
from myna.layers.rope import Rope, RopeTable
from myna.models.qwen3.model import Attention
from myna.models.qwen3_omni.speech_config import CodePredictorConfig

# The reference's code holds these.
NUCLEUS = Nucleus(top_k=50, top_p=0.8)
NUM_GIVEN = 2  # positions before the first prediction: hidden state and first code


class FrameCache:
    """Keep one layer's keys and values of one frame of B streams; satisfies `LayerCache`.

    Tokens are packed stream by stream, equally many of each.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys  # (B, G, Q, K)
        self.values = values  # (B, G, Q, K)
        self.length = 0

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Append k and v, then attend; the first call brings several positions, others one."""
        num_streams, num_kv_heads = self.keys.shape[:2]
        k, v = (x.unflatten(0, (num_streams, -1)).transpose(1, 2) for x in (k, v))  # (B, G, T, K)
        stop = self.length + k.shape[2]
        self.keys[:, :, self.length : stop] = k
        self.values[:, :, self.length : stop] = v
        past_k, past_v = self.keys[:, :, :stop], self.values[:, :, :stop]
        self.length = stop
        if k.shape[2] == 1:
            # The query heads of a key head play the part of successive tokens: no head is copied.
            rows = q.unflatten(1, (num_kv_heads, -1))  # (B, G, H/G, K)
            return functional.scaled_dot_product_attention(rows, past_k, past_v).flatten(1, 2)
        heads = q.unflatten(0, (num_streams, -1)).transpose(1, 2)  # (B, H, T, K)
        out = functional.scaled_dot_product_attention(
            heads, past_k, past_v, is_causal=True, enable_gqa=True
        )
        return out.transpose(1, 2).flatten(0, 1)  # (B*T, H, K)


class CodePredictor(nn.Module):
    """Predict codes 1 to Q-1 of a frame, for B streams at once.

    Attributes:
        codec_embedding: (Q-1, V, D), packed or not.
        lm_head: the same.
    """

    codec_embedding: Weight
    lm_head: Weight

    def __init__(self, config: CodePredictorConfig) -> None:
        super().__init__()
        self.config = config
        shape = (config.num_codebooks - 1, config.vocab_size, config.width)
        self.codec_embedding = nn.Parameter(torch.empty(shape), requires_grad=False)
        self.layers = nn.ModuleList(
            DecoderLayer(
                Attention(config),
                GatedMlp(config.width, config.hidden_width),
                width=config.width,
                eps=config.norm_eps,
            )
            for _ in range(config.num_layers)
        )
        self.norm = RmsNorm(config.width, eps=config.norm_eps)
        self.lm_head = nn.Parameter(torch.empty(shape), requires_grad=False)
        self.rope_table = RopeTable(config.rope, config.head_width)
        self.depth: DepthDecoder | None = None
        self.graphed: Graphed | None = None

    def fuse(self) -> None:
        """Choose the codes of a frame in one call from now on, where the compiled kernels can.

        The weights must stay where they are.
        """
        if self.norm.weight.is_cuda:
            self.graphed = Graphed(lambda *inputs: (self(*inputs),))
            return
        blocks = fuse(self.layers)
        if blocks is None:
            return
        num_codebooks = self.config.num_codebooks
        turns = self.rope_table.at(torch.arange(num_codebooks), torch.float32)
        self.depth = depth.bind(
            blocks,
            norm=self.norm.weight,
            tables=[self.codec_embedding[book] for book in range(num_codebooks - 1)],
            heads=[self.lm_head[book] for book in range(num_codebooks - 1)],
            cos=turns.cos,
            sin=turns.sin,
            nucleus=NUCLEUS,
        )

    def set_packed(self, name: str, weight: Packed) -> None:
        """Keep parameter `name` as packed blocks from now on."""
        delattr(self, name)
        setattr(self, name, weight)

    def predict(self, hidden: Tensor, first: Tensor, points: Tensor | None = None) -> Frames:
        """Choose codes 1 to Q-1 of one frame, and sum their embeddings.

        Args:
            hidden: (B, D), the talker's state that chose the first code, after its norm.
            first: (B, D), the talker's embedding of the first code.
            points: (B, Q-1) from [0, 1), one for each draw; None takes the likeliest codes.
        """
        if self.depth is not None:
            found = self.depth.run(torch.stack((hidden, first)), points)
            if found is not None:
                return Frames(found.codes, found.vectors.to(hidden.dtype))
        inputs = (hidden, first) if points is None else (hidden, first, points)
        (codes,) = (self(*inputs),) if self.graphed is None else self.graphed(*inputs)
        return Frames(codes, self.embed(codes))

    def forward(self, hidden: Tensor, first: Tensor, points: Tensor | None = None) -> Tensor:
        """Choose codes step by step, as `predict` does at once: (B, Q-1) int64."""
        num_codebooks = self.config.num_codebooks
        caches = self.fresh_caches(len(hidden))
        positions = torch.arange(num_codebooks, device=hidden.device)
        turns = self.rope_table.at(positions, hidden.dtype)
        x = torch.stack((hidden, first), 1).flatten(0, 1)  # (2*B, D)
        rope = Rope(
            *(part[:NUM_GIVEN].repeat(len(hidden), 1, 1) for part in (turns.cos, turns.sin))
        )
        codes: list[Tensor] = []
        for book in range(num_codebooks - 1):
            if codes:
                x = self.read(codes[-1], book=book - 1)
                place = slice(book + 1, book + 2)
                rope = Rope(turns.cos[place], turns.sin[place])
            logits = self.step(x, rope, caches, book=book)
            codes.append(choose(logits, None if points is None else points[:, book]))
        return torch.stack(codes, 1)

    def read(self, codes: Tensor, *, book: int) -> Tensor:
        """Embed the codes of one codebook: (B,) -> (B, D)."""
        return packed.embedding(codes, self.codec_embedding[book], self.norm.weight.dtype)

    def step(self, x: Tensor, rope: Rope, caches: Sequence[FrameCache], *, book: int) -> Tensor:
        """Score the codes of one codebook: (B*T, D) -> (B, V) float32, after each stream's last."""
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer(x, rope, cache)
        last = x.unflatten(0, (len(caches[0].keys), -1))[:, -1]  # (B, D)
        return packed.linear(self.norm(last), self.lm_head[book]).float()

    def embed(self, codes: Tensor) -> Tensor:
        """Sum the embeddings of codes 1 to Q-1: (B, Q-1) -> (B, D)."""
        dtype = self.norm.weight.dtype
        if not isinstance(self.codec_embedding, Tensor):
            tables = (self.codec_embedding[book] for book in range(codes.shape[1]))
            rows = [packed.embedding(codes[:, i], table, dtype) for i, table in enumerate(tables)]
            return torch.stack(rows, 1).sum(1)
        num_books, vocab_size, width = self.codec_embedding.shape
        rows = codes + torch.arange(num_books, device=codes.device) * vocab_size
        return functional.embedding(rows, self.codec_embedding.view(-1, width)).sum(1)

    def fresh_caches(self, num_streams: int) -> list[FrameCache]:
        """Make the caches of a frame; what is not yet written is not a number."""
        config = self.config
        shape = (
            *(config.num_layers, 2, num_streams),
            *(config.num_kv_heads, config.num_codebooks, config.head_width),
        )
        store = self.norm.weight.new_full(shape, nan)
        return [FrameCache(keys, values) for keys, values in store]


def choose(logits: Tensor, points: Tensor | None, nucleus: Nucleus = NUCLEUS) -> Tensor:
    """Choose each row's code: the likeliest, or the one in whose part of the nucleus a point lies.

    Args:
        logits: (B, V) float32.
        points: (B,) from [0, 1), or None.
        nucleus: among which codes is drawn.

    Returns:
        (B,) int64.
    """
    if points is None:
        return logits.argmax(-1)
    top_k = min(nucleus.top_k, logits.shape[-1])
    ranked, codes = logits.topk(top_k, -1)  # (B, k), the likeliest first
    shares = (ranked / nucleus.temperature).softmax(-1)
    kept = shares.cumsum(-1) - shares < nucleus.top_p  # what all likelier codes have
    reached = shares.where(kept, 0.0).cumsum(-1)
    target = points.to(shares)[:, None] * reached[:, -1:]
    place = (reached <= target).sum(-1, keepdim=True)
    place = place.minimum(kept.sum(-1, keepdim=True) - 1)  # a product can round up to the whole
    return codes.gather(-1, place).squeeze(-1)
