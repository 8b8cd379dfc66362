"""DenseCache: chunks give what the whole gives, and the future stays unseen."""

import torch
from torch.nn import functional

from myna.layers.dense_cache import DenseCache


def heads(num_tokens: int, num_heads: int, seed: int) -> torch.Tensor:
    return torch.randn(num_tokens, num_heads, 8, generator=torch.manual_seed(seed))


def test_chunks_equal_the_whole() -> None:
    q, k, v = heads(7, 4, 0), heads(7, 2, 1), heads(7, 2, 2)
    whole = DenseCache().attend(q, k, v)
    cache = DenseCache()
    chunks = [cache.attend(q[a:b], k[a:b], v[a:b]) for a, b in ((0, 3), (3, 4), (4, 7))]
    torch.testing.assert_close(torch.cat(chunks), whole)


def test_query_head_h_reads_key_head_h_over_the_group() -> None:
    q, k, v = heads(3, 4, 0), heads(3, 2, 1), heads(3, 2, 2)
    out = DenseCache().attend(q, k, v)
    scores = q[2, 3] @ k[:, 1].T / 8**0.5
    torch.testing.assert_close(out[2, 3], functional.softmax(scores, dim=0) @ v[:, 1])


def test_the_future_stays_unseen() -> None:
    q, k, v = heads(4, 2, 0), heads(4, 2, 1), heads(4, 2, 2)
    before = DenseCache().attend(q, k, v)
    k[3], v[3] = 100.0, 100.0
    torch.testing.assert_close(DenseCache().attend(q, k, v)[:3], before[:3])
