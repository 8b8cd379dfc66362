"""Where a head looks while it is told where to look."""

import pytest
import torch

from myna.train.examples import UNSCORED
from myna.train.guidance import Watched, strayed
from myna.train.rectangle import Rectangle


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
